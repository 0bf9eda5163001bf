//! A judge behind any endpoint that speaks OpenAI's chat completions.
//!
//! `OPENAI_BASE_URL` and `OPENAI_API_KEY` come from the environment only, so that no key is in a
//! flag, a log or a Makefile. An answer is on disk before it counts, and what is under way when a run has to
//! stop is heard to its end: it is paid for.

pub mod args;
pub mod batch;
pub mod budget;
pub mod dialect;
pub mod doubled;
pub mod envelope;
pub mod gather;
pub mod pace;
pub mod price;
pub mod refusal;
pub mod reply;
pub mod request;
pub mod said;
pub mod stop;
pub mod tally;
pub mod wire;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use async_openai::Client;
use async_openai::config::{Config, OPENAI_API_BASE, OpenAIConfig};
use futures_util::StreamExt;
use serde_json::Value;
use stage::Ledger;

use crate::answer::Missing;
use crate::judge::{Answer, Question, recorded};
use crate::tape::{Heard, Key, Tape};
use args::EndpointArgs;
use batch::{Folder, Limits};
use budget::Spent;
use dialect::{Dialect, Spoken};
use gather::Gathering;
use price::ImageTokens;
use refusal::{Fault, Sent};
use request::Parameters;
use said::{Said, Secrets};
use tally::Tally;
use wire::{Ask, Wire};

/// Answers that came at the same moment go to the disk together; more than this never wait for each other.
const MOST_AT_ONCE: usize = 256;
/// How much of an answer that cannot be read is shown.
const EXAMPLE_CHARS: usize = 120;

/// An endpoint and what it has said so far.
pub struct OpenAi {
    endpoint: Endpoint,
    concurrency: usize,
    tape: Tape,
    runtime: tokio::runtime::Runtime,
    batches: Option<BatchMode>,
    gathering: Option<Gathering>,
}

/// What batch mode needs beside the endpoint.
struct BatchMode {
    folder: Folder,
    limits: Limits,
    poll: Duration,
    tries: u32,
}

/// How an endpoint is asked.
struct Endpoint {
    client: Client<OpenAIConfig>,
    config: OpenAIConfig,
    wire: Arc<Wire>,
    model: String,
    parameters: Parameters,
    /// The parameters as they are recorded.
    shape: String,
    dialect: Dialect,
    image: ImageTokens,
    /// Whether the budget covers no further call.
    is_spent: AtomicBool,
    tally: Tally,
}

impl OpenAi {
    /// An endpoint as flags and environment name it. It gives up when more than `most_missing` answers are missing; with `plan`, it asks nothing.
    ///
    /// # Errors
    /// The base URL is none, the key cannot stand in a header, the prices are missing, or another run uses the folder of batches.
    pub fn new(args: &EndpointArgs, tape: Tape, most_missing: usize, plan: bool) -> anyhow::Result<Self> {
        let (config, secrets) = if plan { Default::default() } else { config_of_environment()? };
        // OpenAI's own newer models know only the new word, other endpoints often only the old one
        let is_openai = config.api_base() == OPENAI_API_BASE;
        let open = |path: &Path| {
            let (limits, poll, tries) = (args.batch.limits(), args.batch.poll(), args.tries);
            anyhow::Ok(BatchMode { folder: Folder::open(path)?, limits, poll, tries })
        };
        let batches = args.batch.batch.as_deref().filter(|_| !plan).map(open).transpose()?;
        let wire = Arc::new(args.wire(secrets)?);
        let parameters = args.parameters();
        let endpoint = Endpoint {
            client: Client::with_config(config.clone()),
            config,
            image: wire.budget.price().map_or(ImageTokens::default(), |price| price.image),
            wire,
            model: args.model()?.to_owned(),
            shape: parameters.text(),
            dialect: Dialect::new(parameters.schema, is_openai),
            parameters,
            is_spent: AtomicBool::new(false),
            tally: Tally::new(most_missing),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let concurrency = args.concurrency as usize;
        let mut judge = Self { endpoint, concurrency, tape, runtime, batches, gathering: None };
        judge.gathering = judge.gather(plan)?;
        Ok(judge)
    }

    /// The name of an endpoint's model in tables.
    pub fn name_of(model: &str) -> String {
        format!("openai:{model}")
    }

    /// The judge's name in tables.
    pub fn name(&self) -> &str {
        self.tape.judge()
    }

    /// Enters what this run has spent.
    pub fn enter(&self, ledger: &mut Ledger) {
        let budget = &self.endpoint.wire.budget;
        let Spent { n_calls, tokens, cost } = budget.spent();
        let counts = [("calls", n_calls), ("tokens in", tokens.n_in), ("tokens out", tokens.n_out)];
        counts.into_iter().filter(|(_, n)| *n > 0).for_each(|(unit, n)| ledger.spend(unit, n as f64));
        if let Some(price) = budget.price().filter(|_| n_calls > 0) {
            ledger.spend(&price.currency, cost.units());
        }
    }

    /// As [`crate::judge::Judge::ask`]. Equal questions are asked once, recorded ones not at all.
    ///
    /// # Errors
    /// As there.
    pub fn ask(
        &mut self,
        questions: &[Question<'_>],
        done: &mut dyn FnMut(usize),
    ) -> anyhow::Result<Vec<Answer>> {
        if self.gathering.is_some() {
            self.add(questions)?;
            return Ok(questions.iter().map(|question| recorded(&self.tape, question)).collect());
        }
        let (new, times) = unanswered(&self.tape, questions);
        done(questions.len() - times.values().sum::<usize>());
        self.weigh_recorded(questions)?;
        let asked = match &self.batches {
            Some(_) => self.ask_in_batches(&new).inspect(|()| done(times.values().sum())),
            None => self.ask_now(new, &times, done),
        };
        if let Err(error) = asked {
            tracing::info!("spent: {}", self.endpoint.wire.budget.told());
            return Err(error);
        }
        Ok(questions.iter().map(|question| recorded(&self.tape, question)).collect())
    }

    /// From here on it is only tried out: answers that cannot be read end no run.
    pub fn try_out(&self) {
        self.endpoint.tally.forgive();
    }

    /// Counts recorded answers that cannot be read: a run that they doom asks nothing more.
    fn weigh_recorded(&self, questions: &[Question<'_>]) -> anyhow::Result<()> {
        let heard = |question: &Question<'_>| self.tape.get(&question.key());
        for (question, heard) in questions.iter().filter_map(|question| Some((question, heard(question)?))) {
            if heard.missing.is_none_or(Missing::is_answered) {
                self.endpoint.weigh(heard, question, 1);
            }
        }
        self.endpoint.tally.check()
    }

    /// Asks, several at a time; what is under way when the run has to stop is heard to its end.
    fn ask_now(
        &mut self,
        new: Vec<(Key, &Question<'_>)>,
        times: &BTreeMap<Key, usize>,
        done: &mut dyn FnMut(usize),
    ) -> anyhow::Result<()> {
        let Self { endpoint, concurrency, tape, runtime, .. } = self;
        let goes = |_: &_| {
            std::future::ready(!endpoint.wire.stop.is_set() && !endpoint.is_spent.load(Ordering::Relaxed))
        };
        let times = |key: &Key| times.get(key).copied().unwrap_or(1);
        let going = futures_util::stream::iter(new).take_while(goes);
        let calls = going.map(|(key, question)| {
            let n_answers = times(&key);
            endpoint.call(key, question, n_answers)
        });
        let calls = calls.buffer_unordered(*concurrency).ready_chunks(MOST_AT_ONCE);
        let mut fatal = None;
        runtime.block_on(async {
            let mut calls = std::pin::pin!(calls);
            while let Some(ended) = calls.next().await {
                let heard = heard_of(ended, &mut fatal);
                let keys: Vec<Key> = heard.iter().map(|(key, _)| key.clone()).collect();
                tape.put_all(heard)?;
                keys.iter().for_each(|key| done(times(key)));
            }
            anyhow::Ok(())
        })?;
        fatal.map_or(Ok(()), Err)?;
        endpoint.tally.check()
    }
}

/// The questions that the tape does not answer, each once, and how often each is asked.
pub fn unanswered<'q, 'p>(
    tape: &Tape,
    questions: &'q [Question<'p>],
) -> (Vec<(Key, &'q Question<'p>)>, BTreeMap<Key, usize>) {
    let mut times: BTreeMap<Key, usize> = BTreeMap::new();
    let mut new = Vec::new();
    for question in questions {
        let key = question.key();
        if tape.get(&key).is_some() {
            continue;
        }
        let count = times.entry(key.clone()).or_default();
        *count += 1;
        if *count == 1 {
            new.push((key, question));
        }
    }
    (new, times)
}

/// What was heard of calls that ended; the first fault that ends the run is kept.
fn heard_of(
    ended: Vec<Result<(Key, Heard), anyhow::Error>>,
    fatal: &mut Option<anyhow::Error>,
) -> Vec<(Key, Heard)> {
    let mut heard = Vec::new();
    for call in ended {
        match call {
            Ok(call) => heard.push(call),
            Err(error) if matches!(error.downcast_ref(), Some(Fault::Stopped)) => {}
            Err(error) => drop(fatal.get_or_insert(error)),
        }
    }
    heard
}

impl Endpoint {
    /// Asks one question, which `n_answers` answers of the run wait for.
    async fn call(
        &self,
        key: Key,
        question: &Question<'_>,
        n_answers: usize,
    ) -> anyhow::Result<(Key, Heard)> {
        let answer = loop {
            let spoken = self.dialect.spoken();
            match self.try_call(question, spoken).await? {
                Err(Fault::Schema) if self.dialect.drops_schema() => {}
                Err(Fault::Word(_)) if self.dialect.changes_word(spoken.length_key) => {}
                answer => break answer,
            }
        };
        match answer {
            Ok(heard) => {
                self.weigh(&heard, question, n_answers);
                Ok((key, heard))
            }
            Err(Fault::Lost(missing, said)) => Ok((key, self.lost(missing, &said, n_answers))),
            Err(Fault::Word(said)) => Ok((key, self.lost(Missing::Rejected, &said, n_answers))),
            Err(spent @ (Fault::Calls(_) | Fault::Cost(_))) => {
                // what has its share of the budget may still go
                self.is_spent.store(true, Ordering::Relaxed);
                Err(spent.into())
            }
            Err(fatal) => {
                self.wire.stop.now();
                Err(fatal.into())
            }
        }
    }

    fn body(&self, question: &Question<'_>, spoken: Spoken) -> anyhow::Result<Value> {
        request::body(&self.model, question, &self.parameters, spoken)
    }

    /// Counts an answer if it cannot be read.
    fn weigh(&self, heard: &Heard, question: &Question<'_>, n_answers: usize) {
        let answer = Answer::read(heard, &question.prompt.form);
        let Err(missing) = answer.values else { return };
        let raw = self.wire.secrets.shown(answer.raw.as_deref().unwrap_or_default(), EXAMPLE_CHARS);
        let example = if raw.is_empty() { String::new() } else { format!(", it answered “{raw}”") };
        let what = format!("{missing}{example}");
        if missing.is_answered() {
            self.tally.unreadable(n_answers, what, &self.wire.stop);
        } else {
            self.tally.lose(n_answers, what, &self.wire.stop);
        }
    }

    /// Counts a lost call, and gives what is recorded of it.
    fn lost(&self, missing: Missing, said: &Said, n_answers: usize) -> Heard {
        self.tally.lose(n_answers, format!("{missing}{said}"), &self.wire.stop);
        reply::lost(missing, &self.shape)
    }

    /// Asks within the bounds of the transport.
    async fn try_call(
        &self,
        question: &Question<'_>,
        spoken: Spoken,
    ) -> anyhow::Result<Result<Heard, Fault>> {
        let body = self.body(question, spoken)?;
        let expected = request::expected(question, &self.parameters, self.image);
        let ask = Arc::new(Ask::new(expected, Sent::of(&self.parameters, spoken)));
        let (wire, asked) = (self.wire.clone(), ask.clone());
        let service = tower::service_fn(move |factory| {
            let (wire, ask) = (wire.clone(), asked.clone());
            async move { wire.chat(&ask, &factory).await }
        });
        let client = self.client.clone().with_http_service(service);
        let reply: Result<Value, _> = client.chat().create_byot(body).await;
        if let (Ok(_), Some((chat, latency_s))) = (&reply, ask.take()) {
            return Ok(Ok(chat.heard(&self.shape, Some(latency_s))));
        }
        let fault = reply.err().and_then(|error| wire::unboxed(&error));
        Ok(Err(fault.unwrap_or_else(|| Fault::Lost(Missing::NotAChat, Said::default()))))
    }
}

/// Base URL and key, and the secrets in them; the organisation and project that `async-openai` would read are set empty.
fn config_of_environment() -> anyhow::Result<(OpenAIConfig, Secrets)> {
    let base = std::env::var("OPENAI_BASE_URL").unwrap_or_else(|_| OPENAI_API_BASE.to_owned());
    let base = base.trim_end_matches('/');
    let parsed = reqwest::Url::parse(base).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    ensure!(parsed.is_some(), "OPENAI_BASE_URL: want an http or https URL, got something else");
    let key = std::env::var("OPENAI_API_KEY").unwrap_or_default();
    ensure!(
        !key.is_empty() || base != OPENAI_API_BASE,
        "OPENAI_API_KEY: want a key for {OPENAI_API_BASE}, got none (or set OPENAI_BASE_URL to another endpoint)"
    );
    let bearer = reqwest::header::HeaderValue::from_str(&key);
    bearer.ok().context("OPENAI_API_KEY: want a key of visible characters, got one with others in it")?;
    let secret = key.clone();
    // local endpoints ask for no key, but the header has to have a value
    let key = if key.is_empty() { "none" } else { &key };
    let password = parsed.as_ref().and_then(|url| url.password()).unwrap_or_default();
    let secrets = Secrets::of([secret, password.to_owned()]);
    let config =
        OpenAIConfig::default().with_org_id("").with_project_id("").with_api_key(key).with_api_base(base);
    Ok((config, secrets))
}
