//! Who does what next: runs of block rows of all granules, granule after granule, to whichever lane is free.
//!
//! A lane gets granules whose file its own rank writes while there are any: then no pixel leaves the rank, and rows of tiles are
//! seldom cut in two. After them it helps with the others: with one that nobody has begun, or the one that has most left, to its end.
//!
//! A file is claimed before its granule is cut. One that another run is writing is left to that run, and comes again when it is done there:
//! two runs over one list share the work, and neither fails.
//!
//! Runs are long at first and short at the end of a granule, so that lanes end together. No run begins far ahead of the earliest
//! one that is not done, so that what waits for its turn in a file stays small.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::letter::{Survey, Tally, ToClerk, ToLane, owner};
use crate::render::{N_LEVELS, Ramp};

/// The longest run, in units.
const MAX_RUN_UNITS: usize = 4;

/// How far ahead runs may begin, in units: some, and some more for each lane.
const AHEAD_UNITS: usize = 4;
const AHEAD_UNITS_A_LANE: usize = 3;

/// What became of a granule.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Its file was made.
    Made(Tally),
    /// Its file was there.
    MadeAlready,
    /// It could not be done, for this reason.
    Failed(String),
}

#[derive(Debug)]
enum Phase {
    Unseen,
    Surveying {
        claimed: bool,
    },
    /// The clerk is asked whether the file is ours; what is to do for it, if that is known.
    Claiming(Option<Work>),
    /// Another run writes the file.
    Busy,
    /// Ours after another run had it, which may have made it.
    Claimed,
    Counting {
        next: usize,
        n_units: usize,
        n_counted: usize,
        n_to_cut: usize,
        counts: Vec<u64>,
    },
    Cutting {
        next: usize,
        n_units: usize,
        running: BTreeMap<usize, usize>,
        signed: bool,
        ramps: Vec<(f64, f64)>,
    },
    Over(Outcome),
}

/// What is to do for a granule.
#[derive(Debug, Clone, Copy)]
struct Work {
    n_units: usize,
    n_counted_units: usize,
}

impl Phase {
    /// Units that nobody has begun.
    fn n_left(&self) -> usize {
        match self {
            Phase::Unseen | Phase::Claimed => usize::MAX,
            Phase::Counting { next, n_units, .. } | Phase::Cutting { next, n_units, .. } => n_units - next,
            Phase::Surveying { .. } | Phase::Claiming(_) | Phase::Busy | Phase::Over(_) => 0,
        }
    }

    /// Whether a lane could be of use, now or soon.
    fn is_open(&self) -> bool {
        !matches!(self, Phase::Over(_) | Phase::Busy | Phase::Claiming(None))
    }
}

/// The state of all granules.
#[derive(Debug)]
pub struct Dispenser {
    granules: Vec<Phase>,
    n_lanes: usize,
    n_ranks: usize,
    /// The granule that each rank was given last.
    last: BTreeMap<usize, usize>,
}

impl Dispenser {
    /// Nothing done yet.
    pub fn new(n_granules: usize, n_lanes: usize, n_ranks: usize) -> Self {
        Self {
            granules: (0..n_granules).map(|_| Phase::Unseen).collect(),
            n_lanes,
            n_ranks,
            last: BTreeMap::new(),
        }
    }

    /// What became of the granules, once all are over.
    pub fn outcomes(&self) -> Option<Vec<Outcome>> {
        let over = |phase: &Phase| match phase {
            Phase::Over(outcome) => Some(outcome.clone()),
            _ => None,
        };
        self.granules.iter().map(over).collect()
    }

    /// Granules that are over.
    pub fn n_over(&self) -> usize {
        self.granules.iter().filter(|phase| matches!(phase, Phase::Over(_))).count()
    }

    /// The next thing to do for a lane of this rank, if there is one for any lane now.
    pub fn next(&mut self, rank: usize) -> Option<ToLane> {
        // More granules than lanes are never begun at once.
        let open = (0..self.granules.len()).filter(|granule| self.granules[*granule].is_open());
        let open: Vec<usize> = open.take(self.n_lanes + 1).collect();
        let is_mine = |granule: &usize| owner(*granule, self.n_ranks).rank == rank;
        let (mut turn, mut others): (Vec<usize>, Vec<usize>) = open.into_iter().partition(is_mine);
        let last = self.last.get(&rank);
        others.sort_by_key(|granule| (last != Some(granule), Reverse(self.granules[*granule].n_left())));
        turn.append(&mut others);
        let (granule, order) = turn.into_iter().find_map(|granule| {
            Some((granule, next_of(granule, &mut self.granules[granule], self.n_lanes)?))
        })?;
        self.last.insert(rank, granule);
        Some(order)
    }

    /// A granule was opened; what its clerk is to be told.
    pub fn surveyed(&mut self, granule: usize, survey: Survey) -> Option<ToClerk> {
        let phase = &mut self.granules[granule];
        let Phase::Surveying { claimed } = *phase else { return None };
        match survey {
            Survey::MadeAlready => {
                *phase = Phase::Over(Outcome::MadeAlready);
                claimed.then_some(ToClerk::Abandon { granule })
            }
            Survey::ToCut { n_units, n_counted_units } if claimed => {
                *phase = begun(Work { n_units, n_counted_units });
                None
            }
            Survey::ToCut { n_units, n_counted_units } => {
                *phase = Phase::Claiming(Some(Work { n_units, n_counted_units }));
                Some(ToClerk::Claim { granule })
            }
        }
    }

    /// A granule's file is this run's to write.
    pub fn claimed(&mut self, granule: usize) {
        let phase = &mut self.granules[granule];
        if let Phase::Claiming(work) = phase {
            *phase = work.map_or(Phase::Claimed, begun);
        }
    }

    /// Another run is writing a granule's file.
    pub fn busy(&mut self, granule: usize) {
        if matches!(self.granules[granule], Phase::Claiming(_)) {
            self.granules[granule] = Phase::Busy;
        }
    }

    /// Whether another run is writing files that this one waits for.
    pub fn waits(&self) -> bool {
        self.granules.iter().any(|phase| matches!(phase, Phase::Busy))
    }

    /// Asks again for the files that another run was writing; what their clerks are to be told.
    pub fn ask_again(&mut self) -> Vec<(usize, ToClerk)> {
        let busy = self.granules.iter_mut().enumerate().filter(|(_, phase)| matches!(phase, Phase::Busy));
        busy.map(|(granule, phase)| {
            *phase = Phase::Claiming(None);
            (granule, ToClerk::Claim { granule })
        })
        .collect()
    }

    /// The numbers in some units were counted.
    pub fn counted(&mut self, granule: usize, n: usize, more: &[u64]) {
        let Phase::Counting { n_units, n_counted, n_to_cut, counts, .. } = &mut self.granules[granule] else {
            return;
        };
        counts.resize(more.len().max(counts.len()), 0);
        counts.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        *n_counted += n;
        if n_counted == n_units {
            let ramps =
                counts.chunks_exact(N_LEVELS).map(|counts| Ramp::of_histogram(counts).ends()).collect();
            self.granules[granule] = cutting(*n_to_cut, ramps);
        }
    }

    /// A run was cut; how many units it had.
    pub fn cut(&mut self, granule: usize, from: usize) -> usize {
        match &mut self.granules[granule] {
            Phase::Cutting { running, .. } => running.remove(&from).map_or(0, |to| to - from),
            _ => 0,
        }
    }

    /// A granule's file has its name.
    pub fn written(&mut self, granule: usize, tally: Tally) {
        if !matches!(self.granules[granule], Phase::Over(_)) {
            self.granules[granule] = Phase::Over(Outcome::Made(tally));
        }
    }

    /// A granule cannot be done; whether that is news.
    pub fn failed(&mut self, granule: usize, reason: String) -> bool {
        let news = !matches!(self.granules[granule], Phase::Over(_));
        if news {
            self.granules[granule] = Phase::Over(Outcome::Failed(reason));
        }
        news
    }
}

fn begun(Work { n_units, n_counted_units }: Work) -> Phase {
    if n_counted_units == 0 {
        return cutting(n_units, Vec::new());
    }
    Phase::Counting { next: 0, n_units: n_counted_units, n_counted: 0, n_to_cut: n_units, counts: Vec::new() }
}

fn cutting(n_units: usize, ramps: Vec<(f64, f64)>) -> Phase {
    Phase::Cutting { next: 0, n_units, running: BTreeMap::new(), signed: false, ramps }
}

fn next_of(granule: usize, phase: &mut Phase, n_lanes: usize) -> Option<ToLane> {
    match phase {
        Phase::Unseen | Phase::Claimed => {
            *phase = Phase::Surveying { claimed: matches!(phase, Phase::Claimed) };
            Some(ToLane::Survey { granule })
        }
        Phase::Counting { next, n_units, .. } if *next < *n_units => {
            let from = *next;
            *next += run(*n_units - from, n_lanes);
            Some(ToLane::Count { granule, from, to: *next })
        }
        Phase::Cutting { signed, .. } if !*signed => {
            *signed = true;
            Some(ToLane::Sign { granule })
        }
        Phase::Cutting { next, n_units, running, ramps, .. } if *next < *n_units => {
            let (from, length) = (*next, run(*n_units - *next, n_lanes));
            let earliest = running.first_key_value().map_or(from, |(from, _)| *from);
            if from + length - earliest > AHEAD_UNITS + AHEAD_UNITS_A_LANE * n_lanes {
                return None;
            }
            *next += length;
            running.insert(from, *next);
            Some(ToLane::Cut { granule, from, to: *next, ramps: ramps.clone() })
        }
        _ => None,
    }
}

/// A part of what is left that leaves some for each lane.
fn run(n_left: usize, n_lanes: usize) -> usize {
    (n_left / (2 * n_lanes.max(1))).clamp(1, MAX_RUN_UNITS)
}

#[cfg(test)]
mod tests;
