//! The only code that knows MPI: the world of ranks, and mail between the threads of all of them.
//!
//! The same program runs alone (no `mpirun`: a world of one rank) or as N ranks. [`World::converse`] gives every rank numbered mailboxes;
//! any thread sends to any mailbox, at home or away. The main thread of a rank alone speaks MPI (its level is "funneled"), and polls with
//! short sleeps, so that a rank that computes on one thread leaves the processor to it.
//!
//! An error on any rank ends all of them: with one rank it returns to the caller, with more it is printed once and the whole world
//! is aborted with exit code 1, since ranks that wait for each other cannot be told. A thread that panics ends all ranks with 101.
//! A rank that is killed from outside is noticed by `mpirun` (`srun`: with `--kill-on-bad-exit`); one that is stopped, or whose host is gone, by
//! the others: each says now and then that it is there, and silence for longer than [`PATIENCE`] ends all ranks with a line that names it.
//!
//! Left out: what letters mean, who waits for whom, how much may be under way at once (their readers and writers agree on that), and
//! several worlds in one process.

mod launch;
mod line;
mod post;
mod vigil;

use std::fmt::Display;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use mpi::Threading;
use mpi::environment::Universe;
use mpi::traits::Communicator;

pub use post::{Address, Guard, Mailbox, Post, Received};

use launch::{Launch, Others};
use line::Line;
use post::Ended;

/// How long a rank may give no sign of life before all are ended, where a program has no other wish.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How many times as long MPI may take to start: on thousands of ranks it does.
const START: u32 = 5;

/// Room for signs of life on their way, for each rank that listens.
const BEAT_BYTES: usize = 16 << 10;

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
        "want {n_ranks} ranks as {variable}={value} says, found a world of one: the launcher and this program's MPI do not speak to each other; \
         start it with `mpirun -np {n_ranks}` or `srun --mpi=pmix`, or one process alone with `mpirun -np 1` or without a launcher"
    )]
    Singletons {
        /// The variable that says so.
        variable: &'static str,
        /// Its value.
        value: u64,
        /// How many ranks there are at least.
        n_ranks: u64,
    },
    /// A rank gave no sign of life.
    #[error(
        "want a sign of life from rank {rank} every {patience_s} s, found none: its process is stopped or its host is gone; \
         all ranks end, and the same run again makes what is missing"
    )]
    Silent {
        /// The rank.
        rank: usize,
        /// How long it may be silent.
        patience_s: u64,
    },
    /// Some rank does not come to the start or the end.
    #[error(
        "want all ranks at the {place} of MPI within {patience_s} s, found some missing: a process is stopped or a host is gone; \
         start the run again"
    )]
    Missing {
        /// Start or end.
        place: &'static str,
        /// How long that may take.
        patience_s: u64,
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
    /// Nothing where no launcher started this process, or it started only this one.
    line: Option<Line>,
    patience: Duration,
    // Last, so that MPI ends after the communicator is gone.
    universe: Option<Universe>,
}

/// Starts the world, does `work` in it on every rank, and ends it. A rank that gives no sign of life for [`PATIENCE`] ends all of them.
///
/// # Errors
/// What `work` returns, in a world of one. In a larger world an error is printed as `program: error: ...` and ends all ranks with exit code 1.
pub fn run<T, E: From<Error> + Display>(work: impl FnOnce(&World) -> Result<T, E>) -> Result<T, E> {
    run_within(PATIENCE, work)
}

/// As [`run`], with another patience.
///
/// # Errors
/// As [`run`].
pub fn run_within<T, E: From<Error> + Display>(
    patience: Duration,
    work: impl FnOnce(&World) -> Result<T, E>,
) -> Result<T, E> {
    let world = World::start(patience)?;
    match (work(&world), &world.line) {
        (Err(error), Some(line)) => line.fail(&error),
        (result, _) => result,
    }
}

impl World {
    fn start(patience: Duration) -> Result<Self, Error> {
        let launch = Launch::read();
        if !launch.is_launched() {
            return Ok(Self { line: None, patience, universe: None });
        }
        let watch = watch("start", patience * START);
        let (mut universe, _) = mpi::initialize_with_threading(Threading::Funneled).ok_or(Error::Started)?;
        drop(watch);
        let communicator = universe.world();
        if communicator.size() > 1 {
            universe
                .set_buffer_size(BEAT_BYTES * usize::try_from(communicator.size()).unwrap_or(1).min(1 << 12));
            return Ok(Self {
                line: Some(Line::new(communicator, patience)),
                patience,
                universe: Some(universe),
            });
        }
        match launch.others() {
            Some(Others { variable, value, n_ranks }) => Err(Error::Singletons { variable, value, n_ranks }),
            None => Ok(Self { line: None, patience, universe: Some(universe) }),
        }
    }

    /// This process's number, from 0.
    pub fn rank(&self) -> usize {
        self.line.as_ref().map_or(0, Line::rank)
    }

    /// Number of processes.
    pub fn size(&self) -> usize {
        self.line.as_ref().map_or(1, Line::size)
    }

    /// Whether this is the rank that takes results, logs and writes.
    pub fn is_root(&self) -> bool {
        self.rank() == 0
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
        let (office, post, mailboxes) = post::open(self.rank(), n_mailboxes);
        std::thread::scope(|scope| {
            let guard = post.guard();
            let worker = scope.spawn(move || {
                let result = work(post, mailboxes);
                if result.is_err() {
                    guard.stop();
                }
                result
            });
            if office.carry(self.line.as_ref(), || worker.is_finished()) == Ended::Panicked {
                self.end(PANICKED);
            }
            // A panic was an order to end above; this cannot be reached with one.
            worker.join().unwrap_or_else(|_| self.end(PANICKED))
        })
    }

    /// Threads that this rank may compute on: the processors it may use, shared fairly with the ranks of this host that may use the same.
    pub fn fair_threads(&self) -> usize {
        let n_processors = std::thread::available_parallelism().map_or(1, usize::from);
        let Some(line) = &self.line else { return n_processors };
        let mine = fingerprint(&[host(), allowed_processors()].concat());
        let n_sharers = line.exchange(&[mine]).iter().filter(|other| other[..] == [mine]).count();
        (n_processors / n_sharers.max(1)).max(1)
    }

    /// The sum of each count over all ranks, on every rank: for one ledger at the end.
    pub fn sum(&self, counts: &[u64]) -> Vec<u64> {
        let Some(line) = &self.line else { return counts.to_vec() };
        let all = line.exchange(counts);
        (0..counts.len()).map(|i| all.iter().filter_map(|counts| counts.get(i)).sum()).collect()
    }

    /// Ends all ranks, this process above all: its threads wait for one another.
    fn end(&self, code: i32) -> ! {
        match &self.line {
            Some(line) => line.end(code),
            None => std::process::exit(code),
        }
    }
}

impl Drop for World {
    /// A rank that panics must not wait for the others in MPI's farewell: they wait for it. Nor must any wait for good.
    fn drop(&mut self) {
        let Some(line) = self.line.take() else { return };
        if std::thread::panicking() {
            line.communicator().abort(PANICKED);
        }
        let watch = watch("end", self.patience);
        drop(line);
        drop(self.universe.take());
        drop(watch);
    }
}

/// Ends this process, and with it the launcher's others, if what follows takes longer than this. MPI's own start and end cannot be asked
/// how far they are. Dropped in time, it does nothing.
fn watch(place: &'static str, patience: Duration) -> mpsc::Sender<()> {
    const STEP: Duration = Duration::from_secs(1);
    let (watch, over) = mpsc::channel::<()>();
    // Seconds are counted one by one: those in which the whole job was stopped are none.
    let n_steps = patience.as_secs().max(1);
    std::thread::spawn(move || {
        let waits = (0..n_steps).all(|_| over.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout));
        if waits {
            line::say(&Error::Missing { place, patience_s: n_steps });
            std::process::exit(1);
        }
    });
    watch
}

/// What tells this host from others: a number that Linux draws at its start; elsewhere nothing, and all ranks count as of one host.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
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
