//! `stage3-train score`: any number of granules, one row of cells at a time, shared among ranks.
//!
//! Rows of all granules are dealt out in turn; every rank judges its own and sends them to the first, which writes a granule's table when
//! the last of its rows has come. Each picture is judged alone, so batch, rows and ranks do not matter to the bytes. With several granules
//! one that is made already, from the same bytes, is skipped, and one that fails is a failed row of the ledger.

use crate::card::Card;
use crate::model::{Judged, Model};
use crate::sight::Normalise;
use crate::train::{SAME_SCORE, ends};
use crate::windows::{Cell, Windows};
use anyhow::{Context, bail, ensure};
use clap::Args as ClapArgs;
use contract::{Made, Score};
use nn::{DeviceChoice, Tones};
use ranks::{Address, Mailbox, Post, World};
use serde::{Deserialize, Serialize};
use stage::{Ledger, Progress};
use std::path::{Path, PathBuf};

/// What to score, and with which model
#[derive(ClapArgs, Debug)]
pub struct ScoreArgs {
    /// Tiles of a granule, from granule-split-mpi; several granules: once each, as --out
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    tiles: Vec<PathBuf>,
    /// Many granules: a table of tab-separated tiles and out; lines with # are left out
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tiles", "out"])]
    list: Option<PathBuf>,
    /// The model, from stage3-train train; its card lies beside it
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The backbone's weights that the model was trained on, if it has heads on a backbone; repeat for each, in any order
    #[arg(long, value_name = "FILE")]
    weights: Vec<PathBuf>,
    /// A finer map: one score every so many pixels, each of a window of a tile's size; divides a tile's side [default: a tile]
    #[arg(long, value_name = "PX")]
    stride_px: Option<u32>,
    /// Pictures that are judged at a time: more use more memory, and change no score
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// Where to compute: cpu, or a card as vulkan[:N] or cuda[:N] where this build has them
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// The scores
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    out: Vec<PathBuf>,
}

/// One granule to score.
#[derive(Clone, Debug, PartialEq)]
struct Job {
    tiles: PathBuf,
    out: PathBuf,
}

pub fn run(args: &ScoreArgs) -> anyhow::Result<Ledger> {
    ranks::run(|world| score(world, args))
}

fn score(world: &World, args: &ScoreArgs) -> anyhow::Result<Ledger> {
    let jobs = args.jobs()?;
    let card = Card::beside(&args.model)?;
    ensure!(
        card.limit.is_none_or(|limit| limit.n_blocks > 0),
        "{}: want a model that tells ground unlike its training as this version does, got one of a version before, which flags too much; \
         train it again",
        args.model.display()
    );
    if world.size() > 1 {
        // A pool exists already where a program runs several of these; its threads do as well.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(world.fair_threads()).build_global();
    }
    let model =
        Model::load(&args.model, &card, &args.weights, args.device).context("loading the score model")?;
    let plans: Vec<Plan> = jobs.iter().map(|job| Plan::of(args, job)).collect::<anyhow::Result<_>>()?;
    let (rank, size) = (world.rank(), world.size());
    world.converse(1, |post, mailboxes| {
        std::thread::scope(|scope| {
            let (plans, card, model) = (&plans, &card, &model);
            scope.spawn(move || {
                let guard = post.guard();
                work(args, plans, card, model, &post, (rank, size));
                drop(guard);
            });
            if rank > 0 {
                return Ok(Ledger::default());
            }
            Desk::new(args, plans, card).serve(&mailboxes[0])
        })
    })
}

impl ScoreArgs {
    fn many(&self) -> bool {
        self.list.is_some() || self.tiles.len() > 1
    }

    fn jobs(&self) -> anyhow::Result<Vec<Job>> {
        let Some(list) = &self.list else {
            let (n, n_out) = (self.tiles.len(), self.out.len());
            ensure!(
                n == n_out,
                "want as many --out as --tiles, got {n_out} and {n}; repeat them together or use --list"
            );
            let pairs = self.tiles.iter().zip(&self.out);
            return Ok(pairs.map(|(tiles, out)| Job { tiles: tiles.clone(), out: out.clone() }).collect());
        };
        let text = std::fs::read_to_string(list).map_err(contract::Error::io(list, "read"))?;
        let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#'));
        let job = |(i, line): (usize, &str)| match line.split('\t').map(str::trim).collect::<Vec<_>>()[..] {
            [tiles, out] if !tiles.is_empty() && !out.is_empty() => {
                Ok(Job { tiles: tiles.into(), out: out.into() })
            }
            _ => bail!(
                "{}: line {}: want tiles and out between tabs, got `{line}`; mend the line",
                list.display(),
                i + 1
            ),
        };
        let jobs: Vec<Job> = lines.map(job).collect::<anyhow::Result<_>>()?;
        ensure!(
            !jobs.is_empty(),
            "{}: want at least one granule, got none; add lines to the table",
            list.display()
        );
        Ok(jobs)
    }
}

/// A granule, and what its table will say of how it was made.
struct Plan {
    job: Job,
    made: Made,
    /// Rows of cells, or why there are none.
    n_rows: Result<u32, String>,
}

impl Plan {
    fn of(args: &ScoreArgs, job: &Job) -> anyhow::Result<Self> {
        let opened = Windows::open(&job.tiles, args.stride_px)
            .and_then(|windows| Ok((windows.n_rows(), made(args, job)?)));
        match opened {
            Ok((n_rows, made)) => {
                let n_rows = if args.many() && is_made(&job.out, &made) { 0 } else { n_rows };
                Ok(Self { job: job.clone(), made, n_rows: Ok(n_rows) })
            }
            Err(error) if args.many() => {
                let reason = stage::one_line(&error);
                Ok(Self { job: job.clone(), made: Made::by("stage3-train"), n_rows: Err(reason) })
            }
            Err(error) => Err(error),
        }
    }
}

fn made(args: &ScoreArgs, job: &Job) -> anyhow::Result<Made> {
    let mut made = Made::by("stage3-train");
    if let Some(stride) = args.stride_px {
        made = made.flag("stride-px", stride);
    }
    made = made.input(&job.tiles)?.input(&args.model)?;
    args.weights.iter().try_fold(made, |made, weights| made.input(weights)).map_err(Into::into)
}

/// Whether a table is there that was made so, from the same bytes.
fn is_made(out: &Path, made: &Made) -> bool {
    let tag = <Score as contract::Record>::SPEC.tag();
    let found = contract::tags(out).unwrap_or_default();
    made.pairs(&tag).iter().all(|pair| found.contains(pair))
}

/// What is said of a cell: scores and distance, as the bits of floating-point numbers, so that they travel as they are.
type Said = (Vec<u64>, Option<u64>);

/// What a rank tells the first one of a row of cells.
#[derive(Serialize, Deserialize)]
struct Letter {
    job: usize,
    row: u32,
    /// What is said of each cell that is not skipped, or what went wrong.
    said: Result<Vec<Said>, String>,
}

/// Judges every `size`th row of cells of all granules and sends what it found.
fn work(
    args: &ScoreArgs,
    plans: &[Plan],
    card: &Card,
    model: &Model,
    post: &Post,
    (rank, size): (usize, usize),
) {
    let units = plans.iter().enumerate().flat_map(|(job, plan)| {
        let n_rows = plan.n_rows.as_ref().copied().unwrap_or(0);
        (0..n_rows).map(move |row| (job, row))
    });
    let mut open: Option<(usize, anyhow::Result<(Windows, Tones)>)> = None;
    for (job, row) in units.skip(rank).step_by(size) {
        if open.as_ref().is_none_or(|(at, _)| *at != job) {
            open = Some((job, enter(args, &plans[job].job, card)));
        }
        let said = match &mut open {
            Some((_, Ok((windows, tones)))) => judge(args, model, windows, tones, row),
            Some((_, Err(error))) => Err(anyhow::anyhow!(stage::one_line(error))),
            None => continue,
        };
        let letter = Letter { job, row, said: said.map_err(|error| stage::one_line(&error)) };
        let text = serde_json::to_vec(&letter).unwrap_or_default();
        if post.send(Address { rank: 0, mailbox: 0 }, text).is_err() {
            break;
        }
    }
}

fn enter(args: &ScoreArgs, job: &Job, card: &Card) -> anyhow::Result<(Windows, Tones)> {
    let windows = Windows::open(&job.tiles, args.stride_px)?;
    let by_scene = card.sight.normalise == Normalise::Scene;
    let tones = if by_scene { windows.tones()? } else { Tones::together(std::iter::empty()) };
    Ok((windows, tones))
}

fn judge(
    args: &ScoreArgs,
    model: &Model,
    windows: &mut Windows,
    tones: &Tones,
    row: u32,
) -> anyhow::Result<Vec<Said>> {
    let bits = |judged: Judged| {
        (judged.scores.into_iter().map(f64::to_bits).collect(), judged.distance.map(f64::to_bits))
    };
    let mut all = Vec::new();
    for batch in windows.pictures(row)?.chunks(args.batch as usize) {
        all.extend(model.judge(batch, tones)?.into_iter().map(bits));
    }
    Ok(all)
}

/// The first rank's side: rows come in, tables go out.
struct Desk<'a> {
    args: &'a ScoreArgs,
    plans: &'a [Plan],
    card: &'a Card,
    /// Rows that have come, by granule and row.
    rows: Vec<Vec<Option<Vec<Judged>>>>,
    ledger: Ledger,
    progress: Progress,
}

impl<'a> Desk<'a> {
    fn new(args: &'a ScoreArgs, plans: &'a [Plan], card: &'a Card) -> Self {
        let n_rows = |plan: &Plan| plan.n_rows.as_ref().map_or(0, |&n| n as usize);
        let rows: Vec<Vec<_>> = plans.iter().map(|plan| (0..n_rows(plan)).map(|_| None).collect()).collect();
        let progress = Progress::over("rows", rows.iter().map(Vec::len).sum());
        let ledger = if args.many() { Ledger::of("granules", plans.len()) } else { Ledger::of("tiles", 0) };
        Self { args, plans, card, rows, ledger, progress }
    }

    fn serve(mut self, letters: &Mailbox) -> anyhow::Result<Ledger> {
        let mut failed: Vec<Option<String>> =
            self.plans.iter().map(|p| p.n_rows.as_ref().err().cloned()).collect();
        let mut waiting: Vec<usize> = self.rows.iter().map(Vec::len).collect();
        let n_letters: usize = waiting.iter().sum();
        for _ in 0..n_letters {
            let letter: Letter = serde_json::from_slice(&letters.receive().context("a rank fell silent")?)?;
            let Letter { job, row, said } = letter;
            self.progress.add(1);
            match said {
                Ok(row_said) => {
                    self.rows[job][row as usize] = Some(row_said.into_iter().map(unpack).collect())
                }
                Err(reason) if self.args.many() => failed[job] = failed[job].take().or(Some(reason)),
                Err(reason) => bail!("{reason}"),
            }
            waiting[job] -= 1;
            if waiting[job] == 0 && failed[job].is_none() {
                self.write(job)?;
            }
        }
        if self.args.many() {
            for (plan, failed) in self.plans.iter().zip(failed) {
                match failed {
                    Some(reason) => {
                        tracing::warn!("{}: {reason}", plan.job.tiles.display());
                        self.ledger.fail(&reason);
                    }
                    None if plan.n_rows == Ok(0) => self.ledger.skip("made already"),
                    None => self.ledger.ok(1),
                }
            }
        }
        Ok(self.ledger)
    }

    fn write(&mut self, job: usize) -> anyhow::Result<()> {
        let plan = &self.plans[job];
        let windows = Windows::open(&plan.job.tiles, self.args.stride_px)?;
        let mut table = Vec::new();
        for (row, judged) in std::mem::take(&mut self.rows[job]).into_iter().enumerate() {
            let mut judged = judged.unwrap_or_default().into_iter();
            for cell in windows.cells(row as u32) {
                let found = if cell.skipped.is_none() { judged.next() } else { None };
                if !self.args.many() {
                    self.ledger.n_in += 1;
                    match &cell.skipped {
                        Some(reason) => self.ledger.skip(reason),
                        None => self.ledger.ok(1),
                    }
                }
                table.push(score_row(&windows, self.card, cell, found.as_ref()));
            }
        }
        warn_if_constant(&windows, &table);
        Ok(contract::write(&plan.job.out, &table, &plan.made)?)
    }
}

fn warn_if_constant(windows: &Windows, table: &[Score]) {
    let scores: Vec<f64> = table.iter().filter_map(|row| row.score).collect();
    let (low, high) = ends(&scores);
    if scores.len() > 1 && high - low <= SAME_SCORE {
        tracing::warn!(
            "granule {}: all {} tiles get the score {low:.3}: they show the same, or the model tells nothing apart on this ground",
            windows.reader().granule(),
            scores.len()
        );
    }
}

fn unpack((scores, distance): Said) -> Judged {
    Judged {
        scores: scores.into_iter().map(f64::from_bits).collect(),
        distance: distance.map(f64::from_bits),
    }
}

fn score_row(windows: &Windows, card: &Card, cell: Cell, judged: Option<&Judged>) -> Score {
    let (score, sd) =
        judged.map(|j| mean_and_sd(&j.scores)).map_or((None, None), |(mean, sd)| (Some(mean), sd));
    let ends = score.zip(card.interval).map(|(score, interval)| interval.around(score));
    let distance = judged.and_then(|j| j.distance).zip(card.limit).map(|(far, limit)| far / limit.distance);
    let [west_m, south_m, east_m, north_m] = cell.bounds_m;
    Score {
        granule: windows.reader().granule().clone(),
        tile: cell.id,
        crs: windows.reader().meta().crs.clone(),
        west_m,
        south_m,
        east_m,
        north_m,
        score,
        sd,
        low: ends.map(|e| e.0),
        high: ends.map(|e| e.1),
        distance_ratio: distance,
        outside: distance.map(|ratio| ratio > 1.0),
        n_members: judged.map_or(0, |j| j.scores.len() as u32),
        skipped: cell.skipped,
    }
}

/// The mean and the standard deviation of an ensemble's scores; no deviation below two members.
fn mean_and_sd(scores: &[f64]) -> (f64, Option<f64>) {
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    let squares = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>();
    (mean, (scores.len() > 1).then(|| (squares / (scores.len() - 1) as f64).sqrt()))
}
