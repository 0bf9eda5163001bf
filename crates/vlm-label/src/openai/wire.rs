//! Requests to an endpoint, with bounded retries, below `async-openai`.
//!
//! `async-openai`'s own retry gives up on a 429 whose body is not OpenAI's JSON, and its client
//! logs the bodies that it cannot read, which may repeat a key. So the client is given this
//! transport: it retries what may pass (429, 408, 5xx, broken connections, bodies that are no chat
//! completion) within the bounds of `retry`, at the pace of `pace`, within the caps of `budget`,
//! follows no redirect, reads at most 4 MiB, and reports faults by kind, with the endpoint's words as [`super::said`] lets them through.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use reqwest::{Request, Response};
use retry::{Tries, Why, wait_asked};

use super::budget::{Budget, Ended};
use super::pace::Pace;
use super::price::Tokens;
use super::refusal::{Failed, Fault, Sent, meaning};
use super::reply::Chat;
use super::said::{Said, Secrets};
use super::stop::Stop;
use crate::answer::Missing;

const LONGEST_BODY_BYTES: usize = 4 << 20;
/// Of an error, its beginning matters.
const LONGEST_ERROR_BYTES: usize = 64 << 10;

/// The transport of a run.
#[derive(Debug)]
pub struct Wire {
    client: reqwest::Client,
    tries: Tries,
    timeout: Duration,
    pace: Pace,
    /// What may be, and was, spent.
    pub budget: Budget,
    /// Whether the run goes on.
    pub stop: Stop,
    /// What nothing may repeat.
    pub secrets: Secrets,
    /// Whether it was said that the endpoint asks for too long a wait.
    said_too_long: AtomicBool,
}

/// A question on its way.
#[derive(Debug)]
pub struct Ask {
    /// What it is expected to take at most.
    expected: Tokens,
    /// What the endpoint may not know of it.
    sent: Sent,
    /// Filled in by the transport: the answer, and the seconds from the request to it.
    answer: Mutex<Option<(Chat, f64)>>,
}

impl Ask {
    /// A question that is expected to take this.
    pub fn new(expected: Tokens, sent: Sent) -> Self {
        Self { expected, sent, answer: Mutex::default() }
    }

    /// The answer, once.
    pub fn take(&self) -> Option<(Chat, f64)> {
        self.answer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    fn answered(&self, chat: Chat, seconds: f64) {
        *self.answer.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((chat, seconds));
    }
}

impl Wire {
    /// A transport within these bounds; `timeout` is for one try, from connecting to the last byte.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(
        tries: Tries,
        timeout: Duration,
        pace: Pace,
        budget: Budget,
        secrets: Secrets,
    ) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(reqwest::Error::without_url)?;
        let (stop, said_too_long) = (Stop::default(), AtomicBool::new(false));
        Ok(Self { client, tries, timeout, pace, budget, stop, secrets, said_too_long })
    }

    /// Sends a question until there is a chat completion, or no hope, or no try left.
    ///
    /// # Errors
    /// A [`Fault`] in a box.
    pub async fn chat(&self, ask: &Ask, factory: &HttpRequestFactory) -> Result<Response, OpenAIError> {
        let (mut n_tried, mut begun) = (0, None);
        loop {
            let failed = match self.try_chat(ask, factory, &mut begun).await.map_err(boxed)? {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            n_tried += 1;
            let elapsed = begun.map_or(Duration::ZERO, |begun: Instant| begun.elapsed());
            let pause = self.pause_after(failed, n_tried, elapsed, true).map_err(boxed)?;
            self.stop.or(tokio::time::sleep(pause)).await.map_err(|stopped| boxed(stopped.into()))?;
        }
    }

    /// The pause after a failed try.
    ///
    /// # Errors
    /// There is to be no other try.
    fn pause_after(
        &self,
        failed: Failed,
        n_tried: u32,
        elapsed: Duration,
        may_again: bool,
    ) -> Result<Duration, Fault> {
        if !failed.again || !may_again {
            return Err(failed.fault);
        }
        match (self.tries.next(n_tried, elapsed, failed.wait), failed.fault) {
            (Ok(pause), fault) => {
                tracing::debug!("a call failed ({fault}), again in {:.1} s", pause.as_secs_f64());
                Ok(pause)
            }
            (Err(why @ Why::Asked { .. }), Fault::Lost(missing, said)) => {
                let fault = Fault::Lost(missing, said.because(why));
                if !self.said_too_long.swap(true, Ordering::Relaxed) {
                    tracing::warn!("a call is given up: {fault}");
                }
                Err(fault)
            }
            (Err(_), fault) => Err(fault),
        }
    }

    /// Sends a request that is no question (a file, a batch) and gives the body of its response; `again`: it may be repeated.
    ///
    /// # Errors
    /// As [`Wire::chat`].
    pub async fn plain(
        &self,
        build: &impl Fn() -> Request,
        again: bool,
        longest_bytes: usize,
    ) -> Result<Vec<u8>, Fault> {
        let (mut n_tried, begun) = (0, Instant::now());
        loop {
            let failed = match self.try_plain(build(), longest_bytes).await {
                Ok(body) => return Ok(body),
                Err(failed) => failed,
            };
            n_tried += 1;
            // what was turned away did not happen and may be repeated in any case
            let again = again || matches!(failed.fault, Fault::Lost(Missing::RateLimited, _));
            let pause = self.pause_after(failed, n_tried, begun.elapsed(), again)?;
            tokio::time::sleep(pause).await;
        }
    }

    async fn try_plain(&self, request: Request, longest_bytes: usize) -> Result<Vec<u8>, Failed> {
        let response = self.client.execute(request).await.map_err(|error| broken(&error))?;
        if !response.status().is_success() {
            return Err(self.refused(response, &Sent::default()).await);
        }
        body_of(response, longest_bytes).await
    }

    /// Time for one try.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The pause after so many failed tries.
    pub fn pause(&self, n_failed: u32) -> Duration {
        self.tries.own_pause(n_failed.saturating_add(1))
    }

    /// One try, once budget and pace let it go.
    async fn try_chat(
        &self,
        ask: &Ask,
        factory: &HttpRequestFactory,
        begun: &mut Option<Instant>,
    ) -> Result<Result<Response, Failed>, Fault> {
        let aside = self.budget.set_aside(ask.expected, &self.stop).await?;
        let n_tokens = ask.expected.n_in + ask.expected.n_out;
        let sent_s = match self.pace.pass(n_tokens, &self.stop).await {
            Ok(sent_s) => sent_s,
            Err(stopped) => {
                self.budget.settle(aside, Ended::Unsent);
                return Err(stopped.into());
            }
        };
        let sent = Instant::now();
        begun.get_or_insert(sent);
        let tried = self.once(ask, factory).await;
        match tried {
            Ok((response, chat)) => {
                let counted = chat.counted();
                let took =
                    counted.n_in.map_or(n_tokens, |n_in| n_in + counted.n_out.unwrap_or(ask.expected.n_out));
                self.pace.accepted(sent_s, took as f64 - n_tokens as f64);
                self.budget.settle(aside, Ended::Answered(counted));
                ask.answered(chat, rounded_s(sent));
                Ok(Ok(response))
            }
            Err(failed) => {
                if matches!(failed.fault, Fault::Lost(Missing::RateLimited, _)) {
                    self.pace.limited(sent_s, failed.wait.filter(|wait| *wait <= self.tries.longest_wait));
                }
                self.budget.settle(aside, failed.ended);
                Ok(Err(failed))
            }
        }
    }

    async fn once(&self, ask: &Ask, factory: &HttpRequestFactory) -> Result<(Response, Chat), Failed> {
        let unbuilt = |_| Failed::lost(Missing::Rejected, Said::default(), false);
        let mut request = factory.build().await.map_err(unbuilt)?;
        *request.timeout_mut() = Some(self.timeout);
        let response = self.client.execute(request).await.map_err(|error| broken(&error))?;
        if !response.status().is_success() {
            return Err(self.refused(response, &ask.sent).await);
        }
        let body = self.secrets.taken_out(body_of(response, LONGEST_BODY_BYTES).await?);
        match Chat::read(&body, &self.secrets) {
            // what is read of it is in `Ask`; async-openai only has to find some JSON
            Ok(chat) => Ok((Response::from(http::Response::new("{}")), chat)),
            Err(none) => {
                let failed = Failed::lost(none.missing, none.said, true);
                // nobody is paid for an error alone
                let is_free = none.missing == Missing::EndpointError && !none.has_answer;
                Err(if is_free { failed } else { failed.perhaps_paid() })
            }
        }
    }

    /// What a response that is no success means, and what it says.
    async fn refused(&self, mut response: Response, sent: &Sent) -> Failed {
        let status = response.status();
        let wait = wait_asked(status, response.headers());
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ERROR_BYTES {
                break;
            }
        }
        let (said, words) = Said::read(&body, &self.secrets);
        Failed { wait, ..meaning(status, said, &words, sent) }
    }
}

/// The body of a response, if it is not too long.
async fn body_of(mut response: Response, longest_bytes: usize) -> Result<Vec<u8>, Failed> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > longest_bytes {
            return Err(Failed::lost(Missing::NotAChat, Said::default(), false).perhaps_paid());
        }
    }
    Ok(body)
}

fn rounded_s(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
}

fn broken(error: &reqwest::Error) -> Failed {
    let missing = if error.is_timeout() { Missing::TimedOut } else { Missing::Unreachable };
    let failed = Failed::lost(missing, Said::default(), true);
    if error.is_connect() { failed } else { failed.perhaps_paid() }
}

fn boxed(fault: Fault) -> OpenAIError {
    OpenAIError::Boxed(Box::new(fault))
}

/// The fault in the box, if it is one.
pub fn unboxed(error: &OpenAIError) -> Option<Fault> {
    match error {
        OpenAIError::Boxed(inner) => inner.downcast_ref().cloned(),
        _ => None,
    }
}
