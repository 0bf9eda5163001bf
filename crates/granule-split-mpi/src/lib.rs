//! Scenes to tiles: square pictures of 8 bits with their place on the ground and their share of data and of cloud, one Parquet a granule.
//!
//! Work is shared by block rows of all granules of a run, over MPI ranks and threads, as they become free; each block is decoded once. The
//! lane (thread) that has all lines of a row of tiles packs it as a finished row group; a row that falls between two lanes is joined by the
//! rank that owns the granule's file (ranks own granules in turn), which appends row groups in order. Any number of ranks and threads, and a
//! run without `mpirun`, makes the same bytes. A lane holds a run of block rows; what waits for its turn in a file is bounded too.
//!
//! Scenes of 8 bits pass unchanged. Scenes of 16-bit reflectance become 8 bits by the rule of Sentinel-2's own true-colour image, which looks
//! dim but means the same in every scene; its tiles resemble the pictures that judges were trained on (mean of the demo scene 57, 69, 85 in red,
//! green, blue and 16, 12, 9 within a tile; of 200 of the labelled pictures 66, 75, 84 and 18, 12, 10). `--render stretch` shows more to an eye,
//! a scene at a time, and reads the scene twice. Reflectance is what `--scale` and `--offset` make of the numbers, else the file's own scale and
//! offset, else number / 10000; floats are reflectance. What is no data: the file's own value, a mask in it or beside it, a transparent
//! pixel, or black (`--black-max`) in all bands, because some published scenes carry no value and JPEG makes their black a few counts bright. It is
//! black in tiles.
//!
//! With several granules (`--scene`, `--granule`, `--out` repeated, or `--scenes TABLE`) one that is made already, by the same program and
//! flags from the same bytes, is skipped, and one that fails is a failed row in the ledger: `--max-failed` says how many may.
//! `--index-out` reads the finished files, so the first rank must see all of them.
//!
//! Promises. Process killed, machine lost power, disk full: the old file stays or the new one is whole, and a run of several granules
//! goes on with those that are missing. A rank that dies ends all of them. Bad input: one line, no file. Hostile input: names of exported
//! pictures are made of ids that were checked, and never leave their folder.
//!
//! Left out: overlapping windows, reprojection, pictures again for granules that are made already.

mod clerk;
mod cloud;
mod cut;
mod dispenser;
mod export;
mod flags;
mod index;
mod lane;
mod layout;
mod letter;
mod numbers;
mod reflectance;
mod render;
mod scene;
mod share;
mod strip;

use anyhow::bail;
use ranks::World;
use stage::Ledger;
use tracing::{info, warn};

pub use flags::{Args, Job};
pub use layout::Edge;
pub use render::Render;

use dispenser::Outcome;
use lane::Task;

/// Splits the scenes, on as many ranks as there are.
///
/// # Errors
/// If a scene is no projected raster of bytes or reflectance, lacks a band, is smaller than a tile or damaged, or an output cannot be written; of several
/// granules only those fail that must.
pub fn run(args: Args) -> anyhow::Result<Ledger> {
    ranks::run(|world| split(world, &args))
}

fn split(world: &World, args: &Args) -> anyhow::Result<Ledger> {
    let jobs = args.jobs()?;
    let task = Task { args, jobs: &jobs, n_ranks: world.size() };
    let ledger = share::out(world, task, |outcomes| conclude(args, &jobs, outcomes))?;
    Ok(ledger.unwrap_or_default())
}

fn conclude(args: &Args, jobs: &[Job], outcomes: Vec<Outcome>) -> anyhow::Result<Ledger> {
    let whole = jobs.iter().zip(&outcomes).filter(|(_, outcome)| !matches!(outcome, Outcome::Failed(_)));
    let whole: Vec<&Job> = whole.map(|(job, _)| job).collect();
    let ledger = if args.many() { granules(jobs, outcomes) } else { tiles(outcomes)? };
    if let Some(path) = &args.index_out {
        index::write(path, &whole)?;
    }
    Ok(ledger)
}

/// The ledger of one granule counts its tiles.
fn tiles(outcomes: Vec<Outcome>) -> anyhow::Result<Ledger> {
    let tally = match outcomes.into_iter().next() {
        Some(Outcome::Made(tally)) => tally,
        Some(Outcome::Failed(reason)) => bail!("{reason}"),
        // Without granules there is no run, and one granule is always made.
        Some(Outcome::MadeAlready) | None => return Ok(Ledger::default()),
    };
    let mut ledger = Ledger::of("tiles", tally.n_ok + tally.skipped.values().sum::<usize>());
    ledger.ok(tally.n_ok);
    for (reason, n) in &tally.skipped {
        (0..*n).for_each(|_| ledger.skip(reason));
    }
    Ok(ledger)
}

/// The ledger of several granules counts granules; the log counts their tiles.
fn granules(jobs: &[Job], outcomes: Vec<Outcome>) -> Ledger {
    let mut ledger = Ledger::of("granules", jobs.len());
    for (job, outcome) in jobs.iter().zip(outcomes) {
        match outcome {
            Outcome::Made(tally) => {
                ledger.ok(1);
                let skipped: Vec<_> =
                    tally.skipped.iter().map(|(reason, n)| format!(", {n} {reason}")).collect();
                info!("{}: {} tiles{}", job.granule, tally.n_ok, skipped.concat());
            }
            Outcome::MadeAlready => ledger.skip("made already"),
            Outcome::Failed(reason) => {
                warn!("{}: {reason}", job.granule);
                ledger.fail(&reason);
            }
        }
    }
    ledger
}
