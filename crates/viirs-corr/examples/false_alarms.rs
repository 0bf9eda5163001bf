//! METHODS T7: how often two independent fields that are alike over some distance are called correlated at the 5 % level.
//!
//! Prints one line of JSON for benches: shares with the effective number of cells, with permuted phases, and with all cells taken as independent.

use clap::Parser;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use viirs_corr::correlate::pearson;
use viirs_corr::dependence::{Lags, p_of, p_of_phases};
use viirs_corr::made::{field, pair};

#[derive(Parser)]
struct Args {
    /// Pairs of fields
    #[arg(long, default_value_t = 500)]
    pairs: usize,
    /// Side of a field in cells, a power of two
    #[arg(long, default_value_t = 32)]
    side: usize,
    /// Distance over which a field is alike, in cells
    #[arg(long, default_value_t = 3.0)]
    length_cells: f64,
    /// Draws of phases a pair
    #[arg(long, default_value_t = 39)]
    draws: usize,
    /// Seed of the fields
    #[arg(long, default_value_t = 77)]
    seed: u64,
}

const LEVEL: f64 = 0.05;

fn main() {
    let args = Args::parse();
    let mut chance = ChaCha8Rng::seed_from_u64(args.seed);
    let (mut effective, mut phases, mut naive) = (0, 0, 0);
    for seed in 0..args.pairs as u64 {
        let (xs, ys) = (
            field(args.side, args.length_cells, &mut chance),
            field(args.side, args.length_cells, &mut chance),
        );
        let pair = pair(args.side, xs, ys);
        let Some(r) = pearson(&pair.xs, &pair.ys) else { continue };
        let below = |p: Option<f64>| usize::from(p.is_some_and(|p| p <= LEVEL));
        effective += below(p_of(r, Lags::of(&pair).effective_n()));
        phases += below(p_of_phases(&pair, args.draws, seed));
        naive += below(p_of(r, pair.cells.len() as f64));
    }
    let share = |n: usize| n as f64 / args.pairs as f64;
    println!(
        r#"{{"job": "false_alarms", "pairs": {}, "effective": {:.4}, "phases": {:.4}, "naive": {:.4}}}"#,
        args.pairs,
        share(effective),
        share(phases),
        share(naive)
    );
}
