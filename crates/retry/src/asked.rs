//! How long a server wants to be left alone, as it says in the headers of an answer.
//!
//! In order: `retry-after-ms`; `Retry-After`, in seconds, whole or not, or as a date; and for 429 and 503 the time at which a
//! limit that is used up starts anew (`x-ratelimit-reset` and its kin). A number too large for a clock is a wait without end, not
//! none. What is no wait at all ("soon", "-1") is none.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

/// Times at which limits start anew, each with the header that says what is left until then.
const RESETS: [(&str, &str); 6] = [
    ("x-ratelimit-reset", "x-ratelimit-remaining"),
    ("x-ratelimit-reset-after", "x-ratelimit-remaining"),
    ("x-rate-limit-reset", "x-rate-limit-remaining"),
    ("ratelimit-reset", "ratelimit-remaining"),
    ("x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"),
    ("x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"),
];
/// A larger number of seconds is a date, counted from 1970 (this one is in 2001).
const LEAST_EPOCH_S: f64 = 1e9;
/// A larger number is such a date in milliseconds.
const LEAST_EPOCH_MS: f64 = 1e11;

/// How long the server wants to be left alone. Dates count by the server's own clock, which need not agree with ours.
pub fn wait_asked(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let longest = |name: &str, read: &dyn Fn(&str) -> Option<Duration>| {
        headers.get_all(name).iter().filter_map(|value| read(value.to_str().ok()?.trim())).max()
    };
    let after = |text: &str| seconds(text).or_else(|| until(text, headers));
    let asked = longest("retry-after-ms", &|text| Some(from_seconds(number(text)? / 1000.0)))
        .or_else(|| longest(RETRY_AFTER.as_str(), &after));
    if asked.is_some() || !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return asked;
    }
    let used_up = |name: &&(&str, &str)| text(headers, name.1).and_then(number).is_none_or(|left| left < 1.0);
    let resets = RESETS.iter().filter(used_up);
    resets.filter_map(|(name, _)| longest(name, &|text| reset(text, headers))).max()
}

/// What the server's clock says, or ours if it keeps quiet.
pub fn server_now(headers: &HeaderMap) -> SystemTime {
    let date = text(headers, DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok());
    date.unwrap_or_else(SystemTime::now)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| *value >= 0.0)
}

fn seconds(text: &str) -> Option<Duration> {
    number(text).map(from_seconds)
}

/// What no clock can count to is a wait without end.
fn from_seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

fn until(date: &str, headers: &HeaderMap) -> Option<Duration> {
    let until = httpdate::parse_http_date(date).ok()?;
    Some(until.duration_since(server_now(headers)).unwrap_or_default())
}

/// Seconds from now, a date in several forms, or a span such as `6m0s` and `20ms`.
fn reset(text: &str, headers: &HeaderMap) -> Option<Duration> {
    let Some(value) = number(text) else { return span(text).or_else(|| until(text, headers)) };
    if value < LEAST_EPOCH_S {
        return Some(from_seconds(value));
    }
    let since_1970 = from_seconds(if value < LEAST_EPOCH_MS { value } else { value / 1000.0 });
    let now = server_now(headers).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Some(since_1970.saturating_sub(now))
}

fn span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut all = Duration::ZERO;
    while !rest.is_empty() {
        let n_digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (value, behind) = rest.split_at(n_digits);
        let n_letters = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(n_letters);
        let unit_s = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        all = all.saturating_add(from_seconds(number(value)? * unit_s));
        rest = behind;
    }
    (!text.is_empty()).then_some(all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::HeaderName;

    const NOW: (&str, &str) = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");

    fn asked(status: u16, pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let one = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse::<http::HeaderValue>().unwrap())
        };
        let headers: HeaderMap = pairs.iter().map(one).collect();
        wait_asked(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_servers_clock() {
        let after = |text| asked(503, &[("retry-after", text), NOW]);
        let cases = [
            ("7", 7.0),
            ("0", 0.0),
            (" 0.5 ", 0.5),
            ("2.25", 2.25),
            ("Wed, 21 Oct 2015 07:29:30 GMT", 90.0),
            ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ];
        for (text, seconds) in cases {
            assert_eq!(after(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        let gone_by = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(
            asked(429, &[("retry-after", gone_by)]),
            Some(Duration::ZERO),
            "our clock, without theirs"
        );
        for nonsense in ["-1", "soon", "NaN", "", "5, 7", "6m0s"] {
            assert_eq!(after(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_number_that_no_clock_can_count_to_is_a_wait_without_end_and_not_none() {
        for text in ["99999999999999999999999999", "1e300", "18446744073709551616", "inf"] {
            assert_eq!(asked(429, &[("retry-after", text)]), Some(Duration::MAX), "{text}");
            assert!(asked(429, &[("x-ratelimit-reset-requests", text)]).is_some(), "{text}");
        }
        assert_eq!(asked(429, &[("retry-after-ms", "1e300")]), Some(Duration::MAX));
        let far = asked(503, &[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT"), NOW]).unwrap();
        assert!(far > Duration::from_secs(1 << 37), "{far:?}");
    }

    #[test]
    fn milliseconds_come_first_and_of_several_headers_of_a_name_the_longest_counts() {
        assert_eq!(
            asked(429, &[("retry-after-ms", "1500"), ("retry-after", "9")]),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(
            asked(429, &[("retry-after-ms", "soon"), ("retry-after", "9")]),
            Some(Duration::from_secs(9))
        );
        let mut headers = HeaderMap::new();
        for text in ["3", "8", "soon"] {
            headers.append(RETRY_AFTER, text.parse().unwrap());
        }
        assert_eq!(wait_asked(StatusCode::TOO_MANY_REQUESTS, &headers), Some(Duration::from_secs(8)));
    }

    #[test]
    fn the_reset_of_a_limit_that_is_used_up_is_waited_for() {
        // the server's clock, in seconds since 1970
        let now_s = 1_445_412_480_u64;
        let cases = [
            (("x-ratelimit-reset", "30".to_owned()), 30.0),
            (("x-ratelimit-reset", (now_s + 45).to_string()), 45.0),
            (("x-ratelimit-reset", ((now_s + 45) * 1000 + 250).to_string()), 45.25),
            (("x-ratelimit-reset", (now_s - 9).to_string()), 0.0),
            (("ratelimit-reset", "12".to_owned()), 12.0),
            (("x-ratelimit-reset-requests", "1m2.5s".to_owned()), 62.5),
            (("x-ratelimit-reset-tokens", "20ms".to_owned()), 0.02),
        ];
        for ((name, text), seconds) in cases {
            let found = asked(429, &[(name, &text), NOW]).unwrap().as_secs_f64();
            assert!((found - seconds).abs() < 1e-6, "{name} {text}: {found}");
        }
        let left =
            |n| asked(429, &[("x-ratelimit-reset-tokens", "6m0s"), ("x-ratelimit-remaining-tokens", n)]);
        assert_eq!((left("0"), left("4000")), (Some(Duration::from_secs(360)), None));
        assert_eq!(asked(500, &[("x-ratelimit-reset", "30")]), None, "a broken server's limit says nothing");
        assert_eq!(
            asked(429, &[("x-ratelimit-reset", "30"), ("retry-after", "2")]),
            Some(Duration::from_secs(2))
        );
        for nonsense in ["6x", "m", "5m6", "..s", ""] {
            assert_eq!(asked(429, &[("x-ratelimit-reset", nonsense)]), None, "{nonsense}");
        }
    }
}
