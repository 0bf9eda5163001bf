//! Tiles to class labels: several answers a tile, averaged to one probability a class.
//!
//! A tile of which no answer could be read keeps its rows, with no probability and the reasons.
//! A tile without pixels has no row.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Context;
use contract::{GranuleId, Label, Made, Tile, TileId, TileReader};
use stage::{Ledger, Progress};

use crate::audit::{AuditArgs, Log};
use crate::canary::{place_of, spread};
use crate::draw::{Image, load};
use crate::judge::{Answer, Judge, Question, Want};
use crate::picture::Picture;
use crate::plan::through;
use crate::prompt::Prompt;
use crate::{JudgeArgs, check_before_writing, count, open_tiles};

/// From this share of the tiles on, one class leaves nothing to tell apart.
const ONE_CLASS_SHARE: f64 = 0.99;

/// Tiles to class labels
#[derive(clap::Args, Debug)]
pub struct ClassifyArgs {
    /// Tiles of a granule (Parquet, table `tiles`); repeat for more granules
    #[arg(long, value_name = "FILE", required = true)]
    tiles: Vec<PathBuf>,
    /// Prompt file with the classes, least developed first
    #[arg(long, value_name = "FILE")]
    prompt: PathBuf,
    #[command(flatten)]
    pub(crate) judge: JudgeArgs,
    #[command(flatten)]
    audit: AuditArgs,
    /// Write the labels here (Parquet, table `labels`)
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) fn run(args: ClassifyArgs) -> anyhow::Result<Ledger> {
    let prompt = Prompt::read(&args.prompt)?;
    let readers = open_tiles(&args.tiles)?;
    let mut indexed = Vec::new();
    for reader in &readers {
        let tiles = reader.index().context("reading the tiles")?;
        indexed.extend(tiles.into_iter().map(|tile| (reader.granule().clone(), tile)));
    }
    let (mut judge, repeats) = args.judge.open(indexed.len())?;
    let n_wanted = indexed.len() * repeats as usize;
    let shown = indexed.into_iter().filter(|(_, tile)| tile.skipped.is_none());
    let images: Vec<Image> = shown.map(|(granule, tile)| (granule, tile.tile)).collect();
    let pictures = load(&readers, &BTreeMap::from([(0, spread(&images, args.audit.n_tiles()))]))?;
    let bases: Vec<_> = pictures.iter().collect();
    let asked = through(&mut judge, &args.judge.endpoint, |judge| {
        let mut run = Run::of(n_wanted);
        let rows = label_all(judge, &prompt, &readers, repeats, &mut run)?;
        let (prompts, Run { points, log, .. }) = (std::slice::from_ref(&prompt), &mut run);
        let canaries = args.audit.ask(judge, prompts, Want::Shares, &bases, points, log)?;
        Ok((rows, canaries, run))
    })?;
    let Some((rows, canaries, mut run)) = asked else { return Ok(Ledger::default()) };
    judge.enter(&mut run.ledger);
    check_before_writing(&run.ledger)?;
    if let Some(found) = one_class(&rows, prompt.classes().unwrap_or_default().len()) {
        found.warn(&readers, &judge);
    }
    args.audit.weigh(&canaries)?;
    let mut made =
        Made::by("vlm-label").flag("job", "classify").flag("judge", judge.name()).flag("repeats", repeats);
    made = made.input(&args.prompt)?;
    for path in &args.tiles {
        made = made.input(path)?;
    }
    let made = args.judge.sign(made)?;
    args.audit.write(&run.log, &canaries, &made)?;
    contract::write(&args.out, &rows, &made).context("writing the labels")?;
    Ok(run.ledger)
}

/// What grows while tiles are labelled.
struct Run {
    ledger: Ledger,
    progress: Progress,
    log: Log,
    /// The place of every answer from the least to the most developed class.
    points: Vec<f64>,
}

impl Run {
    fn of(n_answers: usize) -> Self {
        let (ledger, progress) = (Ledger::of("answers", n_answers), Progress::over("answers", n_answers));
        Self { ledger, progress, log: Log::default(), points: Vec::new() }
    }
}

/// The rows of all tiles.
fn label_all(
    judge: &mut Judge,
    prompt: &Prompt,
    readers: &[TileReader],
    repeats: u32,
    run: &mut Run,
) -> anyhow::Result<Vec<Label>> {
    let mut rows = Vec::new();
    for reader in readers {
        let (n_rows, mut tiles) = (reader.meta().n_rows, Vec::new());
        for row in 0..n_rows {
            tiles.extend(reader.row(row).context("reading the tiles")?);
            if row + 1 < n_rows && tiles.len() * reader.meta().tile_bytes() < judge.block_bytes() {
                continue;
            }
            rows.extend(label_tiles(judge, prompt, reader, std::mem::take(&mut tiles), repeats, run)?);
        }
    }
    Ok(rows)
}

/// The rows of every tile that has pixels.
fn label_tiles(
    judge: &mut Judge,
    prompt: &Prompt,
    reader: &TileReader,
    tiles: Vec<Tile>,
    repeats: u32,
    run: &mut Run,
) -> anyhow::Result<Vec<Label>> {
    let mut shown: Vec<(Image, Picture)> = Vec::new();
    for tile in tiles {
        match tile.pixels {
            Some(pixels) => {
                let image = (reader.granule().clone(), tile.tile);
                shown.push((image, Picture::new(reader.meta(), pixels)?));
            }
            None => {
                let reason = tile.skipped.as_deref().unwrap_or("no pixels");
                (0..repeats).for_each(|_| run.ledger.skip(reason));
                run.progress.add(repeats as usize);
            }
        }
    }
    let ask =
        |(_, picture)| (0..repeats).map(move |repeat| Question { prompt, picture, right: None, repeat });
    let questions: Vec<Question<'_>> =
        shown.iter().map(|(image, picture)| (image, picture)).flat_map(ask).collect();
    let answers = judge.ask(&questions, Want::Shares, &mut |n| run.progress.add(n))?;
    let mut rows = Vec::new();
    for (place, (image, _)) in shown.iter().enumerate() {
        let mine = place * repeats as usize..(place + 1) * repeats as usize;
        for (question, answer) in questions[mine.clone()].iter().zip(&answers[mine.clone()]) {
            count(&mut run.ledger, answer);
            run.points.extend(answer.values.iter().map(|shares| place_of(shares)));
            run.log.push(judge, question, image, None, answer);
        }
        let classes = prompt.classes().unwrap_or_default();
        rows.extend(labels(&image.0, image.1, classes, &answers[mine], judge.name(), &prompt.hash));
    }
    Ok(rows)
}

/// The rows of one tile, one a class: mean and sample standard deviation of the answers read.
pub fn labels(
    granule: &GranuleId,
    tile: TileId,
    classes: &[String],
    answers: &[Answer],
    judge: &str,
    prompt_hash: &str,
) -> Vec<Label> {
    let read: Vec<&Vec<f64>> = answers.iter().filter_map(|answer| answer.values.as_ref().ok()).collect();
    let reasons: BTreeSet<String> =
        answers.iter().filter_map(|answer| answer.values.as_ref().err()).map(ToString::to_string).collect();
    let reasons: Vec<String> = reasons.into_iter().collect();
    let row = |(index, class): (usize, &String)| {
        let shares: Vec<f64> = read.iter().map(|shares| shares[index]).collect();
        let (probability, sd) = mean_and_sd(&shares);
        Label {
            granule: granule.clone(),
            tile,
            class: class.clone(),
            probability,
            sd,
            n_answers: read.len() as u32,
            n_missing: (answers.len() - read.len()) as u32,
            judge: judge.to_owned(),
            prompt_hash: prompt_hash.to_owned(),
            missing: (!reasons.is_empty()).then(|| reasons.join("; ")),
        }
    };
    classes.iter().enumerate().map(row).collect()
}

/// Nearly all labelled tiles are of one class.
#[derive(Debug, PartialEq)]
struct OneClass {
    class: String,
    n_tiles: usize,
    n_labelled: usize,
}

/// Whether nearly all tiles fall into one class: their likeliest, each tile having one row for each of `n_classes`.
fn one_class(rows: &[Label], n_classes: usize) -> Option<OneClass> {
    let mut n_each: BTreeMap<&str, usize> = BTreeMap::new();
    for tile in rows.chunks(n_classes.max(1)) {
        let known = tile.iter().filter_map(|row| Some((row.probability?, row.class.as_str())));
        let likeliest = known.reduce(|best, next| if next.0 > best.0 { next } else { best });
        *n_each.entry(likeliest.map_or("", |(_, class)| class)).or_default() += 1;
    }
    n_each.remove("");
    let n_labelled: usize = n_each.values().sum();
    let (class, n_tiles) = n_each.into_iter().max_by_key(|(_, n)| *n)?;
    let is_one = n_classes > 1 && n_labelled > 1 && n_tiles as f64 >= ONE_CLASS_SHARE * n_labelled as f64;
    is_one.then(|| OneClass { class: class.to_owned(), n_tiles, n_labelled })
}

impl OneClass {
    /// Says it, with the likely causes: later stages would only find that nothing differs.
    fn warn(&self, readers: &[TileReader], judge: &Judge) {
        let Self { class, n_tiles, n_labelled } = self;
        let all = if n_tiles == n_labelled { "all".to_owned() } else { format!("{n_tiles} of") };
        let side_m = |reader: &TileReader| f64::from(reader.meta().tile_px) * reader.meta().pixel_m;
        let side_m = readers.first().map_or(0.0, side_m);
        let domain = judge.trained_on().map_or_else(
            || "the judge does not tell ground like this apart (try another model or prompt)".to_owned(),
            |pictures| format!("the judge was trained on other ground ({pictures})"),
        );
        tracing::warn!(
            "{all} {n_labelled} labelled tiles: {class}; likely causes: tiles of {side_m} m are too large or too small to show what \
             tells classes apart (TILE_PX, --tile-px), or {domain}, or the scene is of one kind of ground"
        );
    }
}

fn mean_and_sd(values: &[f64]) -> (Option<f64>, Option<f64>) {
    let n = values.len() as f64;
    let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / n);
    let spread =
        |mean: f64| (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    (mean, mean.filter(|_| values.len() > 1).map(spread))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::answer::Missing;

    fn answer(values: Result<Vec<f64>, Missing>) -> Answer {
        Answer { raw: None, values, call: crate::judge::Call::default() }
    }

    fn rows(answers: &[Answer]) -> Vec<Label> {
        let classes = ["rural".to_owned(), "urban".to_owned()];
        labels(&"T18SVG".parse().unwrap(), TileId { row: 0, col: 0 }, &classes, answers, "test", "00")
    }

    #[test]
    fn a_missing_answer_changes_the_count_and_not_the_mean() {
        let two = [answer(Ok(vec![0.2, 0.8])), answer(Ok(vec![0.4, 0.6])), answer(Err(Missing::Refused))];
        let found = rows(&two);
        assert!((found[1].probability.unwrap() - 0.7).abs() < 1e-12);
        assert!((found[1].sd.unwrap() - 0.02f64.sqrt()).abs() < 1e-12);
        assert_eq!((found[0].n_answers, found[0].n_missing), (2, 1));
        assert_eq!(found[0].missing.as_deref(), Some("refused"));
    }

    #[test]
    fn one_class_for_nearly_all_tiles_is_found_and_missing_ones_do_not_count() {
        let tile = |urban: f64| rows(&[answer(Ok(vec![1.0 - urban, urban]))]);
        let of = |n_rural: usize, n_urban: usize| {
            let mut all = rows(&[answer(Err(Missing::Refused))]);
            (0..n_rural).for_each(|_| all.extend(tile(0.1)));
            (0..n_urban).for_each(|_| all.extend(tile(0.9)));
            one_class(&all, 2).map(|found| (found.class, found.n_tiles, found.n_labelled))
        };
        assert_eq!(of(900, 0), Some(("rural".into(), 900, 900)));
        assert_eq!(of(1, 199), Some(("urban".into(), 199, 200)));
        assert_eq!(of(3, 197), None);
        assert_eq!((of(1, 0), of(0, 0)), (None, None));
    }

    #[test]
    fn a_tile_without_a_readable_answer_has_no_probability() {
        let none =
            [answer(Err(Missing::Refused)), answer(Err(Missing::Empty)), answer(Err(Missing::Refused))];
        let found = rows(&none);
        assert_eq!((found[0].probability, found[0].sd), (None, None));
        assert_eq!(found[0].missing.as_deref(), Some("empty answer; refused"));
        assert_eq!(rows(&[answer(Ok(vec![1.0, 0.0]))])[0].sd, None);
    }
}
