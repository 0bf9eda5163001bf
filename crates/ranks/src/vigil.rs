//! Who has not been heard for too long. A rank that is dead is noticed by its launcher; one that is stopped, or whose host is gone, by this.
//!
//! The first rank listens to all others, and they to the first. Each says now and then that it is there. Silence is counted while this
//! process runs: when a whole job is stopped for an hour and goes on, no rank has been silent.

use std::time::{Duration, Instant};

/// Signs of life while a rank's patience lasts.
const BEATS: u32 = 8;

/// The most that one look at the clock counts as silence: a longer gap means that this process did not run.
const LONGEST_GAP: Duration = Duration::from_secs(1);

/// How much longer a rank may take to its first sign in a conversation, because it may still read what it needs.
const ARRIVAL: u32 = 3;

/// The silence of the ranks that this one listens to.
#[derive(Debug)]
pub(crate) struct Vigil {
    patience: Duration,
    /// By rank: how long it has been silent, and whether it was ever heard; nothing for ranks that others listen to.
    silent: Vec<Option<(Duration, bool)>>,
    looked: Instant,
    beaten: Option<Instant>,
}

impl Vigil {
    /// A vigil of `rank` among `size`, which begins now.
    pub fn begin(rank: usize, size: usize, patience: Duration) -> Self {
        let listens = |other: usize| other != rank && (rank == 0 || other == 0);
        let silent = (0..size).map(|other| listens(other).then_some((Duration::ZERO, false))).collect();
        Self { patience, silent, looked: Instant::now(), beaten: None }
    }

    /// How long a rank may be silent.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Those who listen to this rank, as it listens to them.
    pub fn peers(&self) -> Vec<usize> {
        (0..self.silent.len()).filter(|rank| self.silent[*rank].is_some()).collect()
    }

    /// A rank was heard.
    pub fn heard(&mut self, rank: usize) {
        if let Some(Some(silence)) = self.silent.get_mut(rank) {
            *silence = (Duration::ZERO, true);
        }
    }

    /// Looks at the clock; the first rank that has been silent for too long.
    pub fn look(&mut self, now: Instant) -> Option<usize> {
        let gap = now.saturating_duration_since(self.looked).min(LONGEST_GAP);
        self.looked = now;
        let patience = self.patience;
        self.silent.iter_mut().position(|silence| {
            silence.as_mut().is_some_and(|(silent, heard)| {
                *silent += gap;
                *silent > if *heard { patience } else { patience * ARRIVAL }
            })
        })
    }

    /// Whether it is time to say that this rank is there.
    pub fn is_beat_due(&mut self, now: Instant) -> bool {
        let due =
            self.beaten.is_none_or(|beaten| now.saturating_duration_since(beaten) >= self.patience / BEATS);
        if due {
            self.beaten = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Looks every half second from `from` to `to` seconds after `start`; the first silent rank.
    fn looks(vigil: &mut Vigil, start: Instant, from: u64, to: u64) -> Option<usize> {
        (2 * from..2 * to).find_map(|half| vigil.look(start + Duration::from_millis(500 * half)))
    }

    #[test]
    fn the_first_rank_names_who_fell_silent_and_the_others_listen_to_it_alone() {
        let mut first = Vigil::begin(0, 4, PATIENCE);
        let start = Instant::now();
        (1..4).for_each(|rank| first.heard(rank));
        assert_eq!(looks(&mut first, start, 0, 9), None);
        [1, 3].into_iter().for_each(|rank| first.heard(rank));
        assert_eq!(looks(&mut first, start, 9, 20), Some(2));
        assert_eq!(Vigil::begin(2, 4, PATIENCE).peers(), [0]);
        assert_eq!(Vigil::begin(0, 4, PATIENCE).peers(), [1, 2, 3]);
    }

    #[test]
    fn a_rank_that_was_never_heard_may_take_longer_to_arrive() {
        let (mut vigil, start) = (Vigil::begin(1, 2, PATIENCE), Instant::now());
        assert_eq!(looks(&mut vigil, start, 0, 29), None);
        assert_eq!(looks(&mut vigil, start, 29, 40), Some(0));
    }

    #[test]
    fn the_time_that_a_whole_job_was_stopped_is_no_silence() {
        let (mut vigil, start) = (Vigil::begin(1, 2, PATIENCE), Instant::now());
        vigil.heard(0);
        assert_eq!(vigil.look(start + Duration::from_secs(3600)), None);
        assert_eq!(vigil.look(start + Duration::from_secs(7200)), None);
    }
}
