//! The table of granules in the form of the study's Table 6: a line a granule, its three coefficients, and what they are worth.

use std::fmt::Write as _;
use std::path::Path;

use contract::Metric;
use contract::outside_text::{csv_text, markdown as markdown_text};

/// What became of a granule, or of all.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    name: String,
    n: u64,
    /// Pearson's coefficient with radiance and with its logarithm, Spearman's.
    coefficients: [Option<f64>; 3],
    /// 95 % interval of Spearman's.
    interval: Option<(f64, f64)>,
    effective_n: Option<f64>,
    p: Option<f64>,
}

impl Line {
    /// From the coefficients in the order of [`crate::details::Kind::ALL`], the independent tiles and p value of Spearman's.
    #[must_use]
    pub fn of(
        name: &str,
        [spearman, log, plain]: &[Metric; 3],
        effective_n: Option<f64>,
        p: Option<f64>,
    ) -> Line {
        Line {
            name: name.to_owned(),
            n: spearman.n,
            coefficients: [plain.value, log.value, spearman.value],
            interval: spearman.low.zip(spearman.high),
            effective_n,
            p,
        }
    }
}

/// The table as its file's name wants it: CSV where it ends in `.csv`, Markdown otherwise.
#[must_use]
pub fn table(path: &Path, lines: &[Line]) -> String {
    let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    if is_csv { csv(lines) } else { markdown(lines) }
}

fn markdown(lines: &[Line]) -> String {
    let mut text = "| granule | tiles | Pearson | Pearson, log(1 + radiance) | Spearman | 95 % (Spearman) | independent tiles | p (Spearman) |\n|---|---|---|---|---|---|---|---|\n".to_owned();
    let number = |value: Option<f64>| value.map_or("not reported".to_owned(), |v| format!("{v:.3}"));
    for line in lines {
        let [plain, log, spearman] = line.coefficients.map(number);
        let interval = line.interval.map_or("-".to_owned(), |(low, high)| format!("{low:.3} to {high:.3}"));
        let whole = line.effective_n.map_or("-".to_owned(), |n| format!("{n:.0}"));
        let p = line
            .p
            .map_or("-".to_owned(), |p| if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") });
        let _ = writeln!(
            text,
            "| {} | {} | {plain} | {log} | {spearman} | {interval} | {whole} | {p} |",
            markdown_text(&line.name),
            line.n
        );
    }
    text
}

/// Numbers in full; an empty field where none is reported.
fn csv(lines: &[Line]) -> String {
    let mut text =
        "granule,n_tiles,pearson,pearson_log1p,spearman,spearman_low,spearman_high,effective_n,spearman_p\n"
            .to_owned();
    let number = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
    for line in lines {
        let [plain, log, spearman] = line.coefficients.map(number);
        let (low, high) = line.interval.unzip();
        let [low, high, effective_n, p] = [low, high, line.effective_n, line.p].map(number);
        let _ = writeln!(
            text,
            "{},{},{plain},{log},{spearman},{low},{high},{effective_n},{p}",
            csv_text(&line.name),
            line.n
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<Line> {
        let full = Line {
            name: "48RVV".to_owned(),
            n: 1024,
            coefficients: [Some(0.25), Some(0.5), Some(0.125)],
            interval: Some((-0.5, 0.75)),
            effective_n: Some(12.4),
            p: Some(0.0004),
        };
        let few = Line {
            n: 3,
            coefficients: [None; 3],
            interval: None,
            effective_n: None,
            p: None,
            ..full.clone()
        };
        vec![full, few]
    }

    #[test]
    fn markdown_is_for_people() {
        let text = table(Path::new("granules.md"), &lines());
        assert!(
            text.contains("| 48RVV | 1024 | 0.250 | 0.500 | 0.125 | -0.500 to 0.750 | 12 | < 0.001 |"),
            "{text}"
        );
        assert!(
            text.contains("| 48RVV | 3 | not reported | not reported | not reported | - | - | - |"),
            "{text}"
        );
    }

    #[test]
    fn a_name_of_a_file_is_text_in_its_cell() {
        let odd = |name: &str| Line { name: name.to_owned(), ..lines().remove(0) };
        let text = table(Path::new("granules.csv"), &[odd("=1+1"), odd("a,b")]);
        assert!(text.contains("\n'=1+1,1024,") && text.contains("\n\"a,b\",1024,"), "{text}");
        let text = table(Path::new("granules.md"), &[odd("a|<b>")]);
        assert!(text.contains("| a\\|&lt;b&gt; | 1024 |"), "{text}");
    }

    #[test]
    fn csv_is_for_programs_and_has_as_many_fields_in_every_line() {
        let text = table(Path::new("granules.CSV"), &lines());
        assert!(text.contains("48RVV,1024,0.25,0.5,0.125,-0.5,0.75,12.4,0.0004\n48RVV,3,,,,,,,\n"), "{text}");
        assert!(text.lines().all(|line| line.matches(',').count() == 8));
    }
}
