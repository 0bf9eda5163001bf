//! Tiles to class labels (`classify`), to development votes (`vote`) and to comparisons (`pair`), by judges and prompts.
//!
//! A judge is an endpoint with a vision-language model (`openai`), a recording of one (`replay`), the
//! offline judge (`local`), whose heads `train-local` makes from labelled pictures, or people, through Label
//! Studio (`human-export`, `human-import`). `merge` puts several side by side, `quality` reports how far they
//! can be trusted, `lint` refuses prompts that lead. Every run tries its judge with a few canaries.
//! Answers are read strictly, and so is the envelope that they come in; what cannot be read is missing, with its reason, and never a
//! number. What was paid for is recorded as it came, and read anew by each version.
//! Equal questions (same prompt, image and repeat) are asked once. Too many missing answers
//! (`--max-failed`) and nothing is written. Left out: whether an answer is right.
//!
//! What is promised:
//! - killed: what was answered is in `--record` and is not asked, or paid for, again; no half table; only what was
//!   under way may be lost. A batch of `--batch` is found again, whatever step the kill hit;
//! - money: `--max-cost` and `--max-calls` hold however many calls run at once, also where the endpoint counts nothing; `plan` says
//!   both beforehand; a run that more missing answers than `--max-failed` doom stops at once;
//! - the endpoint down, slow, limiting or talking rubbish: bounded retries, then missing, by kind;
//! - hostile answers: at most 4 MiB are read; of an answer or an error at most a short line is shown, without control characters and
//!   without anything that looks like a secret;
//! - keys: read from the environment, in no flag, log, error or file.
//!
//! Tables say which judge answered, not whether it was recorded: a replay gives the bytes of the run
//! that it records.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use contract::{Made, TileReader};
use stage::Ledger;

pub mod active;
pub mod agreement;
pub mod answer;
mod audit;
pub mod canary;
mod classify;
mod draw;
pub mod form;
pub mod ground;
mod human;
pub mod judge;
pub mod label_studio;
pub mod lint;
pub mod local;
mod merge;
pub mod missing;
mod of_answers;
mod of_pairs;
mod of_votes;
pub mod openai;
mod page;
mod pair;
pub mod picture;
mod plan;
mod print;
pub mod prompt;
mod quality;
mod sentences;
pub mod softmax;
pub mod tape;
mod train_local;
mod vote;

use judge::{Answer, Judge};
use local::Local;
use openai::OpenAi;
use openai::args::EndpointArgs;
use tape::Tape;

/// Tiles to class labels and to development votes
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    job: Job,
}

#[derive(clap::Subcommand, Debug)]
enum Job {
    Classify(classify::ClassifyArgs),
    Vote(vote::VoteArgs),
    Plan(plan::PlanArgs),
    Pair(pair::PairArgs),
    Lint(lint::LintArgs),
    HumanExport(human::ExportArgs),
    HumanImport(human::ImportArgs),
    Merge(merge::MergeArgs),
    Quality(quality::QualityArgs),
    TrainLocal(train_local::TrainLocalArgs),
}

/// Runs the subcommand: reads tiles and prompts, asks the judge, writes the table.
///
/// # Errors
/// Unreadable inputs, a judge that cannot go on, too many missing answers, an unwritable output.
pub fn run(args: Args) -> anyhow::Result<Ledger> {
    match args.job {
        Job::Classify(args) => classify::run(args),
        Job::Vote(args) => vote::run(args),
        Job::Plan(args) => plan::run(args),
        Job::Pair(args) => pair::run(args),
        Job::Lint(args) => lint::run(&args),
        Job::HumanExport(args) => human::export(&args),
        Job::HumanImport(args) => human::import(&args),
        Job::Merge(args) => merge::run(&args),
        Job::Quality(args) => quality::run(&args),
        Job::TrainLocal(args) => train_local::run(&args),
    }
}

/// Who answers, and within what bounds.
#[derive(clap::Args, Debug)]
struct JudgeArgs {
    /// Who answers
    #[arg(long, value_enum)]
    judge: JudgeKind,
    /// Recording to replay, for --judge replay (JSON lines)
    #[arg(long, value_name = "FILE", required_if_eq("judge", "replay"))]
    replay: Option<PathBuf>,
    /// Record every answer here, and ask nothing that is recorded already (JSON lines)
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Heads of the offline judge, from train-local; the card lies beside them
    #[arg(long, value_name = "FILE", required_if_eq("judge", "local"))]
    heads: Option<PathBuf>,
    /// The backbone's weights, for --judge local
    #[arg(long, value_name = "FILE", required_if_eq("judge", "local"))]
    weights: Option<PathBuf>,
    /// Side of the backbone's input in pixels, for --judge local; without it the side of its training
    #[arg(long, value_name = "PX")]
    input_px: Option<usize>,
    /// Answers to every question; the offline judge gives one a head
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// Whether questions are only counted.
    #[arg(skip)]
    plan: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum JudgeKind {
    /// An OpenAI-compatible endpoint: OPENAI_BASE_URL, OPENAI_API_KEY
    Openai,
    /// A recording
    Replay,
    /// The offline judge: a frozen backbone and small heads
    Local,
}

impl JudgeArgs {
    /// The judge, and how many answers each of `questions` questions gets from it.
    fn open(&self, questions: usize) -> anyhow::Result<(Judge, u32)> {
        let judge = match self.judge {
            JudgeKind::Openai => Judge::OpenAi(Box::new(self.endpoint(questions)?)),
            JudgeKind::Replay => {
                let path = self.replay.as_deref().context("--judge replay wants --replay FILE")?;
                let shape = self.endpoint.said_parameters().map(|parameters| parameters.text());
                Judge::Replay(Tape::replay(path, shape.as_deref())?)
            }
            JudgeKind::Local => {
                let (heads, weights) =
                    self.files().context("--judge local wants --heads FILE and --weights FILE")?;
                Judge::Local(Box::new(Local::load(heads, weights, self.input_px)?))
            }
        };
        let repeats = judge.repeats(self.repeats);
        Ok((judge, repeats))
    }

    /// The heads and the weights of the offline judge.
    fn files(&self) -> Option<(&Path, &Path)> {
        Some((self.heads.as_deref()?, self.weights.as_deref()?))
    }

    /// Records the files that shape the offline judge's answers.
    fn sign(&self, made: Made) -> contract::Result<Made> {
        match self.files() {
            Some((heads, weights)) => made.flag("input-px", self.input_px).input(heads)?.input(weights),
            None => Ok(made),
        }
    }

    fn endpoint(&self, questions: usize) -> anyhow::Result<OpenAi> {
        let (name, shape) = (OpenAi::name_of(self.endpoint.model()?), self.endpoint.parameters().text());
        let tape = match &self.record {
            Some(path) if self.plan => Tape::peek(path, &name, &shape)?,
            Some(path) => Tape::record(path, &name, &shape)?,
            None => Tape::blank(&name),
        };
        let most_lost = (stage::max_failed_share() * (questions * self.repeats as usize) as f64) as usize;
        OpenAi::new(&self.endpoint, tape, most_lost, self.plan)
    }
}

fn open_tiles(paths: &[PathBuf]) -> anyhow::Result<Vec<TileReader>> {
    let mut seen = BTreeSet::new();
    let mut readers = Vec::new();
    for path in paths {
        let reader = TileReader::open(path).context("reading the tiles")?;
        let granule = reader.granule().clone();
        ensure!(seen.insert(granule.clone()), "{}: granule {granule} is given twice", path.display());
        readers.push(reader);
    }
    Ok(readers)
}

/// Enters one answer.
fn count(ledger: &mut Ledger, answer: &Answer) {
    match &answer.values {
        Ok(_) => ledger.ok(1),
        Err(reason) => ledger.fail(&reason.to_string()),
    }
}

/// Refuses, before anything is written, when more answers are missing than `--max-failed` allows.
fn check_before_writing(ledger: &Ledger) -> anyhow::Result<()> {
    ledger.clone().report("vlm-label", 0.0).check(stage::max_failed_share())
}
