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
mod tests {
    use super::*;

    /// Surveys a granule whose file nobody else writes.
    fn open(dispenser: &mut Dispenser, granule: usize, survey: Survey) {
        assert_eq!(dispenser.surveyed(granule, survey), Some(ToClerk::Claim { granule }));
        dispenser.claimed(granule);
    }

    /// Lets lanes that work at different speeds do all there is; returns the units that were cut, in the order in which they were handed out.
    fn drive(n_granules: usize, n_lanes: usize, n_units: usize) -> Vec<(usize, usize)> {
        let mut dispenser = Dispenser::new(n_granules, n_lanes, n_lanes);
        let mut idle: Vec<usize> = (0..n_lanes).collect();
        let (mut busy, mut cut, mut turn) = (Vec::new(), Vec::new(), 0);
        while dispenser.outcomes().is_none() {
            while let Some(rank) = idle.last().copied() {
                let Some(order) = dispenser.next(rank) else { break };
                idle.pop();
                busy.push((rank, order));
            }
            assert!(!busy.is_empty(), "lanes wait although there is work");
            turn += 7;
            let (rank, order) = busy.remove(turn % busy.len());
            idle.push(rank);
            match order {
                ToLane::Survey { granule } => {
                    open(&mut dispenser, granule, Survey::ToCut { n_units, n_counted_units: 0 });
                }
                ToLane::Cut { granule, from, to, .. } => {
                    cut.extend((from..to).map(|unit| (granule, unit)));
                    dispenser.cut(granule, from);
                    if cut.iter().filter(|(of, _)| *of == granule).count() == n_units {
                        dispenser.written(granule, Tally::default());
                    }
                }
                _ => {}
            }
        }
        cut
    }

    #[test]
    fn every_unit_of_every_granule_is_cut_exactly_once() {
        let mut n_cases = 0;
        for (n_granules, n_lanes, n_units) in [(1, 1, 22), (1, 2, 22), (3, 7, 22), (5, 4, 1), (2, 64, 22)] {
            let mut cut = drive(n_granules, n_lanes, n_units);
            cut.sort_unstable();
            let wanted: Vec<_> =
                (0..n_granules).flat_map(|granule| (0..n_units).map(move |unit| (granule, unit))).collect();
            assert_eq!(cut, wanted);
            n_cases += 1;
        }
        assert_eq!(n_cases, 5);
    }

    #[test]
    fn a_rank_cuts_its_own_granules_first_and_then_helps_with_one_nobody_has_begun() {
        let mut dispenser = Dispenser::new(4, 2, 2);
        let survey = Survey::ToCut { n_units: 22, n_counted_units: 0 };
        let mut cut_by_first = [0; 4];
        let mut turn = |rank: usize| {
            match dispenser.next(rank).expect("there is work for all") {
                ToLane::Survey { granule } => open(&mut dispenser, granule, survey.clone()),
                ToLane::Cut { granule, from, to, .. } => {
                    dispenser.cut(granule, from);
                    cut_by_first[granule] += if rank == 0 { to - from } else { 0 };
                    if to == 22 {
                        dispenser.written(granule, Tally::default());
                    }
                }
                _ => {}
            }
            cut_by_first
        };
        // The other rank opens its first granule, and is slow.
        turn(1);
        while turn(0)[3] < 22 {}
        assert_eq!(turn(1), [22, 0, 22, 22]);
    }

    #[test]
    fn a_slow_lane_keeps_the_others_from_running_far_ahead() {
        let mut dispenser = Dispenser::new(1, 2, 1);
        dispenser.next(0);
        open(&mut dispenser, 0, Survey::ToCut { n_units: 1000, n_counted_units: 0 });
        dispenser.next(0);
        let mut furthest = 0;
        while let Some(ToLane::Cut { from, to, .. }) = dispenser.next(0) {
            furthest = to;
            if from > 0 {
                dispenser.cut(0, from);
            }
        }
        assert!((4..=AHEAD_UNITS + 2 * AHEAD_UNITS_A_LANE).contains(&furthest), "{furthest}");
        dispenser.cut(0, 0);
        assert!(dispenser.next(0).is_some());
    }

    #[test]
    fn a_granule_that_fails_does_not_stop_the_next() {
        let mut dispenser = Dispenser::new(2, 1, 1);
        assert_eq!(dispenser.next(0), Some(ToLane::Survey { granule: 0 }));
        assert!(dispenser.failed(0, "absent".into()));
        assert!(!dispenser.failed(0, "again".into()), "said once");
        assert_eq!(dispenser.next(0), Some(ToLane::Survey { granule: 1 }));
        dispenser.surveyed(1, Survey::MadeAlready);
        assert_eq!(dispenser.outcomes(), Some(vec![Outcome::Failed("absent".into()), Outcome::MadeAlready]));
    }

    #[test]
    fn a_granule_that_another_run_writes_is_left_to_it_and_comes_again() {
        let (mut dispenser, cut) =
            (Dispenser::new(2, 1, 1), Survey::ToCut { n_units: 1, n_counted_units: 0 });
        assert_eq!(dispenser.next(0), Some(ToLane::Survey { granule: 0 }));
        assert_eq!(dispenser.surveyed(0, cut.clone()), Some(ToClerk::Claim { granule: 0 }));
        dispenser.busy(0);
        assert_eq!(dispenser.next(0), Some(ToLane::Survey { granule: 1 }), "the next one meanwhile");
        assert_eq!(dispenser.surveyed(1, Survey::MadeAlready), None);
        assert_eq!((dispenser.next(0), dispenser.waits()), (None, true));
        for round in 0..2 {
            assert_eq!(dispenser.ask_again(), [(0, ToClerk::Claim { granule: 0 })]);
            if round == 0 {
                dispenser.busy(0);
            }
        }
        dispenser.claimed(0);
        assert!(!dispenser.waits());
        assert_eq!(dispenser.next(0), Some(ToLane::Survey { granule: 0 }), "the other run may have made it");
        assert_eq!(dispenser.surveyed(0, Survey::MadeAlready), Some(ToClerk::Abandon { granule: 0 }));
        assert_eq!(dispenser.outcomes(), Some(vec![Outcome::MadeAlready; 2]));
        // or it may have been killed
        let mut dispenser = Dispenser::new(1, 1, 1);
        dispenser.next(0);
        dispenser.surveyed(0, cut.clone());
        dispenser.busy(0);
        dispenser.ask_again();
        dispenser.claimed(0);
        dispenser.next(0);
        assert_eq!(dispenser.surveyed(0, cut), None, "claimed already");
        assert_eq!(dispenser.next(0), Some(ToLane::Sign { granule: 0 }));
    }

    #[test]
    fn cutting_waits_until_all_numbers_are_counted() {
        let mut dispenser = Dispenser::new(1, 1, 1);
        dispenser.next(0);
        open(&mut dispenser, 0, Survey::ToCut { n_units: 2, n_counted_units: 2 });
        let mut counts = vec![0; N_LEVELS];
        counts[100..200].fill(1);
        assert_eq!(dispenser.next(0), Some(ToLane::Count { granule: 0, from: 0, to: 1 }));
        dispenser.counted(0, 1, &counts);
        assert_eq!(dispenser.next(0), Some(ToLane::Count { granule: 0, from: 1, to: 2 }));
        assert_eq!(dispenser.next(0), None);
        dispenser.counted(0, 1, &counts);
        assert_eq!(dispenser.next(0), Some(ToLane::Sign { granule: 0 }));
        let ramps = vec![(101.0, 199.0)];
        assert_eq!(dispenser.next(0), Some(ToLane::Cut { granule: 0, from: 0, to: 1, ramps }));
    }
}
