//! Mail between threads of all ranks: each rank has numbered mailboxes, and any thread sends to any of them.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use mpi::point_to_point::MatchedReceiveVec;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, Source};
use mpi::{Rank, Tag};

use crate::{Error, MAX_MESSAGE_BYTES};

/// How long the main thread sleeps where no letter came: short after one, longer in silence, so that idle ranks cost nothing.
const SHORTEST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// A mailbox of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The rank.
    pub rank: usize,
    /// The number of its mailbox.
    pub mailbox: usize,
}

/// The receiving end of a mailbox.
#[derive(Debug)]
pub struct Mailbox {
    address: Address,
    letters: Receiver<Vec<u8>>,
}

impl Mailbox {
    /// Where letters for this mailbox go.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Waits for the next letter; nothing once no thread of this rank can send any more.
    pub fn receive(&self) -> Option<Vec<u8>> {
        self.letters.recv().ok()
    }
}

enum Order {
    Send(Address, Vec<u8>),
    /// The work failed, and other threads may never end.
    Stop,
    /// A thread panicked: the others wait for it in vain.
    Panicked,
}

/// Sends letters. Letters from one thread to one mailbox arrive in order, each once.
#[derive(Clone)]
pub struct Post {
    rank: usize,
    here: Vec<Sender<Vec<u8>>>,
    away: Sender<Order>,
}

impl Post {
    /// Sends a letter. One to a mailbox whose reader has gone is lost.
    ///
    /// # Errors
    /// [`Error::TooLong`] for a letter that MPI cannot carry.
    pub fn send(&self, to: Address, letter: Vec<u8>) -> Result<(), Error> {
        if to.rank == self.rank {
            // A reader that has gone needs no letter.
            let _ = self.here[to.mailbox].send(letter);
            return Ok(());
        }
        if letter.len() > MAX_MESSAGE_BYTES {
            return Err(Error::TooLong { bytes: letter.len() });
        }
        // The main thread reads until the last of these senders is gone.
        let _ = self.away.send(Order::Send(to, letter));
        Ok(())
    }

    /// A guard for a thread whose panic must end all ranks, because others wait for its letters.
    pub fn guard(&self) -> Guard {
        Guard(self.clone())
    }
}

/// Ends all ranks when it is dropped by a panic.
pub struct Guard(Post);

impl Guard {
    pub(crate) fn stop(&self) {
        let _ = self.0.away.send(Order::Stop);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.away.send(Order::Panicked);
        }
    }
}

/// The main thread's side: it alone speaks MPI.
pub(crate) struct Office {
    rank: usize,
    here: Vec<Sender<Vec<u8>>>,
    orders: Receiver<Order>,
}

/// The office of a rank with so many mailboxes, their readers, and the way to send.
pub(crate) fn open(rank: usize, n_mailboxes: usize) -> (Office, Post, Vec<Mailbox>) {
    let (here, letters): (Vec<_>, Vec<_>) = (0..n_mailboxes).map(|_| mpsc::channel()).unzip();
    let (away, orders) = mpsc::channel();
    let mailboxes = letters.into_iter().enumerate();
    let mailboxes =
        mailboxes.map(|(mailbox, letters)| Mailbox { address: Address { rank, mailbox }, letters }).collect();
    (Office { rank, here: here.clone(), orders }, Post { rank, here, away }, mailboxes)
}

impl Office {
    /// Carries letters until no thread of this rank can send any more, alone or to other ranks; false if a thread panicked.
    pub(crate) fn carry(self, communicator: Option<&SimpleCommunicator>) -> bool {
        let Some(communicator) = communicator else {
            return !matches!(self.orders.recv(), Ok(Order::Panicked));
        };
        let mut pause = SHORTEST_PAUSE;
        loop {
            match self.orders.recv_timeout(pause) {
                Ok(Order::Send(to, letter)) => {
                    self.send(communicator, to, &letter);
                    pause = SHORTEST_PAUSE;
                }
                Ok(Order::Stop) => return true,
                Ok(Order::Panicked) => return false,
                Err(RecvTimeoutError::Timeout) => pause = (pause * 2).min(LONGEST_PAUSE),
                Err(RecvTimeoutError::Disconnected) => return true,
            }
            if self.deliver(communicator) {
                pause = SHORTEST_PAUSE;
            }
        }
    }

    /// Sends one letter, and takes what arrives meanwhile, so that two ranks that send to each other never wait for each other.
    fn send(&self, communicator: &SimpleCommunicator, to: Address, letter: &[u8]) {
        mpi::request::scope(|scope| {
            let process = communicator.process_at_rank(to.rank as Rank);
            let mut request = process.immediate_send_with_tag(scope, letter, to.mailbox as Tag);
            let mut pause = SHORTEST_PAUSE;
            while let Err(unfinished) = request.test() {
                request = unfinished;
                if self.deliver(communicator) {
                    pause = SHORTEST_PAUSE;
                } else {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        });
    }

    /// Puts what has arrived into the mailboxes; whether there was anything.
    fn deliver(&self, communicator: &SimpleCommunicator) -> bool {
        let mut any = false;
        while let Some(arrived) = communicator.any_process().immediate_matched_probe() {
            let (letter, status) = arrived.matched_receive_vec::<u8>();
            debug_assert_ne!(status.source_rank(), self.rank as Rank, "letters at home take the short way");
            let mailbox = usize::try_from(status.tag()).ok().and_then(|tag| self.here.get(tag));
            // A reader that has gone needs no letter.
            let _ = mailbox.map(|mailbox| mailbox.send(letter));
            any = true;
        }
        any
    }
}
