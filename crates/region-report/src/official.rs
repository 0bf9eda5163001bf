//! A table of official statistics, as CSV: one number a zone.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};

/// Reads a number for each key. Empty numbers are left out; a key that repeats is dropped, because nothing says which row is right.
///
/// # Errors
/// For a file that cannot be read, is not UTF-8, lacks a column, or holds something that is no number.
pub fn read_official(path: &Path, key: &str, value: &str) -> anyhow::Result<BTreeMap<String, f64>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: want a table as CSV in UTF-8", path.display()))?;
    let mut rows = records(&text).into_iter();
    let head = rows.next().unwrap_or_default();
    let column = |name: &str| {
        head.iter()
            .position(|found| found == name)
            .with_context(|| format!("{}: want column {name}, found {}", path.display(), head.join(", ")))
    };
    let (key_at, value_at) = (column(key)?, column(value)?);
    let mut found: BTreeMap<String, Option<f64>> = BTreeMap::new();
    for (i, row) in rows.enumerate() {
        ensure!(
            row.len() == head.len(),
            "{}: want {} fields in record {}, found {}",
            path.display(),
            head.len(),
            i + 2,
            row.len()
        );
        let (key, text) = (whole(row[key_at].trim()), row[value_at].trim());
        if key.is_empty() || text.is_empty() {
            continue;
        }
        let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) else {
            bail!("{}: want a number in column {value} of record {}, found {text:?}", path.display(), i + 2);
        };
        found.entry(key).and_modify(|known| *known = None).or_insert(Some(number));
    }
    Ok(found.into_iter().filter_map(|(key, number)| Some((key, number?))).collect())
}

/// A code that a spreadsheet turned into a decimal number, as `510104.0`, without its fraction.
fn whole(key: &str) -> String {
    key.strip_suffix(".0").unwrap_or(key).to_owned()
}

/// The fields of each record: commas between them, quotes around those that hold commas, quotes (doubled) or line ends (RFC 4180).
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !quoted => {}
            other => field.push(other),
        }
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows.retain(|row| row.iter().any(|field| !field.is_empty()));
    rows
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<BTreeMap<String, f64>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("economy.csv");
        std::fs::write(&path, text).unwrap();
        read_official(&path, "code", "GDP, per head")
    }

    #[test]
    fn quoted_fields_empty_numbers_and_codes_with_a_fraction_are_read() {
        let text = "\u{feff}code,\"GDP, per head\",note\r\n510104.0,12.5,\"a \"\"b\"\"\"\r\n510105,,x\r\n510106,3,y\r\n";
        assert_eq!(read(text).unwrap(), BTreeMap::from([("510104".into(), 12.5), ("510106".into(), 3.0)]));
    }

    #[test]
    fn a_key_that_repeats_is_dropped() {
        assert!(read("code,\"GDP, per head\"\n1,2\n1,3\n").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_number_is_named_with_its_record() {
        let error = read("code,\"GDP, per head\"\n1,2\n2,many\n").unwrap_err().to_string();
        assert!(error.contains("economy.csv: want a number in column GDP, per head of record 3"), "{error}");
        let error = read("code,gdp\n1,2\n").unwrap_err().to_string();
        assert!(error.contains("want column GDP, per head, found code, gdp"), "{error}");
    }
}
