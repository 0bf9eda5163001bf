//! People as judges: the questions go to Label Studio and the annotations come back as votes, comparisons or labels.
//!
//! Every annotator is a judge of its own, `human:3`, in the tables of votes and comparisons; labels are the mean
//! over all annotators. A skipped task, an empty annotation and one of a deleted account are missing answers, which end no import;
//! an annotation that cannot be read counts as failed. A task that nobody touched is left out and counted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use contract::{Label, Made, Pair, Vote};
use serde_json::Value;
use stage::Ledger;

use crate::answer::{self, Missing};
use crate::canary::spread;
use crate::classify::labels;
use crate::draw::{DrawArgs, Drawn, Image, load};
use crate::form::Form;
use crate::judge::{Answer, Call};
use crate::label_studio::{Annotated, Annotation, Subject, config, read, task};
use crate::open_tiles;
use crate::pair::{random_pairs, winner};
use crate::prompt::Prompt;

/// Questions to people, as Label Studio's tasks and labelling configuration
#[derive(clap::Args, Debug)]
pub struct ExportArgs {
    /// Tiles of a granule (Parquet, table `tiles`); repeat for more granules
    #[arg(long, value_name = "FILE", required = true)]
    tiles: Vec<PathBuf>,
    /// Clusters of stage1-cluster (Parquet, table `clusters`), for scores and comparisons; without it all tiles are one cluster
    #[arg(long, value_name = "FILE")]
    clusters: Option<PathBuf>,
    /// Prompt file: its answer form decides what is asked
    #[arg(long, value_name = "FILE")]
    prompt: PathBuf,
    /// Images that stand for a cluster; without clusters, tiles in all, spread over the granules
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    images_per_cluster: u32,
    /// Comparisons, for a prompt with `answer: choice`
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pairs: u32,
    /// Share of the comparisons that are asked again with the sides changed
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = stage::share)]
    swap_share: f64,
    /// Seed of all draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the labelling configuration here (XML)
    #[arg(long, value_name = "FILE")]
    config_out: PathBuf,
    /// Write the tasks here (JSON, images included)
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Label Studio's export to votes, comparisons or labels
#[derive(clap::Args, Debug)]
pub struct ImportArgs {
    /// The export (JSON or JSON-MIN)
    #[arg(long, value_name = "FILE")]
    export: PathBuf,
    /// The prompt file that the tasks were made with
    #[arg(long, value_name = "FILE")]
    prompt: PathBuf,
    /// Write the answers here: table `votes` for scores, `pairs` for choices, `labels` for shares (Parquet)
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) fn export(args: &ExportArgs) -> anyhow::Result<Ledger> {
    let prompt = Prompt::read(&args.prompt)?;
    let drawn = draw(args)?;
    let tasks = match prompt.form {
        Form::Choice => comparisons(args, &prompt, &drawn)?,
        Form::Score | Form::Shares(_) => {
            let each =
                drawn.clusters.iter().flat_map(|(cluster, images)| images.iter().map(move |i| (*cluster, i)));
            each.map(|(cluster, image)| {
                let subject = Subject { image: image.clone(), cluster };
                task(&prompt, (&subject, &drawn.pictures[image]), None)
            })
            .collect::<anyhow::Result<Vec<Value>>>()?
        }
    };
    contract::file::write(&args.config_out, config(&prompt).as_bytes())
        .context("writing the configuration")?;
    let text = serde_json::to_string(&tasks)? + "\n";
    contract::file::write(&args.out, text.as_bytes()).context("writing the tasks")?;
    let mut ledger = Ledger::of("tasks", tasks.len());
    ledger.ok(tasks.len());
    Ok(ledger)
}

fn draw(args: &ExportArgs) -> anyhow::Result<Drawn> {
    if let Some(clusters) = &args.clusters {
        return DrawArgs::random(&args.tiles, clusters, args.images_per_cluster, args.seed).draw();
    }
    let readers = open_tiles(&args.tiles)?;
    let mut images: Vec<Image> = Vec::new();
    for reader in &readers {
        let tiles = reader.index().context("reading the tiles")?;
        let shown = tiles.into_iter().filter(|tile| tile.skipped.is_none());
        images.extend(shown.map(|tile| (reader.granule().clone(), tile.tile)));
    }
    let clusters = BTreeMap::from([(0, spread(&images, args.images_per_cluster as usize))]);
    let pictures = load(&readers, &clusters)?;
    Ok(Drawn { clusters, pictures })
}

fn comparisons(args: &ExportArgs, prompt: &Prompt, drawn: &Drawn) -> anyhow::Result<Vec<Value>> {
    let shown = random_pairs(drawn, args.pairs as usize, args.swap_share, args.seed)?;
    let one = |[left, right]: &[(u32, &Image); 2]| {
        let subject =
            |(cluster, image): &(u32, &Image)| Subject { image: (*image).clone(), cluster: *cluster };
        let (a, b) = (subject(left), subject(right));
        task(prompt, (&a, &drawn.pictures[left.1]), Some((&b, &drawn.pictures[right.1])))
    };
    shown.iter().map(one).collect()
}

pub(crate) fn import(args: &ImportArgs) -> anyhow::Result<Ledger> {
    let prompt = Prompt::read(&args.prompt)?;
    let text = std::fs::read_to_string(&args.export).map_err(contract::Error::io(&args.export, "read"))?;
    let tasks = read(&text, &prompt).map_err(|wrong| anyhow!("{}: {wrong}", args.export.display()))?;
    let answers: Vec<Heard<'_>> = tasks.iter().flat_map(|task| heard(task, &prompt)).collect();
    if answers.is_empty() {
        bail!("{}: want annotations, got none; label some tasks and export again", args.export.display());
    }
    let untouched = tasks.iter().filter(|task| task.annotations.is_empty()).count();
    let mut ledger = Ledger::of("annotations", answers.len() + untouched);
    for heard in &answers {
        match heard.answer.values {
            // a person left it out on purpose, or is gone: nothing went wrong
            Err(left_out @ (Missing::Skipped | Missing::NoAnnotator | Missing::Empty)) => {
                ledger.skip(&left_out.to_string());
            }
            _ => crate::count(&mut ledger, &heard.answer),
        }
    }
    (0..untouched).for_each(|_| ledger.skip("not annotated"));
    crate::check_before_writing(&ledger)?;
    let made = Made::by("vlm-label").flag("job", "human-import").input(&args.prompt)?.input(&args.export)?;
    match prompt.form {
        Form::Score => contract::write(&args.out, &votes(&answers, &prompt), &made),
        Form::Choice => contract::write(&args.out, &pairs(&answers, &prompt), &made),
        Form::Shares(_) => contract::write(&args.out, &shares(&tasks, &answers, &prompt), &made),
    }
    .context("writing the annotations")?;
    Ok(ledger)
}

/// An annotation of a task, read.
struct Heard<'a> {
    task: &'a Annotated,
    judge: String,
    repeat: u32,
    answer: Answer,
}

/// The annotations of a task; a second one by the same annotator is a repeat.
fn heard<'a>(task: &'a Annotated, prompt: &Prompt) -> Vec<Heard<'a>> {
    let mut times: BTreeMap<Option<u64>, u32> = BTreeMap::new();
    let mut all = Vec::new();
    for one in &task.annotations {
        let next = times.entry(one.annotator).or_default();
        let repeat = *next;
        *next += 1;
        all.push(Heard {
            task,
            judge: format!("human:{}", one.annotator.map_or("unknown".to_owned(), |n| n.to_string())),
            repeat,
            answer: read_one(one, prompt),
        });
    }
    all
}

fn read_one(one: &Annotation, prompt: &Prompt) -> Answer {
    let values = match (one.skipped, one.annotator) {
        (true, _) => Err(Missing::Skipped),
        (false, None) => Err(Missing::NoAnnotator),
        (false, Some(_)) => answer::parse(&one.answer, &prompt.form),
    };
    Answer { raw: (!one.answer.is_empty()).then(|| one.answer.clone()), values, call: Call::default() }
}

fn votes(answers: &[Heard<'_>], prompt: &Prompt) -> Vec<Vote> {
    let row = |heard: &Heard<'_>| Vote {
        rater: format!("{}/{}/{}", heard.judge, prompt.id, heard.repeat),
        judge: heard.judge.clone(),
        persona: prompt.id.clone(),
        repeat: heard.repeat,
        cluster: heard.task.left.cluster,
        granule: heard.task.left.image.0.clone(),
        tile: heard.task.left.image.1,
        score: heard.answer.values.as_ref().ok().map(|values| values[0]),
        missing: heard.answer.values.as_ref().err().map(ToString::to_string),
        raw: heard.answer.raw.clone(),
        prompt_hash: prompt.hash.clone(),
    };
    answers.iter().map(row).collect()
}

fn pairs(answers: &[Heard<'_>], prompt: &Prompt) -> Vec<Pair> {
    let row = |heard: &Heard<'_>| {
        let (left, right) = (&heard.task.left, heard.task.right.as_ref()?);
        Some(Pair {
            rater: format!("{}/{}/{}", heard.judge, prompt.id, heard.repeat),
            judge: heard.judge.clone(),
            persona: prompt.id.clone(),
            repeat: heard.repeat,
            round: 0,
            left_cluster: left.cluster,
            right_cluster: right.cluster,
            left_granule: left.image.0.clone(),
            left_tile: left.image.1,
            right_granule: right.image.0.clone(),
            right_tile: right.image.1,
            winner: winner(&heard.answer),
            missing: heard.answer.values.as_ref().err().map(ToString::to_string),
            raw: heard.answer.raw.clone(),
            prompt_hash: prompt.hash.clone(),
        })
    };
    answers.iter().filter_map(row).collect()
}

/// The labels of every task that somebody touched, over all annotators.
fn shares(tasks: &[Annotated], answers: &[Heard<'_>], prompt: &Prompt) -> Vec<Label> {
    let classes = prompt.classes().unwrap_or_default();
    let mut rows = Vec::new();
    for task in tasks.iter().filter(|task| !task.annotations.is_empty()) {
        let mine = answers.iter().filter(|heard| std::ptr::eq(heard.task, task));
        let mine: Vec<Answer> = mine.map(|heard| heard.answer.clone()).collect();
        rows.extend(labels(&task.left.image.0, task.left.image.1, classes, &mine, "human", &prompt.hash));
    }
    rows
}
