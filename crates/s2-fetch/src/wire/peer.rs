//! One request and its answer: over HTTP, signed where the provider wants it, or from a store by its own protocol.

use std::ops::Range;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, RANGE};
use reqwest::{Client, RequestBuilder, Response, redirect};
use serde_json::Value;
use url::Url;

use crate::clock::{now, timeout_at};
use crate::fault::{Fault, Kind};
use crate::guard::Guard;
use crate::proof::within;
use crate::sign::{Signing, Token};
use crate::wire::answer::{Validator, extent};
use crate::wire::body::Reply;
use crate::wire::caps::Caps;
use crate::wire::store::Stores;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;
const MAX_TOKEN_BYTES: u64 = 64 << 10;
/// Who we say that we are.
pub(crate) const USER_AGENT: &str = concat!("prosperity-atlas/", env!("CARGO_PKG_VERSION"));

/// A file somewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remote<'a> {
    /// Where, as the catalogue says.
    pub url: &'a Url,
    /// The collection, for stores that sign by it.
    pub collection: &'a str,
}

/// All ways to ask.
#[derive(Debug)]
pub(crate) struct Peer {
    client: Client,
    stores: Stores,
    signing: Signing,
    /// The limits.
    pub caps: Caps,
}

impl Peer {
    /// Obeys the guard on redirects and name look-ups too.
    pub fn of(guard: &Guard, signing: Signing, caps: Caps) -> anyhow::Result<Self> {
        let on_redirect = guard.clone();
        let policy = redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > MAX_REDIRECTS {
                return attempt.error("too many redirects");
            }
            let web = matches!(attempt.url().scheme(), "http" | "https");
            let downgraded = attempt.url().scheme() == "http"
                && attempt.previous().last().is_some_and(|from| from.scheme() == "https");
            match on_redirect.check_found(attempt.url()) {
                Ok(()) if downgraded => attempt.error("a redirect from https to http"),
                Ok(()) if web => attempt.follow(),
                Ok(()) => attempt.error("a redirect to something that is no web address"),
                Err(refusal) => attempt.error(refusal),
            }
        });
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .referer(false)
            .redirect(policy)
            .dns_resolver(guard.resolver())
            .build()?;
        Ok(Self { client, stores: Stores::new()?, signing, caps })
    }

    /// Asks for a file, or a range of its bytes, provided that it is still the one that is known.
    ///
    /// # Errors
    /// Of kind `Changed` if it is another file, `NoParts` if a range that is not at the start is answered with the whole.
    pub async fn ask(
        &self,
        file: Remote<'_>,
        range: Option<Range<u64>>,
        known: Option<&Validator>,
    ) -> Result<Reply<'_>, Fault> {
        let reply = match file.url.scheme() {
            "http" | "https" => self.ask_web(file, range.as_ref(), known).await,
            _ => {
                let turn = self.caps.turn(host_of(file.url)).await;
                let asked = self.stores.ask(file.url, range.as_ref(), known);
                let (extent, validator, body) = self.in_time(asked).await?;
                Ok(Reply { extent, validator, body, _turn: turn })
            }
        };
        let reply = reply.inspect_err(|fault| self.note_pause(file.url, fault))?;
        if let Some(known) = known
            && reply.validator.as_ref() != Some(known)
        {
            return Err(Fault::of(Kind::Changed, "the file has changed since it was begun"));
        }
        if reply.extent.whole && range.is_some_and(|range| range.start > 0) {
            return Err(Fault::of(Kind::NoParts, "want a part of the file, found the whole of it"));
        }
        Ok(reply)
    }

    /// Reads a document of bounded length.
    ///
    /// # Errors
    /// Those of the network, and more bytes than `limit`.
    pub async fn document(&self, url: &Url, body: Option<&Value>, limit: u64) -> Result<Vec<u8>, Fault> {
        let Some(body) = body else {
            return self.collect(self.ask(Remote { url, collection: "" }, None, None).await?, limit).await;
        };
        let reply = self.send(url, self.client.post(url.clone()).json(body), None).await;
        self.collect(reply.inspect_err(|fault| self.note_pause(url, fault))?, limit).await
    }

    async fn collect(&self, reply: Reply<'_>, limit: u64) -> Result<Vec<u8>, Fault> {
        within(reply.extent.end.unwrap_or(0), limit)?;
        let mut bytes = Vec::new();
        reply
            .pour(&self.caps, |chunk| {
                bytes.extend_from_slice(chunk);
                within(bytes.len() as u64, limit)
            })
            .await?;
        Ok(bytes)
    }

    /// Asks with a token where one is due; a token that is refused is renewed once.
    async fn ask_web(
        &self,
        file: Remote<'_>,
        range: Option<&Range<u64>>,
        known: Option<&Validator>,
    ) -> Result<Reply<'_>, Fault> {
        let token = self.token(file, None).await?;
        let request = |token: Option<&Token>| {
            let url = token.map_or_else(|| file.url.clone(), |token| token.sign(file.url));
            let mut request = self.client.get(url).header(ACCEPT_ENCODING, "identity");
            if let Some(range) = range {
                request = request.header(RANGE, format!("bytes={}-{}", range.start, range.end - 1));
            }
            if let Some((name, value)) = known.map(Validator::condition) {
                request = request.header(name, value);
            }
            request
        };
        match self.send(file.url, request(token.as_ref()), range).await {
            Err(fault) if fault.kind == Kind::Denied && token.is_some() => {
                let token = self.token(file, token.as_ref()).await?;
                self.send(file.url, request(token.as_ref()), range).await
            }
            other => other,
        }
    }

    async fn send(
        &self,
        url: &Url,
        request: RequestBuilder,
        range: Option<&Range<u64>>,
    ) -> Result<Reply<'_>, Fault> {
        let turn = self.caps.turn(host_of(url)).await;
        let response: Response = self.in_time(async { Ok(request.send().await?) }).await?;
        let extent = extent(response.status(), response.headers(), range)?;
        let validator = Validator::of(response.headers());
        let body = response.bytes_stream().map_err(Fault::from).boxed();
        Ok(Reply { extent, validator, body, _turn: turn })
    }

    async fn token(&self, file: Remote<'_>, stale: Option<&Token>) -> Result<Option<Token>, Fault> {
        let Some(service) = self.signing.service(file.url, file.collection) else { return Ok(None) };
        let ask = async || -> Result<(HeaderMap, Vec<u8>), Fault> {
            let turn = self.caps.turn(host_of(&service)).await;
            let sent = self.client.get(service.clone()).send();
            let response: Response = self.in_time(async { Ok(sent.await?) }).await?;
            let (headers, extent) =
                (response.headers().clone(), extent(response.status(), response.headers(), None));
            let extent = extent.map_err(|f| Fault { text: format!("the signing service: {f}"), ..f });
            let extent = extent.inspect_err(|fault| self.note_pause(&service, fault))?;
            let body = response.bytes_stream().map_err(Fault::from).boxed();
            let answer = Reply { extent, validator: None, body, _turn: turn };
            Ok((headers, self.collect(answer, MAX_TOKEN_BYTES).await?))
        };
        self.signing.token(file.collection, stale, ask).await.map(Some)
    }

    /// The head of an answer must come within twice the time in which its body may stall.
    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let patience = self.caps.stall * 2;
        let late = |_| Fault::passing(format!("no answer within {} s", patience.as_secs()));
        timeout_at(now() + patience, answer).await.map_err(late)?
    }

    fn note_pause(&self, url: &Url, fault: &Fault) {
        if let Some(wait) = fault.wait {
            self.caps.pause(host_of(url), wait);
        }
    }
}

fn host_of(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}
