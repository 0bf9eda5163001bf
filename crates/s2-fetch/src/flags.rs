//! Parsers of flags.

use anyhow::Context;
use url::Url;

/// A catalogue's address: a path, a `file:` or an http address.
pub(crate) fn catalogue_url(text: &str) -> anyhow::Result<Url> {
    if let Ok(url) = Url::parse(text)
        && matches!(url.scheme(), "http" | "https" | "file")
    {
        return Ok(url);
    }
    let path = std::path::absolute(text).with_context(|| format!("{text}: no path"))?;
    Url::from_file_path(&path)
        .map_err(|()| anyhow::anyhow!("{text}: want a path, a file: or an http address"))
}

/// Parses a band or asset name; it becomes part of a file name.
pub(crate) fn asset_name(text: &str) -> Result<String, String> {
    let safe = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if (1..=32).contains(&text.len()) && safe {
        return Ok(text.to_owned());
    }
    Err("want a name of 1 to 32 letters, digits, - and _".into())
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
