//! The only code that knows MPI: the world of ranks, and work shared among them whose result comes together in order.
//!
//! The same program runs alone (no `mpirun`: a world of one rank) or as N ranks, and makes the same bytes for any N, because
//! [`World::in_order`] hands the items to rank 0 in the order of their numbers whoever made them.
//!
//! An error on any rank ends all of them: with one rank it returns to the caller, with more it is printed once and the whole world
//! is aborted with exit code 1, since ranks that wait for each other cannot be told. A rank that is killed from outside is noticed by `mpirun`.
//!
//! Left out: anything that exchanges messages between workers, and several worlds in one process.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Source};
use mpi::{Rank, Threading};

/// Variables in which a launcher says how many ranks it started. A world of one beside a larger number here means that the ranks
/// do not see each other.
const LAUNCHER_SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"];

/// How long after rank 0 each further rank speaks of an error.
const TURN: Duration = Duration::from_millis(250);
const LAST_TURN: Duration = Duration::from_secs(2);

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
    /// An item is longer than a message may be.
    #[error(
        "want items of at most {MAX_MESSAGE_BYTES} bytes, found item {item} with {bytes}; share the work in smaller items"
    )]
    TooLong {
        /// The item's number.
        item: usize,
        /// Its length.
        bytes: usize,
    },
}

/// All ranks of this run.
pub struct World {
    communicator: SimpleCommunicator,
    rank: usize,
    size: usize,
    // Last, so that MPI ends after the communicator is gone.
    _universe: Universe,
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
        let (universe, _) = mpi::initialize_with_threading(Threading::Funneled).ok_or(Error::Started)?;
        let communicator = universe.world();
        let size = usize::try_from(communicator.size()).unwrap_or(1);
        if size == 1 {
            refuse_singletons(|name| std::env::var(name).ok())?;
        }
        Ok(Self {
            rank: usize::try_from(communicator.rank()).unwrap_or(0),
            size,
            communicator,
            _universe: universe,
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

    /// Makes items `0..n_items` on all ranks (item `k` on rank `k mod size`) and takes them on rank 0 in order.
    ///
    /// A rank waits with its item until rank 0 takes it, so no more than one item a rank is in memory.
    ///
    /// # Errors
    /// The first error of `make` or `take` on this rank; [`run`] turns it into the end of all ranks.
    pub fn in_order<E: From<Error>>(
        &self,
        n_items: usize,
        mut make: impl FnMut(usize) -> Result<Vec<u8>, E>,
        mut take: impl FnMut(usize, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.is_root() {
            for item in (self.rank..n_items).step_by(self.size) {
                let bytes = make(item)?;
                if bytes.len() > MAX_MESSAGE_BYTES {
                    return Err(Error::TooLong { item, bytes: bytes.len() }.into());
                }
                self.communicator.process_at_rank(0).synchronous_send(&bytes[..]);
            }
            return Ok(());
        }
        for item in 0..n_items {
            let maker = item % self.size;
            let bytes = if maker == 0 {
                make(item)?
            } else {
                self.communicator.process_at_rank(maker as Rank).receive_vec::<u8>().0
            };
            take(item, bytes)?;
        }
        Ok(())
    }

    /// The sum of each count over all ranks, on every rank: for one ledger at the end.
    pub fn sum(&self, counts: &[u64]) -> Vec<u64> {
        let mut sums = vec![0; counts.len()];
        self.communicator.all_reduce_into(counts, &mut sums[..], SystemOperation::sum());
        sums
    }

    /// Says the error and ends all ranks. An error that all ranks find, such as a missing file, is said once: ranks take turns, and the
    /// first to speak ends the others.
    fn fail(&self, error: &dyn Display) -> ! {
        let program = std::env::args_os().next().map(std::path::PathBuf::from).unwrap_or_default();
        let name = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        std::thread::sleep((TURN * self.rank as u32).min(LAST_TURN));
        // One write, so that lines of two ranks cannot mix. Nothing is left to do where it fails.
        let _ = std::io::stderr().write_all(format!("{name}: error: {error:#}\n").as_bytes());
        self.communicator.abort(1)
    }
}

impl Drop for World {
    /// A rank that panics must not wait for the others in MPI's farewell: they wait for it.
    fn drop(&mut self) {
        if std::thread::panicking() && self.size > 1 {
            self.communicator.abort(101);
        }
    }
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
