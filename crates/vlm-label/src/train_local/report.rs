//! The figures of a judge, for its card, for a line of log and as a picture.

use super::ensemble::{Lesson, Recipe};
use super::folds::{BLOCK, N_FOLDS, Unit, cross_validate, folds};
use super::measure::{Bin, Confusion, Over, brier, calibration_error, curve};
use crate::softmax::argmax;
use figure::{Panel, Reliability, Sure, Words};
use serde_json::{Map, Value, json};

/// Everything that is measured, one entry a draw of folds.
pub struct Report {
    classes: Vec<String>,
    by_picture: Vec<Measured>,
    by_block: Vec<Measured>,
    colours: Vec<Measured>,
}

/// One draw of folds.
struct Measured {
    confusion: Confusion,
    /// Of an altered view of each picture; none of the colour statistics.
    altered: Option<Altered>,
    all: Sureness,
    agreed: Sureness,
}

struct Altered {
    macro_f1: f64,
    /// Share of pictures that are called the same in both views.
    same_share: f64,
}

struct Sureness {
    curve: Vec<Bin>,
    error: f64,
    brier: f64,
}

impl Report {
    /// Draws folds `repeats` times and measures the judge by picture and by block, and the colour statistics.
    pub fn of(
        classes: &[String],
        judge: (&[Lesson], &Recipe),
        colours: (&[Lesson], &Recipe),
        repeats: u8,
    ) -> Self {
        let each = |(lessons, recipe): (&[Lesson], &Recipe), unit: Unit| {
            let seeds = (0..u64::from(repeats)).map(|repeat| recipe.seed.wrapping_add(repeat));
            seeds.map(|seed| measured(lessons, recipe, &folds(lessons.len(), unit, seed))).collect()
        };
        Self {
            classes: classes.to_vec(),
            by_picture: each(judge, Unit::Picture),
            by_block: each(judge, Unit::Block),
            colours: each(colours, Unit::Picture),
        }
    }

    /// For the card. Figures are means over the draws; counts are those of the first.
    pub fn figures(&self) -> Value {
        let first = &self.by_picture[0];
        let of = |get: &dyn Fn(&Measured) -> f64| rounded(mean(self.by_picture.iter().map(get)));
        let spread = |of: &[Measured]| rounded(sd(of.iter().map(|m| m.confusion.macro_f1())));
        let macro_f1 = |of: &[Measured]| rounded(mean(of.iter().map(|m| m.confusion.macro_f1())));
        let class = |(place, name): (usize, &String)| {
            let figures = json!({
                "f1": of(&|m| m.confusion.f1(place)),
                "precision": of(&|m| m.confusion.precision(place)),
                "recall": of(&|m| m.confusion.recall(place)),
            });
            (name.clone(), figures)
        };
        let majority: Vec<Confusion> = self.by_picture.iter().map(|m| m.confusion.of_majority()).collect();
        let mut figures = json!({
            "folds": N_FOLDS,
            "draws_of_folds": self.by_picture.len(),
            "n_agreed": first.confusion.0.iter().flatten().sum::<usize>(),
            "macro_f1": macro_f1(&self.by_picture),
            "macro_f1_sd": spread(&self.by_picture),
            "macro_f1_by_blocks_of": BLOCK,
            "macro_f1_by_blocks": macro_f1(&self.by_block),
            "macro_f1_by_blocks_sd": spread(&self.by_block),
            "macro_f1_of_colour_statistics": macro_f1(&self.colours),
            "macro_f1_of_majority": rounded(mean(majority.iter().map(Confusion::macro_f1))),
            "classes": self.classes.iter().enumerate().map(class).collect::<Map<_, _>>(),
            "confusion_truth_by_said": first.confusion,
            "calibration_error": of(&|m| m.all.error),
            "calibration_error_of_agreed": of(&|m| m.agreed.error),
            "brier": of(&|m| m.all.brier),
            "brier_of_agreed": of(&|m| m.agreed.brier),
            "calibration_curve": rounded_bins(&first.all.curve),
            "calibration_curve_of_agreed": rounded_bins(&first.agreed.curve),
        });
        if first.altered.is_some() {
            let of = |get: &dyn Fn(&Altered) -> f64| {
                rounded(mean(self.by_picture.iter().filter_map(|m| m.altered.as_ref()).map(get)))
            };
            figures["macro_f1_of_altered_views"] = json!(of(&|a| a.macro_f1));
            figures["same_class_of_altered_views_share"] = json!(of(&|a| a.same_share));
        }
        figures
    }

    /// For the log.
    pub fn line(&self) -> String {
        let macro_f1 = |of: &[Measured]| mean(of.iter().map(|m| m.confusion.macro_f1()));
        format!(
            "{N_FOLDS}-fold macro-F1 {:.3} by picture, {:.3} by blocks of {BLOCK}; colour statistics {:.3}; calibration error {:.3}",
            macro_f1(&self.by_picture),
            macro_f1(&self.by_block),
            macro_f1(&self.colours),
            mean(self.by_picture.iter().map(|m| m.all.error)),
        )
    }

    /// The calibration curves of the first draw, as PNG.
    ///
    /// # Errors
    /// If the page cannot be drawn.
    pub fn picture(&self) -> Result<Vec<u8>, figure::FigureError> {
        let panel = |heading: &str, y_label: &str, of: &Sureness| {
            let group = |bin: &Bin| Sure { confidence: bin.confidence, hit_share: bin.hit_share, n: bin.n };
            let n: usize = of.curve.iter().map(|bin| bin.n).sum();
            Panel::Reliability(Reliability {
                heading: heading.into(),
                y_label: y_label.into(),
                groups: of.curve.iter().map(group).collect(),
                notes: vec![
                    format!("{n} pictures"),
                    format!("calibration error {:.3}", of.error),
                    format!("Brier score {:.3}", of.brier),
                ],
            })
        };
        let words = Words {
            title: "Calibration of the offline judge".into(),
            subtitle: format!(
                "Pictures held out of training, {N_FOLDS} folds; a disc is a tenth of the scale, with its number of pictures. \
                 Above the diagonal the judge is too modest. Pictures that annotators agree on are the easy ones."
            ),
            credit: String::new(),
        };
        let first = &self.by_picture[0];
        let panels = [
            panel("All pictures", "share of annotators who say so", &first.all),
            panel("Pictures that annotators agree on", "share of pictures that are so", &first.agreed),
        ];
        figure::side_by_side(&words, &panels)
    }
}

fn measured(lessons: &[Lesson], recipe: &Recipe, folds: &[usize]) -> Measured {
    let judged = cross_validate(lessons, folds, recipe);
    let shares: Vec<&[f32]> = lessons.iter().map(|lesson| lesson.shares.as_slice()).collect();
    let view = |number: usize| judged.iter().map(|views| views[number].clone()).collect::<Vec<_>>();
    let said = view(0);
    let altered = (judged[0].len() > 1).then(|| {
        let altered = view(1);
        let same = said.iter().zip(&altered).filter(|(a, b)| argmax(a) == argmax(b)).count();
        Altered {
            macro_f1: Confusion::of(&shares, &altered).macro_f1(),
            same_share: same as f64 / said.len() as f64,
        }
    });
    let sureness = |over| {
        let curve = curve(over, &shares, &said);
        Sureness { error: calibration_error(&curve), curve, brier: brier(over, &shares, &said) }
    };
    Measured {
        confusion: Confusion::of(&shares, &said),
        altered,
        all: sureness(Over::All),
        agreed: sureness(Over::Agreed),
    }
}

/// Three digits: more would be noise of the folds.
pub fn rounded(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}

fn rounded_bins(curve: &[Bin]) -> Vec<Bin> {
    let three =
        |bin: &Bin| Bin { confidence: rounded(bin.confidence), hit_share: rounded(bin.hit_share), n: bin.n };
    curve.iter().map(three).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (n, sum) = values.fold((0.0, 0.0), |(n, sum), value| (n + 1.0, sum + value));
    sum / n
}

/// Sample standard deviation; 0 of one value.
fn sd(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let middle = mean(values.clone());
    let n = values.clone().count();
    (values.map(|value| (value - middle).powi(2)).sum::<f64>() / n.saturating_sub(1).max(1) as f64).sqrt()
}
