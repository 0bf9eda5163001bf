//! The world under a real `mpirun`: this test program starts itself again as ranks.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use ranks::{Address, Mailbox, Post};

const N_ITEMS: usize = 11;

/// Generous for a loaded machine, and far below "forever".
const BOUND: Duration = Duration::from_secs(60);

/// What one rank does, chosen by the variable `RANKS_CASE`; ignored unless a test below starts it.
#[test]
#[ignore = "started by the other tests"]
fn rank() {
    let case = std::env::var("RANKS_CASE").unwrap_or_default();
    let patience = if case.starts_with("stopped") { Duration::from_secs(4) } else { ranks::PATIENCE };
    let result = ranks::run_within(patience, |world| {
        let (me, size) = (world.rank(), world.size());
        let taken = world.converse(2, |post, mailboxes| {
            let [to_root, mine] = <[Mailbox; 2]>::try_from(mailboxes).unwrap();
            let maker = std::thread::spawn({
                let (post, case) = (post.clone(), case.clone());
                move || make(&post, &mine, &case)
            });
            let taken = if me == 0 { hand_out(&post, &to_root, size)? } else { BTreeMap::new() };
            drop(post);
            maker.join().map_err(|_| Failure("a maker panicked".into()))??;
            Ok::<_, Failure>(taken)
        })?;
        assert_eq!(world.sum(&[1, me as u64]), [size as u64, (size * (size - 1) / 2) as u64]);
        if world.is_root() {
            println!("TAKEN {taken:?}");
        }
        Ok::<(), Failure>(())
    });
    if let Err(error) = result {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

const ASK: u8 = 0;
const RESULT: u8 = 1;
const FAILED: u8 = 2;

/// Asks the root for items until there are none, and sends what it makes of each: `item * 100_000` bytes, beyond what MPI sends eagerly.
fn make(post: &Post, mine: &Mailbox, case: &str) -> Result<(), Failure> {
    let _guard = post.guard();
    let root = Address { rank: 0, mailbox: 0 };
    if case == format!("stopped {}", mine.address().rank) {
        // This rank, as a person or a scheduler stops it: not dead, and silent.
        let me = std::process::id().to_string();
        let _ = Command::new("kill").args(["-STOP", &me]).status();
    }
    loop {
        post.send(root, vec![ASK, mine.address().rank as u8])?;
        let Some(&[item]) = mine.receive().as_deref() else { return Ok(()) };
        assert!(!(case == "panic" && item == 5), "item 5 panics");
        if case == "killed" && item == 3 {
            std::process::abort();
        }
        let answer = if case == "error" && item == 6 { FAILED } else { RESULT };
        post.send(root, [vec![answer, item], vec![item; usize::from(item) * 100_000]].concat())?;
    }
}

/// Hands items out in order to whoever asks, and takes what comes back.
fn hand_out(post: &Post, letters: &Mailbox, size: usize) -> Result<BTreeMap<u8, usize>, Failure> {
    let (mut next, mut taken, mut n_gone) = (0..N_ITEMS as u8, BTreeMap::new(), 0);
    while n_gone < size || taken.len() < N_ITEMS {
        match letters.receive().unwrap().as_slice() {
            &[ASK, rank] => {
                let item = next.next();
                n_gone += usize::from(item.is_none());
                post.send(Address { rank: rank.into(), mailbox: 1 }, item.into_iter().collect())?;
            }
            [RESULT, item, bytes @ ..] => {
                assert!(bytes.iter().all(|byte| byte == item));
                assert_eq!(taken.insert(*item, bytes.len()), None, "item {item} came twice");
            }
            other => return Err(Failure(format!("item {} is bad", other[1]))),
        }
    }
    Ok(taken)
}

#[derive(Debug)]
struct Failure(String);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ranks::Error> for Failure {
    fn from(error: ranks::Error) -> Self {
        Self(error.to_string())
    }
}

fn start(np: Option<usize>, case: &str) -> Output {
    let me = std::env::current_exe().unwrap();
    let mut command = match np {
        Some(np) => {
            let mut mpirun = Command::new("mpirun");
            mpirun.args(["--quiet", "--oversubscribe", "-np", &np.to_string()]).arg(me);
            mpirun
        }
        None => Command::new(me),
    };
    command
        .args(["--exact", "rank", "--ignored", "--nocapture", "--test-threads=1"])
        .env("RANKS_CASE", case)
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .output()
        .unwrap()
}

fn taken(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let line = stdout.lines().find_map(|l| l.split_once("TAKEN").map(|(_, t)| t.to_owned()));
    line.unwrap_or_else(|| panic!("no result: {stdout}{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn every_item_comes_once_for_any_number_of_ranks_and_without_mpirun() {
    let alone = taken(&start(None, ""));
    assert_eq!(alone.matches(": ").count(), N_ITEMS, "{alone}");
    for np in [1, 2, 4, 7, 13] {
        assert_eq!(taken(&start(Some(np), "")), alone, "-np {np}");
    }
}

#[test]
fn an_error_on_any_rank_ends_all_of_them_in_bounded_time() {
    for np in [2, 4, 7] {
        let begun = Instant::now();
        let output = start(Some(np), "error");
        assert!(begun.elapsed() < BOUND);
        assert_eq!(output.status.code(), Some(1), "-np {np}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stderr.matches("error: item 6 is bad").count(), 1, "-np {np}: {stderr}");
    }
    let alone = start(None, "error");
    assert_eq!(alone.status.code(), Some(1));
}

#[test]
fn a_rank_that_panics_or_is_killed_ends_all_of_them_in_bounded_time() {
    for case in ["panic", "killed"] {
        let begun = Instant::now();
        let output = start(Some(4), case);
        assert!(begun.elapsed() < BOUND);
        assert!(!output.status.success(), "{case}");
    }
}

#[test]
fn lone_processes_that_should_be_ranks_are_refused() {
    let me = std::env::current_exe().unwrap();
    let output = Command::new(me)
        .args(["--exact", "rank", "--ignored", "--nocapture"])
        .env("SLURM_STEP_NUM_TASKS", "4")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("want 4 ranks as SLURM_STEP_NUM_TASKS=4 says"), "{stderr}");
}

#[test]
fn one_process_in_an_allocation_of_many_tasks_is_a_world_of_one() {
    let me = std::env::current_exe().unwrap();
    let output = Command::new(me)
        .args(["--exact", "rank", "--ignored", "--nocapture"])
        .envs([
            ("SLURM_JOB_ID", "1"),
            ("SLURM_NTASKS", "4"),
            ("SLURM_PROCID", "0"),
            ("LSB_DJOB_NUMPROC", "4"),
        ])
        .output()
        .unwrap();
    assert_eq!(taken(&output), taken(&start(None, "")));
}

#[test]
fn a_rank_that_is_stopped_and_not_dead_ends_all_of_them_and_is_named() {
    for rank in [1, 3, 0] {
        let begun = Instant::now();
        let output = start(Some(4), &format!("stopped {rank}"));
        assert!(begun.elapsed() < BOUND);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert_eq!(stderr.matches(&format!("want a sign of life from rank {rank} ")).count(), 1, "{stderr}");
    }
}
