//! Lanes that work at different speeds, granules that fail, and another run over the same list.

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
    let (mut dispenser, cut) = (Dispenser::new(2, 1, 1), Survey::ToCut { n_units: 1, n_counted_units: 0 });
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
