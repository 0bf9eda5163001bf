//! What a server's status and headers mean. Pure functions of them.

use std::ops::Range;

use reqwest::StatusCode;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED,
};
use retry::wait_asked;

use crate::fault::{Fault, Kind};

/// Longer ones are hostile, not honest.
const MAX_VALIDATOR_CHARS: usize = 256;

/// What ties the parts of a file together, and a file to the one that was begun yesterday.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Validator {
    /// A strong entity tag, with its quotes.
    Etag(String),
    /// The time of the last change, as the server writes it.
    Modified(String),
}

impl Validator {
    /// The strongest one that the headers hold. A weak tag may stay when bytes change, so it ties nothing.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let honest = |name| text(headers, name).filter(|t| t.len() <= MAX_VALIDATOR_CHARS);
        let etag = honest(ETAG).filter(|t| t.len() > 2 && t.starts_with('"') && t.ends_with('"'));
        let modified = || honest(LAST_MODIFIED).filter(|t| httpdate::parse_http_date(t).is_ok());
        etag.map(|t| Self::Etag(t.to_owned())).or_else(|| Some(Self::Modified(modified()?.to_owned())))
    }

    /// The header that makes a server refuse when the file has changed.
    pub fn condition(&self) -> (&'static str, &str) {
        match self {
            Self::Etag(tag) => ("if-match", tag),
            Self::Modified(date) => ("if-unmodified-since", date),
        }
    }
}

/// What the server is about to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The bytes of the file that come; where the server does not say how many, the end is open.
    pub start: u64,
    /// See `start`.
    pub end: Option<u64>,
    /// Length of the file.
    pub total: Option<u64>,
    /// Whether the server sends the whole file, whatever was asked.
    pub whole: bool,
}

/// What comes, if the status and headers say that it is what was asked for.
///
/// # Errors
/// What the status means, or how the headers contradict themselves or the question.
pub(crate) fn extent(
    status: StatusCode,
    headers: &HeaderMap,
    asked: Option<&Range<u64>>,
) -> Result<Extent, Fault> {
    refusal(status, headers)?;
    if text(headers, CONTENT_ENCODING).is_some_and(|t| !t.eq_ignore_ascii_case("identity")) {
        return Err(Fault::passing("want the file as it is, found it packed (Content-Encoding)"));
    }
    let length = content_length(headers)?;
    let Some(asked) = asked else {
        if status == StatusCode::PARTIAL_CONTENT {
            return Err(Fault::passing("want the whole file, found a part (status 206)"));
        }
        return Ok(Extent { start: 0, end: length, total: length, whole: true });
    };
    if status != StatusCode::PARTIAL_CONTENT {
        return Ok(Extent { start: 0, end: length, total: length, whole: true });
    }
    let found = text(headers, CONTENT_RANGE).unwrap_or("none");
    let wrong = || {
        Fault::passing(format!(
            "want bytes {}-{}, found Content-Range {}",
            asked.start,
            asked.end - 1,
            found.chars().take(80).collect::<String>()
        ))
    };
    let (start, end, total) = content_range(found).ok_or_else(wrong)?;
    // A file can be shorter than the first part that is asked for; nothing else may be.
    let fits = start == asked.start && end == asked.end.min(total);
    if !fits || length.is_some_and(|length| length != end - start) {
        return Err(wrong());
    }
    Ok(Extent { start, end: Some(end), total: Some(total), whole: false })
}

/// Why the server does not send what was asked for, if it does not.
fn refusal(status: StatusCode, headers: &HeaderMap) -> Result<(), Fault> {
    let kind = match status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => return Ok(()),
        StatusCode::PRECONDITION_FAILED => Kind::Changed,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Denied,
        StatusCode::RANGE_NOT_SATISFIABLE => Kind::NoParts,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Kind::Passing,
        status if status.is_server_error() => Kind::Passing,
        _ => Kind::Last,
    };
    let wait = if kind == Kind::Passing { wait_asked(status, headers) } else { None };
    Err(Fault { wait, ..Fault::of(kind, format!("the server answers {status}")) })
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    let Some(found) = text(headers, CONTENT_LENGTH) else { return Ok(None) };
    match found.parse() {
        Ok(length) => Ok(Some(length)),
        Err(_) => Err(Fault::passing("want a Content-Length, found something else")),
    }
}

/// `bytes 0-99/1000` as start, end (exclusive) and total, if they make sense.
fn content_range(found: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = found.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit()).then(|| t.parse::<u64>().ok())?;
    let (first, last, total) = (digits(first)?, digits(last)?, digits(total)?);
    (first <= last && last < total).then_some((first, last + 1, total))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), v.parse().unwrap())).collect()
    }

    #[test]
    fn only_the_range_that_was_asked_for_is_taken() {
        let asked = 100..200;
        let partial = |range: &str, length: &str| {
            let found = headers(&[("content-range", range), ("content-length", length)]);
            extent(StatusCode::PARTIAL_CONTENT, &found, Some(&asked))
        };
        let good = partial("bytes 100-199/1000", "100").unwrap();
        assert_eq!(good, Extent { start: 100, end: Some(200), total: Some(1000), whole: false });
        assert_eq!(partial("bytes 100-149/150", "50").unwrap().end, Some(150), "the file ends there");
        for (range, length) in [
            ("bytes 0-99/1000", "100"),
            ("bytes 100-198/1000", "99"),
            ("bytes 100-299/1000", "200"),
            ("bytes 100-199/1000", "99"),
            ("bytes 100-199/*", "100"),
            ("bytes 100-199/150", "100"),
            ("bytes 199-100/1000", "100"),
            ("bytes -100-199/1000", "100"),
            ("bytes 100-18446744073709551615/18446744073709551616", "100"),
            ("items 100-199/1000", "100"),
            ("", "100"),
        ] {
            let fault = partial(range, length).unwrap_err();
            assert_eq!(fault.kind, Kind::Passing, "{range}");
        }
        let whole = extent(StatusCode::OK, &headers(&[("content-length", "1000")]), Some(&asked)).unwrap();
        assert!(whole.whole && whole.start == 0 && whole.total == Some(1000));
    }

    #[test]
    fn a_server_that_is_busy_says_for_how_long_and_one_that_refuses_does_not() {
        let wait = |status: StatusCode| {
            let found = headers(&[("retry-after", "17"), ("x-ratelimit-reset", "99")]);
            extent(status, &found, None).unwrap_err().wait.map(|wait| wait.as_secs())
        };
        assert_eq!(wait(StatusCode::SERVICE_UNAVAILABLE), Some(17));
        assert_eq!(wait(StatusCode::TOO_MANY_REQUESTS), Some(17));
        assert_eq!(wait(StatusCode::NOT_FOUND), None);
        let reset = headers(&[("x-ratelimit-reset", "99")]);
        let fault = extent(StatusCode::TOO_MANY_REQUESTS, &reset, None).unwrap_err();
        assert_eq!(fault.wait.map(|wait| wait.as_secs()), Some(99));
    }

    #[test]
    fn a_weak_a_long_or_an_empty_tag_ties_nothing() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let of = |pairs: &[(&'static str, &str)]| Validator::of(&headers(pairs));
        assert_eq!(of(&[("etag", "\"a\""), ("last-modified", date)]), Some(Validator::Etag("\"a\"".into())));
        assert_eq!(
            of(&[("etag", "W/\"a\""), ("last-modified", date)]),
            Some(Validator::Modified(date.into()))
        );
        let long = format!("\"{}\"", "a".repeat(300));
        for bad in [&long[..], "\"\"", "a", ""] {
            assert_eq!(of(&[("etag", bad), ("last-modified", "yesterday")]), None, "{bad}");
        }
    }
}
