//! Rivals of the score: how well something else tells the light, and what the score still tells once that is known.
//!
//! A partial correlation is Pearson's coefficient of what is left of score and light after both are fitted, by least squares, by the rivals; of ranks
//! for Spearman's. It has its interval and its effective number of cells as any other. Left out: causes; a rival that is itself made from light.

use contract::Metric;

use crate::MIN_COVER_SHARE;
use crate::correlate::{midranks, pearson};
use crate::details::{Kind, row, worth};
use crate::field_pair::FieldPair;
use crate::regrid::Field;

/// Length of what is left of values that others tell wholly, as a share of theirs: rounding.
const NOTHING_LEFT: f64 = 1e-9;

/// A rival of the score on the cells of the comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Its name.
    pub name: String,
    /// One value for each cell that counts, where it is known.
    pub values: Vec<Option<f64>>,
}

impl Baseline {
    /// A field on the grid of the comparison, where at least half of a cell is known.
    #[must_use]
    pub fn of(name: &str, field: &Field, pair: &FieldPair) -> Baseline {
        let value = |&cell: &usize| (field.cover[cell] >= MIN_COVER_SHARE).then(|| field.values[cell]);
        Baseline { name: name.to_owned(), values: pair.cells.iter().map(value).collect() }
    }

    /// Columns from the west and rows from the north: what position alone tells.
    #[must_use]
    pub fn position(pair: &FieldPair) -> [Baseline; 2] {
        let place = |name: &str, place: &dyn Fn(usize) -> usize| Baseline {
            name: name.to_owned(),
            values: pair.cells.iter().map(|&cell| Some(place(cell) as f64)).collect(),
        };
        [
            place("columns from the west", &|cell| cell % pair.width),
            place("rows from the north", &|cell| cell / pair.width),
        ]
    }
}

/// What each rival tells of the light in place of the score, and what the score tells given it: position, those given, and all at once.
#[must_use]
pub fn rows(pair: &FieldPair, given: &[Baseline], min_n: usize, seed: u64) -> Vec<Metric> {
    let position = Baseline::position(pair);
    let mut rows: Vec<Metric> =
        position.iter().chain(given).map(|rival| alone(pair, rival, min_n, seed)).collect();
    let position: Vec<&Baseline> = position.iter().collect();
    rows.extend(partial(pair, &position, "position", min_n, seed));
    for rival in given {
        rows.extend(partial(pair, &[rival], &rival.name, min_n, seed));
    }
    if !given.is_empty() {
        let all: Vec<&Baseline> = position.into_iter().chain(given).collect();
        let names: Vec<&str> = given.iter().map(|rival| rival.name.as_str()).collect();
        rows.extend(partial(pair, &all, &format!("position, {}", names.join(", ")), min_n, seed));
    }
    rows
}

/// The light with the rival in place of the score.
fn alone(pair: &FieldPair, rival: &Baseline, min_n: usize, seed: u64) -> Metric {
    let name = "spearman_baseline";
    let (known, columns) = known(pair, &[rival]);
    let n = known.cells.len();
    if n < min_n {
        return row(name, &rival.name, None, "1", n, "not reported: too few cells");
    }
    let pair = known.with(known.xs.clone(), columns.into_iter().flatten().collect());
    let found = Kind::Spearman.of(&pair.xs, &pair.ys);
    let mut metric = row(name, &rival.name, found, "1", n, "light with this in place of the score");
    if let Some(worth) = worth(&pair, Kind::Spearman, seed) {
        (metric.low, metric.high) = worth.interval.unzip();
    }
    metric
}

fn partial(pair: &FieldPair, rivals: &[&Baseline], names: &str, min_n: usize, seed: u64) -> Vec<Metric> {
    let (known, columns) = known(pair, rivals);
    let n = known.cells.len();
    let of = format!("score, given {names}");
    let kinds = [Kind::Spearman, Kind::PearsonLog1p];
    let metric = |kind: Kind| {
        let name = format!("{}_partial", kind.name());
        if n < min_n {
            return row(&name, &of, None, "1", n, "not reported: too few cells");
        }
        let shown =
            |values: &Vec<f64>| if kind == Kind::Spearman { midranks(values) } else { values.clone() };
        let basis = basis(&columns.iter().map(shown).collect::<Vec<_>>(), n);
        let (xs, ys) = kind.values(&known.xs, &known.ys);
        let rest = left(xs, &basis).zip(left(ys, &basis)).map(|(xs, ys)| known.with(xs, ys));
        let worth_of = |rest: FieldPair| worth(&rest, Kind::Pearson, seed).map(|worth| (rest, worth));
        let Some((rest, worth)) = rest.and_then(worth_of) else {
            return row(&name, &of, None, "1", n, "not reported: nothing is left of light or score");
        };
        let note = format!("what is left of both after it; about {:.0} independent cells", worth.effective_n);
        let mut metric = row(&name, &of, pearson(&rest.xs, &rest.ys), "1", n, &note);
        (metric.low, metric.high) = worth.interval.unzip();
        metric
    };
    kinds.into_iter().map(metric).collect()
}

/// The cells at which all rivals are known, and the rivals' values there.
fn known(pair: &FieldPair, rivals: &[&Baseline]) -> (FieldPair, Vec<Vec<f64>>) {
    let mut known = FieldPair { height: pair.height, width: pair.width, ..FieldPair::default() };
    let mut columns = vec![Vec::new(); rivals.len()];
    for (i, &cell) in pair.cells.iter().enumerate() {
        let Some(values) = rivals.iter().map(|rival| rival.values[i]).collect::<Option<Vec<f64>>>() else {
            continue;
        };
        known.cells.push(cell);
        known.xs.push(pair.xs[i]);
        known.ys.push(pair.ys[i]);
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    (known, columns)
}

/// Unit vectors that span a constant and the columns (Gram and Schmidt); columns that others tell wholly add none.
fn basis(columns: &[Vec<f64>], n: usize) -> Vec<Vec<f64>> {
    let mut basis = vec![vec![1.0 / (n as f64).sqrt(); n]];
    for column in columns {
        if let Some(rest) = left(column.clone(), &basis) {
            let length = dot(&rest, &rest).sqrt();
            basis.push(rest.into_iter().map(|v| v / length).collect());
        }
    }
    basis
}

/// What unit vectors leave of values; none where that is no more than rounding.
fn left(values: Vec<f64>, basis: &[Vec<f64>]) -> Option<Vec<f64>> {
    let length = dot(&values, &values).sqrt();
    // Twice is enough: the second pass takes away what rounding left of the first.
    let rest = residuals(residuals(values, basis), basis);
    (dot(&rest, &rest).sqrt() > NOTHING_LEFT * length).then_some(rest)
}

/// Values less their parts along unit vectors.
fn residuals(mut values: Vec<f64>, basis: &[Vec<f64>]) -> Vec<f64> {
    for unit in basis {
        let along = dot(&values, unit);
        values.iter_mut().zip(unit).for_each(|(value, u)| *value -= along * u);
    }
    values
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::made::noise;
    use rand::SeedableRng as _;

    const SIDE: usize = 24;
    const MIN_N: usize = 30;
    /// Sums of a few hundred products of numbers of size one round by less than this.
    const ROUNDING: f64 = 1e-9;

    /// Four independent fields of noise.
    fn fields() -> [Vec<f64>; 4] {
        let mut chance = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        std::array::from_fn(|_| noise(SIDE * SIDE, &mut chance))
    }

    fn pair(xs: Vec<f64>, ys: Vec<f64>) -> FieldPair {
        crate::made::pair(SIDE, xs, ys)
    }

    fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
        a.iter().zip(b).map(|(a, b)| a + b).collect()
    }

    fn rival(name: &str, values: &[f64]) -> Baseline {
        Baseline { name: name.to_owned(), values: values.iter().copied().map(Some).collect() }
    }

    fn value(rows: &[Metric], name: &str, of: &str) -> f64 {
        rows.iter().find(|row| row.name == name && row.of == of).unwrap().value.unwrap()
    }

    #[test]
    fn a_correlation_through_a_common_cause_is_gone_once_the_cause_is_given() {
        let [cause, one, other, _] = fields();
        let pair = pair(sum(&cause, &one), sum(&cause, &other));
        let rows = rows(&pair, &[rival("cause", &cause)], MIN_N, 1);
        assert!(Kind::Spearman.of(&pair.xs, &pair.ys).unwrap() > 0.4);
        assert!(value(&rows, "spearman_baseline", "cause") > 0.6);
        assert!(value(&rows, "spearman_partial", "score, given cause").abs() < 0.1);
        assert!(value(&rows, "spearman_partial", "score, given position") > 0.4);
    }

    #[test]
    fn one_rival_gives_the_partial_coefficient_of_the_textbook() {
        let [x, y, z, _] = fields();
        let (xs, ys) = (sum(&x, &z), sum(&sum(&y, &z), &x));
        let pair = pair(xs, ys);
        let rows = rows(&pair, &[rival("z", &z)], MIN_N, 1);
        let [xy, xz, yz] = [(&pair.xs, &pair.ys), (&pair.xs, &z), (&pair.ys, &z)]
            .map(|(a, b)| pearson(&midranks(a), &midranks(b)).unwrap());
        let wanted = (xy - xz * yz) / ((1.0 - xz * xz) * (1.0 - yz * yz)).sqrt();
        let found = value(&rows, "spearman_partial", "score, given z");
        assert!((found - wanted).abs() < ROUNDING, "{found} and {wanted}");
    }

    #[test]
    fn a_rival_given_twice_counts_once_and_one_that_is_the_score_leaves_nothing() {
        let [x, y, z, _] = fields();
        let pair = pair(sum(&x, &z), sum(&y, &z));
        let once = partial(&pair, &[&rival("z", &z)], "z", MIN_N, 1);
        let twice = partial(&pair, &[&rival("z", &z), &rival("z", &z)], "z", MIN_N, 1);
        assert!((once[0].value.unwrap() - twice[0].value.unwrap()).abs() < ROUNDING);
        let score = rival("score", &pair.ys);
        let rows = partial(&pair, &[&score], "score", MIN_N, 1);
        assert!(
            rows.iter().all(|row| row.value.is_none()),
            "what is left of the score is rounding: {rows:?}"
        );
        assert!(alone(&pair, &score, MIN_N, 1).value.unwrap() > 0.3);
    }

    #[test]
    fn cells_without_the_rival_are_left_out_and_too_few_are_no_number() {
        let [x, y, z, _] = fields();
        let pair = pair(x, y);
        let mut some = rival("z", &z);
        some.values.iter_mut().skip(100).for_each(|value| *value = None);
        assert_eq!(alone(&pair, &some, MIN_N, 1).n, 100);
        some.values.iter_mut().skip(20).for_each(|value| *value = None);
        let rows = rows(&pair, &[some], MIN_N, 1);
        let few: Vec<&Metric> = rows.iter().filter(|row| row.of.ends_with('z')).collect();
        assert_eq!(few.len(), 5);
        assert!(few.iter().all(|row| row.value.is_none() && row.n == 20));
    }
}
