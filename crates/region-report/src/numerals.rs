//! Numbers as people write them in tables: `1,234.5`, `1 234,5`, `1.234,5`, `12 %`, `１２`, `NA`.
//!
//! A comma or a point can divide thousands or begin the decimals. That is decided for a column as a whole, and refused where the column
//! reads both ways and the two ways differ. A percent sign is left out and the number stays as written; in one column all numbers have
//! it or none. Left out: words, currencies, numbers in brackets.

/// What begins the decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decimal {
    /// `1234.5`, `1,234.5`
    Point,
    /// `1234,5`, `1.234,5`
    Comma,
}

impl std::str::FromStr for Decimal {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "point" => Ok(Self::Point),
            "comma" => Ok(Self::Comma),
            _ => Err("want point or comma".to_owned()),
        }
    }
}

/// Why a column is none of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoNumbers {
    /// The text at this place is no number, or none in the way of the others.
    At(usize),
    /// The text at this place, and all others, read both ways.
    BothWays(usize),
    /// The text at this place has a percent sign and others have none, or the other way round.
    PercentAt(usize),
}

/// What stands for a number that is not known.
const MISSING: [&str; 17] = [
    "", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "nil", "-", "--", "–", "—", "…", "...", "..", ":",
];

/// Whether a text says that no number is known.
pub fn is_missing(text: &str) -> bool {
    let text = tidy(text);
    let core = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(&text);
    MISSING.iter().any(|missing| missing.eq_ignore_ascii_case(core))
}

/// The numbers of a column, none where one is missing. `decimal` decides where it is given; a file whose fields are divided by commas
/// (`by_commas`) has a point before the decimals unless its numbers say otherwise.
///
/// # Errors
/// [`NoNumbers`] with the place of a text.
pub fn numbers(
    texts: &[&str],
    decimal: Option<Decimal>,
    by_commas: bool,
) -> Result<Vec<Option<f64>>, NoNumbers> {
    let tidy: Vec<Option<String>> =
        texts.iter().map(|text| (!is_missing(text)).then(|| self::tidy(text))).collect();
    let has_percent = |text: &String| text.ends_with('%');
    let mut with = tidy.iter().flatten().map(has_percent);
    let first = with.next().unwrap_or(false);
    let differs = |text: &Option<String>| text.as_ref().is_some_and(|text| has_percent(text) != first);
    if let Some(at) = tidy.iter().position(differs) {
        return Err(NoNumbers::PercentAt(at));
    }
    let read = |decimal: Decimal| -> Result<Vec<Option<f64>>, usize> {
        let one = |(at, text): (usize, &Option<String>)| match text {
            Some(text) => number(text, decimal).ok_or(at).map(Some),
            None => Ok(None),
        };
        tidy.iter().enumerate().map(one).collect()
    };
    if let Some(decimal) = decimal {
        return read(decimal).map_err(NoNumbers::At);
    }
    match (read(Decimal::Point), read(Decimal::Comma)) {
        (Ok(point), Ok(comma)) if point == comma || by_commas => Ok(point),
        (Ok(point), Ok(comma)) => {
            let at = point.iter().zip(&comma).position(|(a, b)| a != b);
            Err(NoNumbers::BothWays(at.unwrap_or_default()))
        }
        (Ok(numbers), Err(_)) | (Err(_), Ok(numbers)) => Ok(numbers),
        // The reading that gets further names the text that is wrong.
        (Err(a), Err(b)) => Err(NoNumbers::At(a.max(b))),
    }
}

/// Full-width letters as narrow ones, one kind of minus and blank, nothing around it.
pub fn tidy(text: &str) -> String {
    const TO_NARROW: u32 = 0xfee0;
    let narrow = |letter: char| match letter {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(letter as u32 - TO_NARROW).unwrap_or(letter),
        '\u{2212}' => '-',
        letter if letter.is_whitespace() => ' ',
        letter => letter,
    };
    text.chars()
        .filter(|letter| !matches!(letter, '\u{feff}' | '\u{200b}'))
        .map(narrow)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// A tidy text as a number.
fn number(text: &str, decimal: Decimal) -> Option<f64> {
    let text = text.strip_suffix('%').unwrap_or(text).trim_end();
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let digits = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa).trim_start();
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    let (mark, group) = match decimal {
        Decimal::Point => ('.', ','),
        Decimal::Comma => (',', '.'),
    };
    let (whole, fraction) = digits.split_once(mark).unwrap_or((digits, ""));
    if !fraction.chars().all(|letter| letter.is_ascii_digit()) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole = ungrouped(whole, group)?;
    if !exponent.is_empty() && exponent[1..].parse::<i32>().is_err() {
        return None;
    }
    format!("{sign}{whole}.{fraction}0{exponent}").parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Digits without what divides thousands: one of `group`, blank or apostrophe, in groups of three (of two before the last, as in India).
fn ungrouped(whole: &str, group: char) -> Option<String> {
    let Some(mark) = whole.chars().find(|letter| !letter.is_ascii_digit()) else {
        return Some(if whole.is_empty() { "0".to_owned() } else { whole.to_owned() });
    };
    if ![group, ' ', '\'', '\u{2019}'].contains(&mark) {
        return None;
    }
    let groups: Vec<&str> = whole.split(mark).collect();
    let (first, rest) = groups.split_first()?;
    let (last, middle) = rest.split_last()?;
    let of = |n: usize| middle.iter().all(|group| group.len() == n);
    let fits = (1..=3).contains(&first.len())
        && last.len() == 3
        && (of(3) || (of(2) && first.len() < 3 && mark == ','));
    let is_digits = groups.iter().all(|group| group.chars().all(|letter| letter.is_ascii_digit()));
    (fits && is_digits && !first.starts_with('0')).then(|| groups.concat())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(texts: &[&str], by_commas: bool) -> Result<Vec<f64>, NoNumbers> {
        Ok(numbers(texts, None, by_commas)?.into_iter().flatten().collect())
    }

    #[test]
    fn a_column_says_by_itself_what_its_marks_mean() {
        let cases: [(&[&str], &[f64]); 11] = [
            (&["1234.5", "-2", "+3.25", ".5", "1e3", "2.5E-1"], &[1234.5, -2.0, 3.25, 0.5, 1000.0, 0.25]),
            (&["1,234.5", "12,345,678", "987"], &[1234.5, 12_345_678.0, 987.0]),
            (&["1.234,5", "12.345.678", "987"], &[1234.5, 12_345_678.0, 987.0]),
            (&["1 234,5", "12\u{a0}345\u{202f}678,5", "1\u{2009}000"], &[1234.5, 12_345_678.5, 1000.0]),
            (&["1'234.5", "1’234’567.25"], &[1234.5, 1_234_567.25]),
            (&["12,34,567.5", "1,00,000"], &[1_234_567.5, 100_000.0]),
            (&["１２．５", "－３"], &[12.5, -3.0]),
            (&["12.5 %", "3%"], &[12.5, 3.0]),
            (&["0,5", "1,234"], &[0.5, 1.234]),
            (&["\u{2212}4", "NA", "-", "—", "…", "", " n/a ", "null", "(NA)"], &[-4.0]),
            (&["1 234", "5 678"], &[1234.0, 5678.0]),
        ];
        for (texts, wanted) in cases {
            assert_eq!(read(texts, false).unwrap(), wanted, "{texts:?}");
        }
    }

    #[test]
    fn a_column_that_reads_both_ways_is_refused_unless_commas_divide_the_fields_or_a_flag_says() {
        for texts in [["1.234", "56.789"], ["1,234", "56,789"]] {
            assert_eq!(read(&texts, false), Err(NoNumbers::BothWays(0)), "{texts:?}");
        }
        assert_eq!(read(&["1.234", "987"], true).unwrap(), [1.234, 987.0]);
        assert_eq!(read(&["1,234", "987"], true).unwrap(), [1234.0, 987.0]);
        let told = |decimal| numbers(&["1.234"], Some(decimal), false).unwrap();
        assert_eq!((told(Decimal::Point), told(Decimal::Comma)), (vec![Some(1.234)], vec![Some(1234.0)]));
        assert_eq!(read(&["1234", "987"], false).unwrap(), [1234.0, 987.0], "no mark, no doubt");
    }

    #[test]
    fn what_is_no_number_and_what_does_not_fit_the_others_is_named_by_its_place() {
        assert_eq!(read(&["1", "many"], true), Err(NoNumbers::At(1)));
        assert_eq!(read(&["1,234.5", "1.234,5"], false), Err(NoNumbers::At(1)));
        assert_eq!(read(&["12%", "NA", "0.12"], false), Err(NoNumbers::PercentAt(2)));
        for text in [
            "1,23,4.5",
            "12,3456.1",
            "1.2.3",
            "inf",
            "0x10",
            "1e",
            "--1",
            "$5",
            "1_000",
            "1 23.5",
            "0,123.5",
            "1e999",
            ".",
            "%",
        ] {
            assert!(read(&[text], false).is_err(), "{text}");
        }
    }
}
