//! One call to an endpoint, with bounded retries, below `async-openai`.
//!
//! `async-openai`'s own retry gives up on a 429 whose body is not OpenAI's JSON, and its client
//! logs the bodies that it cannot read, which may repeat a key. So the client is given this
//! transport: it retries what may pass (429, 408, 5xx, broken connections, bodies that are no chat
//! completion), waits as long as `Retry-After` says in seconds (or 1, 2, 4 … times the first pause),
//! follows no redirect, reads at most 4 MiB, and reports faults by kind, never by text.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use reqwest::{Response, StatusCode, header::RETRY_AFTER};
use serde_json::Value;
use thiserror::Error;

use crate::answer::Missing;

const LONGEST_BODY_BYTES: usize = 4 << 20;

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, Error)]
pub enum Fault {
    /// This call alone is lost.
    #[error("{0}")]
    Lost(Missing),
    /// The endpoint does not accept the key.
    #[error("the endpoint refuses the key (HTTP {0}); set OPENAI_API_KEY")]
    Key(u16),
    /// There is no such endpoint or model.
    #[error("the endpoint answers HTTP {0}; check OPENAI_BASE_URL and --model")]
    Address(u16),
    /// `--max-calls` is used up.
    #[error("the budget of --max-calls {0} is spent; what was answered is in --record, if given")]
    Budget(u64),
}

/// The bounds of calling.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Tries a call.
    pub tries: u32,
    /// Pause after the first failed try; doubled after each.
    pub first_pause: Duration,
    /// The longest pause; an endpoint that asks for more has failed.
    pub longest_pause: Duration,
    /// Time for one try, from connecting to the last byte.
    pub timeout: Duration,
    /// Requests in all, retries too.
    pub max_calls: Option<u64>,
}

/// The transport.
#[derive(Clone)]
pub struct Wire {
    client: reqwest::Client,
    bounds: Bounds,
    calls: Arc<AtomicU64>,
}

/// A failed try: what it was, whether another may help, and how long the endpoint wants to be left alone.
struct Failed {
    fault: Fault,
    again: bool,
    wait: Option<Duration>,
}

impl Wire {
    /// A transport within `bounds`.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(bounds: Bounds) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(bounds.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(reqwest::Error::without_url)?;
        Ok(Self { client, bounds, calls: Arc::default() })
    }

    /// Sends until there is a chat completion, or no hope, or no try left.
    ///
    /// # Errors
    /// A [`Fault`] in a box.
    pub async fn send(self, factory: HttpRequestFactory) -> Result<Response, OpenAIError> {
        let mut pause = self.bounds.first_pause;
        let mut tries_left = self.bounds.tries;
        loop {
            self.spend()?;
            let failed = match self.once(&factory).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            tries_left = tries_left.saturating_sub(1);
            let wait = failed.wait.unwrap_or(pause);
            if !failed.again || tries_left == 0 || wait > self.bounds.longest_pause {
                return Err(boxed(failed.fault));
            }
            tracing::debug!("a call failed ({}), again in {:.1} s", failed.fault, wait.as_secs_f64());
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(self.bounds.longest_pause);
        }
    }

    /// Counts a request before it is sent, so that the budget holds under concurrency.
    fn spend(&self) -> Result<(), OpenAIError> {
        let before = self.calls.fetch_add(1, Ordering::Relaxed);
        match self.bounds.max_calls {
            Some(most) if before >= most => Err(boxed(Fault::Budget(most))),
            _ => Ok(()),
        }
    }

    async fn once(&self, factory: &HttpRequestFactory) -> Result<Response, Failed> {
        let request = factory.build().await.map_err(|_| lost(Missing::Rejected, false))?;
        let response = self.client.execute(request).await.map_err(|error| broken(&error))?;
        let status = response.status();
        if status.is_success() {
            return chat_completion(response).await;
        }
        let wait = retry_after(&response);
        let code = status.as_u16();
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Failed { fault: Fault::Key(code), again: false, wait }
            }
            StatusCode::TOO_MANY_REQUESTS => Failed { wait, ..lost(Missing::RateLimited, true) },
            StatusCode::REQUEST_TIMEOUT => Failed { wait, ..lost(Missing::ServerError, true) },
            _ if status.is_server_error() => Failed { wait, ..lost(Missing::ServerError, true) },
            StatusCode::NOT_FOUND => Failed { fault: Fault::Address(code), again: false, wait },
            _ if status.is_redirection() => Failed { fault: Fault::Address(code), again: false, wait },
            _ => lost(Missing::Rejected, false),
        })
    }
}

/// The response with its body read and known to be a JSON object with choices.
async fn chat_completion(mut response: Response) -> Result<Response, Failed> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_BODY_BYTES {
            return Err(lost(Missing::NotAChat, false));
        }
    }
    let is_chat =
        serde_json::from_slice(&body).is_ok_and(|value: Value| value["choices"][0]["message"].is_object());
    if !is_chat {
        return Err(lost(Missing::NotAChat, true));
    }
    Ok(Response::from(http::Response::new(body)))
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn lost(missing: Missing, again: bool) -> Failed {
    Failed { fault: Fault::Lost(missing), again, wait: None }
}

fn broken(error: &reqwest::Error) -> Failed {
    lost(if error.is_timeout() { Missing::TimedOut } else { Missing::Unreachable }, true)
}

fn boxed(fault: Fault) -> OpenAIError {
    OpenAIError::Boxed(Box::new(fault))
}
