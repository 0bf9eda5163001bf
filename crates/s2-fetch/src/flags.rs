//! Parsers of flags.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::Context;
use url::Url;

/// A catalogue's address: a path, a `file:` or an http address. An address that is none is not shown: it may hold a password.
pub(crate) fn catalogue_url(text: &str) -> anyhow::Result<Url> {
    let url = match Url::parse(text) {
        Ok(url) => Some(url).filter(|url| matches!(url.scheme(), "http" | "https" | "file")),
        Err(_) => None,
    };
    if let Some(url) = url {
        return Ok(url);
    }
    if let Some((scheme, _)) = text.split_once("://") {
        let scheme: String = scheme.chars().take(16).collect();
        anyhow::bail!(
            "--catalogue: want a path, a file: or an http address, found one of {scheme}: that is none"
        );
    }
    let path = std::path::absolute(text).with_context(|| format!("{text}: no path"))?;
    Url::from_file_path(&path)
        .map_err(|()| anyhow::anyhow!("{text}: want a path, a file: or an http address"))
}

/// Parses a band or asset name; it becomes part of a file name.
pub(crate) fn asset_name(text: &str) -> Result<String, String> {
    let safe = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if (1..=64).contains(&text.len()) && safe && !text.starts_with('.') {
        return Ok(text.to_owned());
    }
    Err("want a name of 1 to 64 letters, digits, -, _ and points".into())
}

/// Parses a day, `2020-01-31`.
pub(crate) fn day(text: &str) -> Result<String, String> {
    let shape = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
    let in_range = || {
        let (month, day): (u32, u32) = (text[5..7].parse().ok()?, text[8..].parse().ok()?);
        ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(())
    };
    if shape && in_range().is_some() {
        return Ok(text.to_owned());
    }
    Err("want a day as 2020-01-31".into())
}

/// Parses a day or a time of sensing, `2020-01-31` or `2020-01-31T03:39:59Z`.
pub(crate) fn sensed(text: &str) -> Result<String, String> {
    let time = |text: &str| chrono::DateTime::parse_from_rfc3339(text).is_ok();
    if day(text).is_ok() || time(text) || time(&format!("{text}Z")) {
        return Ok(text.to_owned());
    }
    Err("want a day as 2020-01-31, or a time as 2020-01-31T03:39:59Z".into())
}

/// A range of days, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Period {
    /// First day, `2020-01-01`.
    pub from: String,
    /// Last day.
    pub to: String,
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.from, self.to)
    }
}

/// Parses a range of days, `2020-05-01/2020-09-30`.
pub(crate) fn period(text: &str) -> Result<Period, String> {
    let wrong = || "want a range of days as 2020-05-01/2020-09-30".to_owned();
    let (from, to) = text.split_once('/').ok_or_else(wrong)?;
    match (day(from), day(to)) {
        (Ok(from), Ok(to)) if from <= to => Ok(Period { from, to }),
        _ => Err(wrong()),
    }
}

/// Months of the year, 1 to 12.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Months(BTreeSet<u32>);

impl Months {
    /// Whether sensing from one month to another, given as `2020-11` and `2021-02`, touches a month of the set.
    pub fn meet(&self, first: &str, last: &str) -> bool {
        let ordinal = |text: &str| -> Option<u32> {
            let (year, month) = (text.get(..4)?.parse::<u32>().ok()?, text.get(5..7)?.parse::<u32>().ok()?);
            (1..=12).contains(&month).then_some(year * 12 + month - 1)
        };
        let (Some(first), Some(last)) = (ordinal(first), ordinal(last)) else { return false };
        // A year has all months: no longer walk is needed.
        (first..=last.min(first + 11)).any(|m| self.0.contains(&(m % 12 + 1)))
    }
}

impl fmt::Display for Months {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&list.join(","))
    }
}

/// Parses months, `5-9` or `11-2` or `4,6`.
pub(crate) fn months(text: &str) -> Result<Months, String> {
    let wrong = || "want months as 5-9, 11-2 or 4,6,9".to_owned();
    let month =
        |text: &str| text.trim().parse::<u32>().ok().filter(|m| (1..=12).contains(m)).ok_or_else(wrong);
    let mut set = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (month(first)?, month(last)?);
        let last = if last < first { last + 12 } else { last };
        set.extend((first..=last).map(|m| (m - 1) % 12 + 1));
    }
    Ok(Months(set))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_refused_without_showing_it() {
        assert_eq!(catalogue_url("https://u:p@example.org/c.json").unwrap().password(), Some("p"));
        assert_eq!(catalogue_url("/a/c.json").unwrap().scheme(), "file");
        for wrong in [
            "ftp://user:SECRET@host/c.json",
            "https://user:SECRET@host:99999/c.json?sig=SECRET",
            "http://[::SECRET",
        ] {
            let said = catalogue_url(wrong).unwrap_err().to_string();
            assert!(!said.contains("SECRET") && said.contains("--catalogue"), "{said}");
        }
    }

    #[test]
    fn months_wrap_around_the_year_and_meet_what_they_hold() {
        let winter = months("11-2").unwrap();
        assert_eq!(winter.to_string(), "1,2,11,12");
        for (first, last, meets) in [
            ("2021-12-03", "2021-12-03", true),
            ("2021-03-01", "2021-10-31", false),
            ("2021-03-01", "2021-11-01", true),
            ("2015-06-23", "2016-06-10", true),
            ("nonsense", "2016-06-10", false),
        ] {
            assert_eq!(winter.meet(first, last), meets, "{first} to {last}");
        }
        assert_eq!(months("4,6,9-10").unwrap().to_string(), "4,6,9,10");
        for wrong in ["", "0", "13", "5-", "a", "5--9"] {
            assert!(months(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_range_of_days_reads_back_as_itself() {
        let text = "2021-05-01/2021-09-30";
        assert_eq!(period(text).unwrap().to_string(), text);
        for wrong in ["2021-05-01", "2021-09-30/2021-05-01", "2021-5-1/2021-9-30", "/"] {
            assert!(period(wrong).is_err(), "{wrong}");
        }
    }
}
