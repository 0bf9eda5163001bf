//! The only code that knows MPI: the world of ranks, and mail between the threads of all of them.
//!
//! The same program runs alone (no `mpirun`: a world of one rank) or as N ranks. [`World::converse`] gives every rank numbered mailboxes;
//! any thread sends to any mailbox, at home or away. The main thread of a rank alone speaks MPI (its level is "funneled"), and polls with
//! short sleeps, so that a rank that computes on one thread leaves the processor to it.
//!
//! An error on any rank ends all of them: with one rank it returns to the caller, with more it is printed once and the whole world
//! is aborted with exit code 1, since ranks that wait for each other cannot be told. A thread that panics ends all ranks with 101.
//! A rank that is killed from outside is noticed by `mpirun` (`srun`: with `--kill-on-bad-exit`).
//!
//! Left out: what letters mean, who waits for whom, how much may be under way at once (their readers and writers agree on that), and
//! several worlds in one process.

mod post;

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};
use mpi::{Rank, Threading};

pub use post::{Address, Guard, Mailbox, Post};

/// Variables in which a launcher says how many ranks it started. A world of one beside a larger number here means that the ranks
/// do not see each other.
const LAUNCHER_SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"];

/// How the variables of launchers begin. A process that sees none of them was started by no launcher: it is alone, and does without MPI,
/// whose start costs as long as decoding a third of a scene.
const LAUNCHER_PREFIXES: [&str; 11] = [
    "OMPI_COMM_",
    "OMPI_MCA_orte_",
    "PMI",
    "PRTE_",
    "MV2_COMM_",
    "PALS_",
    "HYDI_",
    "I_MPI_",
    "SLURM_",
    "FLUX_",
    "JSM_",
];

/// How long after rank 0 each further rank speaks of an error.
const TURN: Duration = Duration::from_millis(250);
const LAST_TURN: Duration = Duration::from_secs(2);

/// Exit code of a panic, as Rust has it.
const PANICKED: i32 = 101;

/// MPI counts the bytes of a message in 32 bits.
const MAX_MESSAGE_BYTES: usize = i32::MAX as usize;

/// Why there is no world, or why an item cannot travel.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something started MPI already.
    #[error("want to start MPI once a process, found it running already")]
    Started,
    /// N lone processes instead of N ranks.
    #[error(
        "want {launched} ranks as {variable} says, found a world of one: the launcher and this program's MPI do not speak to each other; \
         start it with `mpirun -np {launched}` or `srun --mpi=pmix`, or one process alone with `srun -n 1`"
    )]
    Singletons {
        /// The variable that says so.
        variable: &'static str,
        /// Its value.
        launched: u64,
    },
    /// A letter is longer than a message may be.
    #[error(
        "want letters of at most {MAX_MESSAGE_BYTES} bytes between ranks, found one of {bytes}; share the work in smaller items"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// All ranks of this run.
pub struct World {
    /// Nothing where no launcher started this process.
    communicator: Option<SimpleCommunicator>,
    rank: usize,
    size: usize,
    // Last, so that MPI ends after the communicator is gone.
    _universe: Option<Universe>,
}

/// Starts the world, does `work` in it on every rank, and ends it.
///
/// # Errors
/// What `work` returns, in a world of one. In a larger world an error is printed as `program: error: ...` and ends all ranks with exit code 1.
pub fn run<T, E: From<Error> + Display>(work: impl FnOnce(&World) -> Result<T, E>) -> Result<T, E> {
    let world = World::start()?;
    match work(&world) {
        Err(error) if world.size > 1 => world.fail(&error),
        result => result,
    }
}

impl World {
    fn start() -> Result<Self, Error> {
        if !is_launched(std::env::vars_os().map(|(name, _)| name)) {
            return Ok(Self { communicator: None, rank: 0, size: 1, _universe: None });
        }
        let (universe, _) = mpi::initialize_with_threading(Threading::Funneled).ok_or(Error::Started)?;
        let communicator = universe.world();
        let size = usize::try_from(communicator.size()).unwrap_or(1);
        if size == 1 {
            refuse_singletons(|name| std::env::var(name).ok())?;
        }
        Ok(Self {
            rank: usize::try_from(communicator.rank()).unwrap_or(0),
            size,
            communicator: Some(communicator),
            _universe: Some(universe),
        })
    }

    /// This process's number, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of processes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether this is the rank that takes results, logs and writes.
    pub fn is_root(&self) -> bool {
        self.rank == 0
    }

    /// Runs `work` on a thread of its own, with mailboxes on every rank, while the main thread carries letters between ranks.
    ///
    /// `work` starts what threads it likes, each with a [`Post::guard`], and ends when they have; ranks may differ in their number of
    /// mailboxes. When it returns, every letter to this rank that still matters must have been read.
    ///
    /// # Errors
    /// Those of `work`, at once: letters that it sent just before may be lost. [`run`] turns them into the end of all ranks.
    pub fn converse<T: Send, E: Send>(
        &self,
        n_mailboxes: usize,
        work: impl FnOnce(Post, Vec<Mailbox>) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        let (office, post, mailboxes) = post::open(self.rank, n_mailboxes);
        std::thread::scope(|scope| {
            let guard = post.guard();
            let worker = scope.spawn(move || {
                let result = work(post, mailboxes);
                if result.is_err() {
                    guard.stop();
                }
                result
            });
            if !office.carry(self.shared()) {
                self.end(PANICKED);
            }
            // A panic was an order to end above; this cannot be reached with one.
            worker.join().unwrap_or_else(|_| self.end(PANICKED))
        })
    }

    /// Threads that this rank may compute on: the processors it may use, shared fairly with the ranks of this host that may use the same.
    pub fn fair_threads(&self) -> usize {
        let n_processors = std::thread::available_parallelism().map_or(1, usize::from);
        let Some(communicator) = self.shared() else { return n_processors };
        let host = communicator.split_shared(self.rank as Rank);
        let mine = fingerprint(&allowed_processors());
        let mut all = vec![0u64; usize::try_from(host.size()).unwrap_or(1)];
        host.all_gather_into(&mine, &mut all[..]);
        let n_sharers = all.iter().filter(|other| **other == mine).count();
        (n_processors / n_sharers.max(1)).max(1)
    }

    /// The sum of each count over all ranks, on every rank: for one ledger at the end.
    pub fn sum(&self, counts: &[u64]) -> Vec<u64> {
        let Some(communicator) = self.shared() else { return counts.to_vec() };
        let mut sums = vec![0; counts.len()];
        communicator.all_reduce_into(counts, &mut sums[..], SystemOperation::sum());
        sums
    }

    /// The way to other ranks, if there are any.
    fn shared(&self) -> Option<&SimpleCommunicator> {
        self.communicator.as_ref().filter(|_| self.size > 1)
    }

    /// Ends all ranks, this process above all: its threads wait for one another.
    fn end(&self, code: i32) -> ! {
        if let Some(communicator) = self.shared() {
            communicator.abort(code);
        }
        std::process::exit(code)
    }

    /// Says the error and ends all ranks. An error that all ranks find, such as a missing file, is said once: ranks take turns, and the
    /// first to speak ends the others.
    fn fail(&self, error: &dyn Display) -> ! {
        let program = std::env::args_os().next().map(std::path::PathBuf::from).unwrap_or_default();
        let name = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        std::thread::sleep((TURN * self.rank as u32).min(LAST_TURN));
        // One write, so that lines of two ranks cannot mix. Nothing is left to do where it fails.
        let _ = std::io::stderr().write_all(format!("{name}: error: {error:#}\n").as_bytes());
        self.end(1)
    }
}

impl Drop for World {
    /// A rank that panics must not wait for the others in MPI's farewell: they wait for it.
    fn drop(&mut self) {
        if let Some(communicator) = self.shared().filter(|_| std::thread::panicking()) {
            communicator.abort(PANICKED);
        }
    }
}

/// The processors that this process may use, as Linux lists them; elsewhere nothing, and all ranks of a host count as sharing.
fn allowed_processors() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list:"));
    line.unwrap_or_default().to_owned()
}

/// The same number for the same text (FNV-1a).
fn fingerprint(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn is_launched(mut names: impl Iterator<Item = std::ffi::OsString>) -> bool {
    names.any(|name| LAUNCHER_PREFIXES.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)))
}

fn refuse_singletons(variable_of: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    for variable in LAUNCHER_SIZES {
        let launched = variable_of(variable).and_then(|text| text.trim().parse().ok());
        if let Some(launched @ 2..) = launched {
            return Err(Error::Singletons { variable, launched });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_a_launcher_started_is_told_from_one_that_a_person_did() {
        let launched = |names: &[&str]| is_launched(names.iter().map(Into::into));
        for name in LAUNCHER_SIZES.iter().chain(&["PMIX_RANK", "PMI_RANK", "SLURM_PROCID"]) {
            assert!(launched(&["HOME", name]), "{name}");
        }
        // What the Makefile sets lets root start ranks, and starts none.
        assert!(!launched(&["HOME", "PATH", "OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"]));
    }

    #[test]
    fn lone_processes_started_as_many_are_refused() {
        for name in LAUNCHER_SIZES {
            let environment = |n: &'static str| move |asked: &str| (asked == name).then(|| n.to_owned());
            assert!(matches!(
                refuse_singletons(environment("4")),
                Err(Error::Singletons { launched: 4, .. })
            ));
            assert!(refuse_singletons(environment("1")).is_ok());
            assert!(refuse_singletons(environment("nonsense")).is_ok());
        }
        assert!(refuse_singletons(|_| None).is_ok());
    }
}
