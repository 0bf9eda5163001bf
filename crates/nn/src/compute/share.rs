//! Sharing an output among threads: ranges of its rows, each with the slice that belongs to it.

use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Cuts `out` into ranges of about `units_a_task` units, and computes them on all threads. `end` gives where in `out` a
/// unit ends; units follow each other without gaps.
pub(crate) fn share<T: Send>(
    out: &mut [T],
    n_units: usize,
    units_a_task: usize,
    begin_of: impl Fn(usize) -> usize,
    compute: impl Fn(Range<usize>, &mut [T]) + Sync,
) {
    let mut tasks = Vec::with_capacity(n_units.div_ceil(units_a_task.max(1)));
    let (mut rest, mut begin) = (out, 0);
    while begin < n_units {
        let end = (begin + units_a_task.max(1)).min(n_units);
        let (mine, others) = rest.split_at_mut(begin_of(end) - begin_of(begin));
        tasks.push((begin..end, mine));
        (rest, begin) = (others, end);
    }
    match tasks.len() {
        1 => tasks.into_iter().for_each(|(range, out)| compute(range, out)),
        _ => tasks.into_par_iter().for_each(|(range, out)| compute(range, out)),
    }
}

/// Units a task such that every thread gets several tasks, if there are enough units, and none takes more than `most`.
pub(crate) fn units_a_task(n_units: usize, least: usize, most: usize) -> usize {
    n_units.div_ceil(4 * rayon::current_num_threads()).clamp(least.min(most), most)
}

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with memory of this thread; what it holds is what the last user left there. `f` must not share work itself.
pub(crate) fn with_scratch<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < len {
            scratch.resize(len, 0.0);
        }
        f(&mut scratch[..len])
    })
}
