//! Mail between threads of all ranks: each rank has numbered mailboxes, and any thread sends to any of them.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use mpi::Tag;

use crate::line::{BEAT, Line, Pause};
use crate::{Error, MAX_MESSAGE_BYTES};

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

    /// Waits for the next letter for so long.
    pub fn receive_for(&self, wait: Duration) -> Received {
        match self.letters.recv_timeout(wait) {
            Ok(letter) => Received::Letter(letter),
            Err(RecvTimeoutError::Timeout) => Received::Nothing,
            Err(RecvTimeoutError::Disconnected) => Received::End,
        }
    }
}

/// What came of waiting for a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A letter.
    Letter(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// Nothing any more: no thread of this rank can send.
    End,
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

/// Whether the threads of a rank ended as they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    /// The work failed; the caller has the reason.
    Stopped,
    Panicked,
}

impl Office {
    /// Carries letters until no thread of this rank can send any more and `is_over` says that the work has returned, alone or to other ranks.
    pub(crate) fn carry(self, line: Option<&Line>, is_over: impl Fn() -> bool) -> Ended {
        let Some(line) = line else {
            let panicked = matches!(self.orders.recv(), Ok(Order::Panicked));
            return if panicked { Ended::Panicked } else { Ended::Well };
        };
        line.begin_vigil();
        let mut pause = Pause::new();
        let mut wait = pause.next(true);
        loop {
            let sent = match self.orders.recv_timeout(wait) {
                Ok(Order::Send(to, letter)) => {
                    line.send(to.rank, to.mailbox as Tag, &letter);
                    true
                }
                Ok(Order::Stop) => return Ended::Stopped,
                Ok(Order::Panicked) => return Ended::Panicked,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) if is_over() => break,
                Err(RecvTimeoutError::Disconnected) => {
                    std::thread::sleep(wait);
                    false
                }
            };
            line.attend();
            wait = pause.next(self.deliver(line) || sent);
        }
        line.part();
        Ended::Well
    }

    /// Puts what has arrived into the mailboxes; whether there was anything.
    fn deliver(&self, line: &Line) -> bool {
        let mut any = false;
        while let Some(arrived) = line.take(|arrived| arrived.tag < BEAT) {
            debug_assert_ne!(arrived.from, self.rank, "letters at home take the short way");
            let mailbox = usize::try_from(arrived.tag).ok().and_then(|tag| self.here.get(tag));
            // A reader that has gone needs no letter.
            let _ = mailbox.map(|mailbox| mailbox.send(arrived.bytes));
            any = true;
        }
        any
    }
}
