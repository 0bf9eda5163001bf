//! Planetary Computer's files are free but signed: a token for the collection goes into the query of each address.
//!
//! A token is a secret of an hour. It is kept for the run, asked for by one request at a time, renewed before it runs out, and never
//! shown. Its life is counted from the `Date` of the answer that brought it, on a clock that does not jump, so the two machines' clocks
//! need not agree.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use reqwest::header::HeaderMap;
use retry::server_now;
use serde_json::Value;
use tokio::time::Instant;
use url::{Host, Url};

use crate::clock::now;
use crate::fault::Fault;

const PLANETARY_HOST: &str = "planetarycomputer.microsoft.com";
const PLANETARY_SERVICE: &str = "https://planetarycomputer.microsoft.com/api/sas/v1/token/{collection}";
const STORE: &str = ".blob.core.windows.net";
const PLACEHOLDER: &str = "{collection}";
/// Renewed so long before the end, or a tenth of a short life before it.
const MARGIN: Duration = Duration::from_secs(300);
/// The life of a token that does not say when it ends.
const UNKNOWN_LIFE: Duration = Duration::from_secs(60);
/// No token is believed to live longer.
const LONGEST_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// Which files are signed, and by whom.
#[derive(Debug)]
pub(crate) struct Signing {
    /// The service's address, with [`PLACEHOLDER`].
    service: Option<String>,
    /// Whether files on this machine are signed too: only for a catalogue that lies here.
    here: bool,
    tokens: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Option<Token>>>>>,
}

/// A token and how long it is good.
#[derive(Clone)]
pub(crate) struct Token {
    query: String,
    fresh_until: Instant,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Signing {
    /// The rule for a catalogue: Planetary Computer's service for its own, the user's for any other, else none.
    ///
    /// # Errors
    /// If the user's service is no https address with a place for the collection.
    pub fn of(catalogue: &Url, service: Option<&str>) -> anyhow::Result<Self> {
        let here = catalogue.scheme() == "file" || is_loopback(catalogue);
        let planetary = catalogue.host_str() == Some(PLANETARY_HOST) && catalogue.scheme() == "https";
        let service = match service {
            Some(service) => Some(checked(service, here)?.to_owned()),
            None => planetary.then(|| PLANETARY_SERVICE.to_owned()),
        };
        Ok(Self { service, here, tokens: Mutex::default() })
    }

    /// Where to ask for a token, if this file needs one.
    pub fn service(&self, file: &Url, collection: &str) -> Option<Url> {
        let stored = file.scheme() == "https" && file.host_str()?.ends_with(STORE);
        let signed = stored || self.here && is_loopback(file);
        let plain = (1..=128).contains(&collection.len())
            && collection.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !signed || !plain || file.query().is_some() {
            return None;
        }
        Url::parse(&self.service.as_ref()?.replace(PLACEHOLDER, collection)).ok()
    }

    /// A token that is good for a while: the one at hand, or a new one if that is old or is the `stale` one. Of many who need one, one
    /// asks and the others wait.
    ///
    /// # Errors
    /// As `ask`, or if the answer holds no token.
    pub async fn token(
        &self,
        collection: &str,
        stale: Option<&Token>,
        ask: impl AsyncFnOnce() -> Result<(HeaderMap, Vec<u8>), Fault>,
    ) -> Result<Token, Fault> {
        let slot = {
            let mut tokens = self.tokens.lock().unwrap_or_else(|e| e.into_inner());
            Arc::clone(tokens.entry(collection.to_owned()).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(token) = slot.as_ref()
            && token.fresh_until > now()
            && stale.is_none_or(|stale| stale.query != token.query)
        {
            return Ok(token.clone());
        }
        let asked = now();
        let (headers, answer) = ask().await?;
        let token = Token::of(&headers, &answer, asked)
            .ok_or_else(|| Fault::passing("the signing service gave no token"))?;
        Ok(slot.insert(token).clone())
    }
}

impl Token {
    /// The token of a signing service's answer.
    fn of(headers: &HeaderMap, answer: &[u8], asked: Instant) -> Option<Self> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let query = answer.get("token")?.as_str()?.trim_start_matches('?').to_owned();
        let end = answer.get("msft:expiry").and_then(Value::as_str).map(str::to_owned);
        let end = end.or_else(|| end_of(&query)).and_then(|text| instant_of(&text));
        let life = end.map_or(UNKNOWN_LIFE, |end| {
            end.duration_since(server_now(headers)).unwrap_or_default().min(LONGEST_LIFE)
        });
        Some(Self { query, fresh_until: asked + life.saturating_sub(MARGIN.min(life / 10)) })
    }

    /// The address with the token.
    pub fn sign(&self, file: &Url) -> Url {
        let mut signed = file.clone();
        signed.set_query(Some(&self.query));
        signed
    }
}

/// The end of life that an Azure token states in itself.
fn end_of(query: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == "se")
        .map(|(_, end)| end.into_owned())
}

fn instant_of(text: &str) -> Option<SystemTime> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(SystemTime::from)
}

fn checked(service: &str, here: bool) -> anyhow::Result<&str> {
    let url = Url::parse(service).context("--sas-token-url: want an address, found none")?;
    if url.scheme() != "https" && !(here && is_loopback(&url)) {
        bail!("--sas-token-url: want an https address, found {}; tokens are secrets", url.scheme());
    }
    if !service.contains(PLACEHOLDER) {
        bail!("--sas-token-url: want {PLACEHOLDER} in the address, found none; put it where the name goes");
    }
    Ok(service)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::{sleep, stopped};
    use std::cell::Cell;

    const PLANETARY: &str = "https://planetarycomputer.microsoft.com/api/stac/v1";
    const NOW: &str = "Sun, 06 Nov 1994 08:00:00 GMT";

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn answer(token: &str, end: &str) -> (HeaderMap, Vec<u8>) {
        let mut headers = HeaderMap::new();
        headers.insert("date", NOW.parse().unwrap());
        (headers, format!(r#"{{"token": "{token}", "msft:expiry": "{end}"}}"#).into_bytes())
    }

    #[test]
    fn only_a_providers_own_store_is_signed() {
        let signing = Signing::of(&url(PLANETARY), None).unwrap();
        let file = url("https://s2.blob.core.windows.net/a/b.tif");
        let asked = signing.service(&file, "sentinel-2-l2a").unwrap();
        assert_eq!(asked.as_str(), "https://planetarycomputer.microsoft.com/api/sas/v1/token/sentinel-2-l2a");
        for elsewhere in
            ["https://example.org/b.tif", "http://s2.blob.core.windows.net/b", "http://127.0.0.1/b"]
        {
            assert!(signing.service(&url(elsewhere), "c").is_none(), "{elsewhere}");
        }
        assert!(signing.service(&url("https://s2.blob.core.windows.net/a?sig=b"), "c").is_none());
        for hostile in ["", "../x", "a b", "a?b", &"c".repeat(300)] {
            assert!(signing.service(&file, hostile).is_none(), "{hostile}");
        }
        assert!(Signing::of(&url("https://example.org/"), None).unwrap().service(&file, "c").is_none());
    }

    #[test]
    fn a_service_of_the_users_own_needs_https_unless_all_of_it_is_here() {
        let (here, web) = (url("http://127.0.0.1:1/"), url(PLANETARY));
        let local = "http://127.0.0.1:1/token/{collection}";
        assert!(
            Signing::of(&here, Some(local)).unwrap().service(&url("http://127.0.0.1:2/a"), "c").is_some()
        );
        assert!(Signing::of(&web, Some(local)).is_err());
        assert!(Signing::of(&web, Some("https://example.org/token")).is_err());
        assert!(Signing::of(&web, Some("nonsense {collection}")).is_err());
    }

    #[tokio::test]
    async fn a_token_is_asked_for_once_renewed_before_its_end_and_after_a_refusal() {
        stopped::stop();
        let signing = Signing::of(&url(PLANETARY), None).unwrap();
        let n = Cell::new(0);
        let get = async |stale: Option<&Token>| {
            let ask = async || {
                n.set(n.get() + 1);
                sleep(Duration::from_secs(1)).await;
                Ok(answer(&format!("sig={}", n.get()), "1994-11-06T09:00:00Z"))
            };
            signing.token("c", stale, ask).await.unwrap()
        };
        let (a, b) = tokio::join!(get(None), get(None));
        assert_eq!((n.get(), a.query == b.query), (1, true), "one asks, the other waits");
        stopped::advance(Duration::from_secs(3300 - 3));
        get(None).await;
        assert_eq!(n.get(), 1, "5 minutes of the hour are left");
        stopped::advance(Duration::from_secs(3));
        let c = get(None).await;
        assert_eq!(n.get(), 2, "renewed before the end, whatever the two clocks say");
        let (d, e) = tokio::join!(get(Some(&c)), get(Some(&c)));
        assert_eq!((n.get(), d.query == e.query), (3, true), "a refused token is renewed once for all");
    }

    #[tokio::test]
    async fn an_answer_without_a_token_or_with_a_strange_end_does_no_harm() {
        stopped::stop();
        let life = |end: &str| {
            let (headers, answer) = answer("sig=a", end);
            Token::of(&headers, &answer, now()).unwrap().fresh_until - now()
        };
        assert_eq!(life("1994-11-06T08:01:00Z").as_secs(), 54, "a tenth of a short life");
        assert_eq!(life("1994-11-06T07:00:00Z").as_secs(), 0);
        assert_eq!(life("soon").as_secs(), 54);
        assert!(life("9994-11-06T07:00:00Z") <= LONGEST_LIFE);
        for bad in [&b"{}"[..], b"<html>", b"{\"token\": 5}"] {
            assert!(Token::of(&HeaderMap::new(), bad, now()).is_none());
        }
        let token = Token::of(&HeaderMap::new(), br#"{"token": "?se=2024&sig=a%2Fb"}"#, now()).unwrap();
        assert_eq!(token.sign(&url("https://h/a.tif")).as_str(), "https://h/a.tif?se=2024&sig=a%2Fb");
        assert!(!format!("{token:?}").contains("sig"));
    }
}
