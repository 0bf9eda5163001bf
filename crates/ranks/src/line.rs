//! The line between ranks: letters over MPI with numbers that say what they are, and the vigil over who is there.
//!
//! Nothing here blocks for good: whoever waits for a letter or for one to be taken looks at the clock meanwhile, and says that it is there.
//! A rank that has been silent for too long ends all of them, so that nobody has to hand that news on.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, Instant};

use mpi::point_to_point::MatchedReceiveVec;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, Source};
use mpi::{Rank, Tag};

use crate::Error;
use crate::vigil::Vigil;

/// How long a thread sleeps where no letter came: short after one, longer in silence, so that idle ranks cost nothing.
const SHORTEST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// How long after rank 0 each further rank speaks of an error.
const TURN: Duration = Duration::from_millis(250);
const LAST_TURN: Duration = Duration::from_secs(2);

/// Tags above those of mailboxes; MPI grants 32,767 and more.
pub(crate) const BEAT: Tag = 32_000;
/// All threads of a rank have ended; from the first rank: those of all have.
const FAREWELL: Tag = 32_001;
/// Numbers of a rank for all ranks; from the first rank: the numbers of all.
const NUMBERS: Tag = 32_002;

/// A letter that arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub from: usize,
    pub tag: Tag,
    pub bytes: Vec<u8>,
}

/// A pause that grows while nothing happens.
#[derive(Debug)]
pub(crate) struct Pause(Duration);

impl Pause {
    pub fn new() -> Self {
        Self(SHORTEST_PAUSE)
    }

    /// After something happened, the shortest again; else twice as long.
    pub fn next(&mut self, happened: bool) -> Duration {
        self.0 = if happened { SHORTEST_PAUSE } else { (self.0 * 2).min(LONGEST_PAUSE) };
        self.0
    }
}

/// What this rank says and hears; for the main thread alone.
pub(crate) struct Line {
    communicator: SimpleCommunicator,
    rank: usize,
    size: usize,
    /// Arrived before anybody wanted them.
    early: RefCell<VecDeque<Arrived>>,
    vigil: RefCell<Vigil>,
}

impl Line {
    /// The line of a rank whose patience with silent ranks is this.
    pub fn new(communicator: SimpleCommunicator, patience: Duration) -> Self {
        let rank = usize::try_from(communicator.rank()).unwrap_or(0);
        let size = usize::try_from(communicator.size()).unwrap_or(1);
        let vigil = RefCell::new(Vigil::begin(rank, size, patience));
        Self { communicator, rank, size, early: RefCell::default(), vigil }
    }

    pub fn communicator(&self) -> &SimpleCommunicator {
        &self.communicator
    }

    pub fn rank(&self) -> usize {
        self.rank
    }

    pub fn size(&self) -> usize {
        self.size
    }

    /// How long a rank may be silent.
    pub fn patience(&self) -> Duration {
        self.vigil.borrow().patience()
    }

    /// Forgets how long ranks have been silent: they may have had other things to do.
    pub fn begin_vigil(&self) {
        let patience = self.patience();
        *self.vigil.borrow_mut() = Vigil::begin(self.rank, self.size, patience);
    }

    /// Says that this rank is there when it is time, and looks who else is.
    pub fn attend(&self) {
        let now = Instant::now();
        let (due, silent) = {
            let mut vigil = self.vigil.borrow_mut();
            (vigil.is_beat_due(now).then(|| vigil.peers()), vigil.look(now))
        };
        for peer in due.into_iter().flatten() {
            // Into MPI's buffer: a rank that is stopped must not stop this one.
            self.communicator.process_at_rank(peer as Rank).buffered_send_with_tag(&[0u8; 1][..], BEAT);
        }
        if let Some(rank) = silent {
            self.fail(&Error::Silent { rank, patience_s: self.patience().as_secs() });
        }
    }

    /// Sends one letter, and takes what arrives meanwhile, so that two ranks that send to each other never wait for each other.
    pub fn send(&self, to: usize, tag: Tag, letter: &[u8]) {
        mpi::request::scope(|scope| {
            let process = self.communicator.process_at_rank(to as Rank);
            let mut request = process.immediate_send_with_tag(scope, letter, tag);
            let mut pause = Pause::new();
            while let Err(unfinished) = request.test() {
                request = unfinished;
                self.attend();
                std::thread::sleep(pause.next(self.hear()));
            }
        });
    }

    /// Takes what has arrived; whether there was anything.
    fn hear(&self) -> bool {
        let mut any = false;
        while let Some(arrived) = self.communicator.any_process().immediate_matched_probe() {
            let (bytes, status) = arrived.matched_receive_vec::<u8>();
            let from = usize::try_from(status.source_rank()).unwrap_or(0);
            self.vigil.borrow_mut().heard(from);
            if status.tag() != BEAT {
                self.early.borrow_mut().push_back(Arrived { from, tag: status.tag(), bytes });
            }
            any = true;
        }
        any
    }

    /// The next letter that `wanted` says yes to, if one is there; others stay.
    pub fn take(&self, wanted: impl Fn(&Arrived) -> bool) -> Option<Arrived> {
        self.hear();
        let mut early = self.early.borrow_mut();
        let place = early.iter().position(wanted)?;
        early.remove(place)
    }

    /// Waits for a letter with this tag.
    pub fn wait(&self, tag: Tag) -> Arrived {
        let mut pause = Pause::new();
        loop {
            if let Some(arrived) = self.take(|arrived| arrived.tag == tag) {
                return arrived;
            }
            self.attend();
            std::thread::sleep(pause.next(false));
        }
    }

    /// The numbers of every rank, on every rank.
    pub fn exchange(&self, mine: &[u64]) -> Vec<Vec<u64>> {
        self.begin_vigil();
        if self.rank > 0 {
            self.send(0, NUMBERS, &to_bytes(mine));
            let all = to_numbers(&self.wait(NUMBERS).bytes);
            return all.chunks(mine.len().max(1)).map(<[u64]>::to_vec).collect();
        }
        let mut all = vec![mine.to_vec(); self.size];
        for _ in 1..self.size {
            let arrived = self.wait(NUMBERS);
            all[arrived.from] = to_numbers(&arrived.bytes);
        }
        let together = to_bytes(&all.concat());
        (1..self.size).for_each(|rank| self.send(rank, NUMBERS, &together));
        all
    }

    /// Waits until all ranks have come so far: the first hears of all, and tells them.
    pub fn part(&self) {
        if self.rank > 0 {
            self.send(0, FAREWELL, &[]);
            self.wait(FAREWELL);
            return;
        }
        (1..self.size).for_each(|_| drop(self.wait(FAREWELL)));
        (1..self.size).for_each(|rank| self.send(rank, FAREWELL, &[]));
    }

    /// Says the error and ends all ranks. An error that all ranks find, such as a missing file, is said once: ranks take turns, and the
    /// first to speak ends the others.
    pub fn fail(&self, error: &dyn Display) -> ! {
        std::thread::sleep((TURN * self.rank as u32).min(LAST_TURN));
        say(error);
        self.end(1)
    }

    /// Ends all ranks.
    pub fn end(&self, code: i32) -> ! {
        self.communicator.abort(code)
    }
}

/// Says why the program ends, in one write, so that lines of two ranks cannot mix. Nothing is left to do where it fails.
pub(crate) fn say(error: &dyn Display) {
    let program = std::env::args_os().next().map(std::path::PathBuf::from).unwrap_or_default();
    let name = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let _ = std::io::stderr().write_all(format!("{name}: error: {error:#}\n").as_bytes());
}

fn to_bytes(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn to_numbers(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks().0.iter().map(|n| u64::from_le_bytes(*n)).collect()
}
