//! A table of official statistics, as CSV: one number a zone.
//!
//! Which rows meet which zones is said in one line and in the metrics. Nothing is guessed without a word: a zone with two rows, and a table
//! that meets no zone, are refused. Left out: totals of several rows, and joins by name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use contract::Metric;
use contract::delimited_text::{DelimitedText, Row, parse};

use crate::codes::{Rule, join};
use crate::numerals::{Decimal, NoNumbers, numbers, tidy};
use crate::table::plain;

/// Flags of the official table.
#[derive(clap::Args, Debug)]
pub struct OfficialArgs {
    /// Official statistics, a CSV with a row a zone: commas, semicolons or tabs; UTF-8, UTF-16 or GB18030
    #[arg(long, value_name = "CSV", requires = "official_value")]
    pub(crate) official: Option<PathBuf>,
    /// Column of the official table with the zone's id
    #[arg(long, value_name = "COLUMN", default_value = "zone")]
    official_key: String,
    /// Column of the official table with the number; low is in need
    #[arg(long, value_name = "COLUMN")]
    pub(crate) official_value: Option<String>,
    /// What that number is, for the page
    #[arg(long, value_name = "WORDS")]
    official_name: Option<String>,
    /// Take only rows of this year (or whatever the column holds), where a zone has a row a year, such as year=2020
    #[arg(long, value_name = "COLUMN=YEAR", value_parser = year)]
    pub(crate) official_year: Option<Year>,
    /// What begins the decimals of the number, point or comma, where the column does not tell
    #[arg(long, value_name = "MARK")]
    pub(crate) official_decimal: Option<Decimal>,
    /// What becomes of a zone that has several rows
    #[arg(long, value_name = "WAY", value_enum, default_value = "refuse")]
    pub(crate) official_repeats: Repeats,
}

/// What becomes of a zone that has several rows of the official table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Repeats {
    /// The table is refused
    #[default]
    Refuse,
    /// The zone has no number, and is named
    LeaveOut,
}

/// Rows of a table that have a value in a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Year {
    column: String,
    value: String,
}

impl std::fmt::Display for Year {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.column, self.value)
    }
}

fn year(text: &str) -> Result<Year, String> {
    let (column, value) = text.rsplit_once('=').ok_or("want COLUMN=YEAR, such as year=2020")?;
    Ok(Year { column: column.to_owned(), value: value.to_owned() })
}

/// The numbers, and how they met the zones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Official {
    /// What the number is.
    pub name: String,
    /// By zone id.
    pub by_zone: BTreeMap<String, f64>,
    n_zones: usize,
    n_missing: usize,
    n_rows_alone: usize,
    /// One line about it.
    pub line: String,
}

/// What is asked of a table.
struct Asked<'a> {
    path: &'a Path,
    key: &'a str,
    value: &'a str,
    year: Option<&'a Year>,
    decimal: Option<Decimal>,
    repeats: Repeats,
}

impl OfficialArgs {
    /// What the number is, where a table is given.
    pub(crate) fn name(&self) -> Option<&str> {
        self.official.as_ref()?;
        self.official_name.as_deref().or(self.official_value.as_deref())
    }

    /// Reads the table, if one is given, for zones of these ids.
    ///
    /// # Errors
    /// For a table that cannot be read, holds something that is no number, has two rows for a zone, or meets no zone.
    pub(crate) fn read(&self, zones: &BTreeSet<&str>) -> anyhow::Result<Option<Official>> {
        let (Some(path), Some(value)) = (&self.official, &self.official_value) else { return Ok(None) };
        let asked = Asked {
            path,
            key: &self.official_key,
            value,
            year: self.official_year.as_ref(),
            decimal: self.official_decimal,
            repeats: self.official_repeats,
        };
        let bytes = std::fs::read(path).map_err(contract::Error::io(path, "read"))?;
        let zones: Vec<&str> = zones.iter().copied().collect();
        let found = asked.of(&bytes, &zones).with_context(|| path.display().to_string())?;
        Ok(Some(Official { name: self.name().unwrap_or_default().to_owned(), ..found }))
    }
}

/// Takes the zones of several rows away, and says which.
fn leave_repeats_out(by_zone: &mut BTreeMap<&str, Vec<&Row>>) {
    let twice: Vec<&str> = by_zone.iter().filter(|(_, rows)| rows.len() > 1).map(|(zone, _)| *zone).collect();
    by_zone.retain(|_, rows| rows.len() == 1);
    if !twice.is_empty() {
        let some = twice.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        tracing::warn!(
            "{} zones have several rows of the official table and get no number, such as {some}",
            twice.len()
        );
    }
}

impl Asked<'_> {
    fn of(&self, bytes: &[u8], zones: &[&str]) -> anyhow::Result<Official> {
        let wanted = [Some(self.key), Some(self.value), self.year.map(|year| year.column.as_str())];
        let table = parse(bytes, &wanted.into_iter().flatten().collect::<Vec<_>>())?;
        let (key_at, value_at) = (table.column(self.key)?, table.column(self.value)?);
        let rows = self.of_year(&table)?;
        let keys: Vec<&str> = rows.iter().map(|row| row.get(key_at)).collect();
        let joined = join(zones, &keys).map_err(|two| {
            let ([one, other], words) = (two.zones, two.rule.words());
            anyhow::anyhow!("want codes in column {} that tell zones apart, found some that join only as {words}, which takes zones {one} and {other} for the same; write the codes as the zones have them", self.key)
        })?;
        let mut by_zone = rows_by_zone(&rows, &joined.zone_of);
        if self.repeats == Repeats::LeaveOut {
            leave_repeats_out(&mut by_zone);
        }
        ensure!(
            !by_zone.is_empty(),
            "0 of {} zones found in column {} (zones such as {}, codes such as {}); name the column of codes with --official-key, and the zones' with --zone-id",
            zones.len(),
            self.key,
            zones.first().unwrap_or(&"none"),
            keys.iter().find(|key| !key.trim().is_empty()).map_or("none".to_owned(), |key| shortened(key))
        );
        self.ensure_one_row(&table, &by_zone)?;
        let found = self.numbers(&table, value_at, &by_zone)?;
        let n_missing = found.iter().filter(|number| number.is_none()).count();
        ensure!(
            n_missing < found.len(),
            "want numbers in column {}, found none in the rows of {} zones",
            self.value,
            found.len()
        );
        let without: Vec<&str> = zones.iter().copied().filter(|zone| !by_zone.contains_key(zone)).collect();
        let meets_none =
            |(at, zone): (usize, &Option<String>)| zone.is_none().then(|| (rows[at].line, keys[at]));
        let alone: Vec<(u64, &str)> = joined.zone_of.iter().enumerate().filter_map(meets_none).collect();
        let rows_of = by_zone.keys().zip(found);
        Ok(Official {
            by_zone: rows_of.filter_map(|(zone, number)| Some(((*zone).to_owned(), number?))).collect(),
            n_zones: zones.len(),
            n_missing,
            n_rows_alone: alone.len(),
            line: self.line(zones.len(), joined.rule, n_missing, &without, &alone) + &read_as(&table),
            ..Official::default()
        })
    }

    /// The rows of the year asked for, or all.
    fn of_year<'a>(&self, table: &'a DelimitedText) -> anyhow::Result<Vec<&'a Row>> {
        let Some(year) = self.year else { return Ok(table.rows.iter().collect()) };
        let at = table.column(&year.column)?;
        let form = |text: &str| {
            let text = tidy(text);
            text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
        };
        let wanted = form(&year.value);
        let rows: Vec<&Row> = table.rows.iter().filter(|row| form(row.get(at)) == wanted).collect();
        ensure!(
            !rows.is_empty(),
            "want rows with {} in column {}, found {}",
            year.value,
            year.column,
            values(table, at)
        );
        Ok(rows)
    }

    fn ensure_one_row(
        &self,
        table: &DelimitedText,
        by_zone: &BTreeMap<&str, Vec<&Row>>,
    ) -> anyhow::Result<()> {
        let twice: Vec<_> = by_zone.iter().filter(|(_, rows)| rows.len() > 1).collect();
        let Some((zone, rows)) = twice.first() else { return Ok(()) };
        let lines = rows.iter().take(3).map(|row| row.line.to_string()).collect::<Vec<_>>().join(", ");
        let is_year = |text: &str| {
            text.trim()
                .parse::<f64>()
                .is_ok_and(|year| (1900.0..=2100.0).contains(&year) && year.fract() == 0.0)
        };
        let column = (0..table.head.len())
            .find(|at| table.head[*at] != self.value && table.rows.iter().all(|row| is_year(row.get(*at))));
        let cure = column.map_or(
            "leave one, or name a column that tells them apart with --official-year COLUMN=YEAR, or give such zones no number with --official-repeats leave-out".to_owned(),
            |at| {
                format!(
                    "take one year with --official-year {}=YEAR (found {})",
                    table.head[at],
                    values(table, at)
                )
            },
        );
        bail!(
            "want one row a zone, found {} for zone {zone} (lines {lines}), and more than one for {} of {} zones; {cure}",
            rows.len(),
            twice.len(),
            by_zone.len()
        )
    }

    fn numbers(
        &self,
        table: &DelimitedText,
        at: usize,
        by_zone: &BTreeMap<&str, Vec<&Row>>,
    ) -> anyhow::Result<Vec<Option<f64>>> {
        let rows: Vec<&Row> = by_zone.values().flatten().copied().collect();
        let texts: Vec<&str> = rows.iter().map(|row| row.get(at)).collect();
        let by_commas = table.separator == ',';
        numbers(&texts, self.decimal, by_commas).map_err(|fault| {
            let (place, want) = match fault {
                NoNumbers::At(place) => (place, "a number"),
                NoNumbers::PercentAt(place) => (place, "a percent sign at all numbers or at none"),
                NoNumbers::BothWays(place) => (place, "numbers that tell thousands from decimals (say which with --official-decimal point or comma)"),
            };
            let (line, got) = (rows[place].line, shortened(texts[place]));
            anyhow::anyhow!("want {want} in column {} of line {line}, found {got:?}", self.value)
        })
    }

    /// What met and what did not, with examples.
    fn line(
        &self,
        n_zones: usize,
        rule: Rule,
        n_missing: usize,
        without: &[&str],
        alone: &[(u64, &str)],
    ) -> String {
        let mut line = format!(
            "{}: {} of {n_zones} zones found in column {} (by {}), {n_missing} of them without a number",
            self.path.display(),
            n_zones - without.len(),
            self.key,
            rule.words(),
        );
        if let Some(zone) = without.first() {
            line += &format!("; {} zones without a row, such as {}", without.len(), shortened(zone));
        }
        if let Some((at, key)) = alone.first() {
            line +=
                &format!("; {} rows without a zone, such as {:?} on line {at}", alone.len(), shortened(key));
        }
        line
    }
}

fn read_as(table: &DelimitedText) -> String {
    if table.encoding == "UTF-8" { String::new() } else { format!("; read as {}", table.encoding) }
}

/// The rows of each zone that has any.
fn rows_by_zone<'a>(rows: &[&'a Row], zone_of: &'a [Option<String>]) -> BTreeMap<&'a str, Vec<&'a Row>> {
    let mut by_zone: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for (row, zone) in rows.iter().zip(zone_of) {
        if let Some(zone) = zone {
            by_zone.entry(zone).or_default().push(row);
        }
    }
    by_zone
}

/// The first values of a column, for an error.
fn values(table: &DelimitedText, at: usize) -> String {
    const SHOWN: usize = 8;
    let mut known: Vec<&str> = table.rows.iter().map(|row| row.get(at).trim()).collect();
    known.sort_unstable();
    known.dedup();
    let rest = if known.len() > SHOWN { " and more" } else { "" };
    known.iter().take(SHOWN).map(|text| shortened(text)).collect::<Vec<_>>().join(", ") + rest
}

fn shortened(text: &str) -> String {
    const LETTERS: usize = 60;
    text.trim().chars().take(LETTERS).collect()
}

impl Official {
    /// How many zones and rows met.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let n_with = self.by_zone.len();
        let count = |name: &str, of: &str, n: usize, note: Option<&str>| {
            plain(
                name,
                &format!("{}, {of}", self.name),
                Some(n as f64),
                "1",
                self.n_zones,
                note.map(str::to_owned),
            )
        };
        vec![
            count("official_zones", "zones with a number", n_with, None),
            count("official_zones", "zones with a row without a number", self.n_missing, None),
            count(
                "official_zones",
                "zones without a row",
                self.n_zones.saturating_sub(n_with + self.n_missing),
                None,
            ),
            count("official_rows", "rows that meet no zone", self.n_rows_alone, None),
        ]
    }
}

#[cfg(test)]
#[path = "official_tests.rs"]
mod tests;
