//! What travels between ranks: a payload of bytes, then a header in JSON, then the header's length.

use std::collections::BTreeMap;

use anyhow::Context;
use ranks::{Address, Post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Mailbox of a rank's clerk, who writes files.
pub const CLERK: usize = 0;
/// Mailbox of the dispenser, on the first rank.
pub const DISPENSER: usize = 1;
/// Mailbox of a rank's first lane; a lane is a thread that computes.
pub const FIRST_LANE: usize = 2;

const LENGTH_BYTES: usize = 4;

/// What became of a granule's tiles.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Tiles with pixels.
    pub n_ok: usize,
    /// Tiles without, by reason.
    pub skipped: BTreeMap<String, usize>,
}

impl Tally {
    /// Both together.
    pub fn add(&mut self, other: Self) {
        self.n_ok += other.n_ok;
        for (reason, n) in other.skipped {
            *self.skipped.entry(reason).or_default() += n;
        }
    }
}

/// To a lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToLane {
    /// Open a granule's scene, and say what is to do.
    Survey { granule: usize },
    /// Hash its inputs.
    Sign { granule: usize },
    /// Count the numbers in these units.
    Count { granule: usize, from: usize, to: usize },
    /// Cut these units; `ramps` are ends a band, where they depend on all pixels.
    Cut { granule: usize, from: usize, to: usize, ramps: Vec<(f64, f64)> },
    /// Nothing to do for now: give away what is half done.
    Flush,
    /// A clerk has taken a piece.
    Taken,
    /// All is done.
    End,
}

/// To the dispenser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToDispenser {
    /// A lane has nothing to do.
    Ready { rank: usize, mailbox: usize },
    /// A granule was opened.
    Surveyed { granule: usize, survey: Survey },
    /// A granule's file is this run's to write.
    Claimed { granule: usize },
    /// Another run is writing a granule's file.
    Busy { granule: usize },
    /// Units were counted; the payload holds the counts, 8 bytes each.
    Counted { granule: usize, from: usize, to: usize },
    /// Units were cut.
    Cut { granule: usize, from: usize },
    /// A granule's file has its name.
    Written { granule: usize, tally: Tally },
    /// A granule cannot be done.
    Failed { granule: usize, reason: String },
    /// A lane has ended.
    Ended,
}

/// What is to do for a granule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Survey {
    /// Its file is there, made by the same flags from the same input.
    MadeAlready,
    /// It is to be cut.
    ToCut {
        /// Units to cut.
        n_units: usize,
        /// Units to count first, where ramps depend on all pixels.
        n_counted_units: usize,
    },
}

/// To the clerk who owns a granule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToClerk {
    /// Begin a granule's file, so that no other run does.
    Claim { granule: usize },
    /// A finished row of tiles; the payload is its row group.
    Row { granule: usize, row: usize, tally: Tally, rank: usize, mailbox: usize },
    /// Some lines of a row of tiles; the payload is a fragment.
    Fragment { granule: usize, row: usize, first_line: usize, n_lines: usize, rank: usize, mailbox: usize },
    /// The metadata of a granule's file.
    Signed { granule: usize, pairs: Vec<(String, String)> },
    /// A granule cannot be done: forget it.
    Abandon { granule: usize },
    /// All is done.
    End,
}

/// The owner of a granule's file: granules are dealt to ranks in turn, so that no rank writes all.
pub fn owner(granule: usize, n_ranks: usize) -> Address {
    Address { rank: granule % n_ranks, mailbox: CLERK }
}

/// Sends a header with its payload.
///
/// # Errors
/// If the payload is longer than a message may be.
pub fn send(post: &Post, to: Address, header: &impl Serialize, payload: Vec<u8>) -> anyhow::Result<()> {
    Ok(post.send(to, seal(header, payload))?)
}

fn seal(header: &impl Serialize, mut payload: Vec<u8>) -> Vec<u8> {
    let header = serde_json::to_vec(header).expect("plain data is always JSON");
    payload.extend_from_slice(&header);
    payload.extend_from_slice(&(header.len() as u32).to_le_bytes());
    payload
}

/// The header and the payload of a letter.
///
/// # Errors
/// If the bytes are no letter of that kind: the ranks do not run the same program.
pub fn open<H: DeserializeOwned>(mut letter: Vec<u8>) -> anyhow::Result<(H, Vec<u8>)> {
    let parts = || {
        let (rest, length) = letter.split_last_chunk::<LENGTH_BYTES>()?;
        let n_payload = rest.len().checked_sub(u32::from_le_bytes(*length) as usize)?;
        Some((serde_json::from_slice(&rest[n_payload..]).ok()?, n_payload))
    };
    let (header, n_payload) =
        parts().context("want letters of this program, found others; start the same program on all ranks")?;
    letter.truncate(n_payload);
    Ok((header, letter))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_arrives_as_it_was_sent() {
        let header = ToClerk::Signed { granule: 3, pairs: vec![("a".into(), "b".into())] };
        let letter = seal(&header, vec![1, 2, 3]);
        assert_eq!(open::<ToClerk>(letter.clone()).unwrap(), (header, vec![1, 2, 3]));
        assert!(open::<ToClerk>(letter[..letter.len() - 1].to_vec()).is_err());
        assert!(open::<ToClerk>(Vec::new()).is_err());
    }
}
