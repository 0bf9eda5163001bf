//! Batch mode: questions go in files to the endpoint, which answers within a day at a lower price.
//!
//! A batch is paid for once whenever the run is killed: its name is on the disk before it is created, and a batch of that name is looked
//! for before another one is made. What expired, failed or was cancelled gives the answers that it has; the rest is handed in again, as
//! often as `--tries` says. A batch of an earlier run is waited for like one of this run.
//! Left out: deleting files at the endpoint, which forgets them after a while.

mod folder;
mod remote;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use serde_json::Value;

pub use folder::{Chunk, Folder, Limits, Splitter, id_of};
pub use remote::{Batch, Remote, Stage};

use super::Endpoint;
use super::budget::{Aside, BatchTokens, Ended};
use super::dialect::{Spoken, WORDS};
use super::doubled::says_twice;
use super::price::Tokens;
use super::refusal::{Failed, Fault, Sent, meaning};
use super::reply::{Chat, NoChat};
use super::request::Schema;
use super::said::{Said, Secrets};
use crate::answer::Missing;
use crate::tape::{Heard, Key, Tape};

/// The endpoint's promise is 24 hours.
const LONGEST_WAIT: Duration = Duration::from_secs(26 * 3600);

/// Flags of batch mode.
#[derive(clap::Args, Debug)]
pub struct BatchArgs {
    /// Ask in batches of the endpoint, at its batch price, and keep them in this folder until they are answered; wants --record
    #[arg(long, value_name = "DIR", requires = "record")]
    pub batch: Option<PathBuf>,
    /// Seconds between two looks at the batches
    #[arg(long, value_name = "S", default_value_t = 30.0, value_parser = stage::positive)]
    batch_poll_s: f64,
    /// Bytes of one file of requests
    #[arg(long, value_name = "N", default_value_t = 200_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    batch_bytes: u64,
    /// Requests in one file
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..))]
    batch_requests: u32,
}

impl BatchArgs {
    /// How much one request file may hold.
    pub fn limits(&self) -> Limits {
        Limits { bytes: self.batch_bytes, requests: self.batch_requests as usize }
    }

    /// Between two looks at the batches.
    pub fn poll(&self) -> Duration {
        Duration::from_secs_f64(self.batch_poll_s.min(LONGEST_WAIT.as_secs_f64()))
    }
}

/// Batches of one run.
pub(super) struct Batches<'r> {
    pub endpoint: &'r Endpoint,
    pub remote: Remote,
    pub folder: &'r Folder,
    pub tape: &'r mut Tape,
    pub limits: Limits,
    pub poll: Duration,
    pub tries: u32,
}

/// A batch that is waited for.
struct Live {
    chunk: Chunk,
    batch: String,
    aside: Aside,
}

/// What an ended batch gave.
#[derive(Default)]
struct Harvest {
    heard: Vec<(Key, Heard)>,
    tokens: BatchTokens,
    /// Requests without an answer, by id, and why.
    again: BTreeMap<String, Missing>,
    schema_rejected: bool,
    /// The word for the length that the endpoint does not know.
    word_rejected: Option<&'static str>,
    /// What ends the run.
    fatal: Option<Fault>,
    /// What was said of the last request that failed.
    said: Said,
}

/// What a harvest is read with.
struct Reading<'r> {
    keys: &'r BTreeMap<String, Key>,
    shape: &'r str,
    secrets: &'r Secrets,
    /// What each request was expected to take.
    expected: Tokens,
    /// What the endpoint may not know of the requests, in either dialect.
    sent: [Sent; 2],
}

impl Batches<'_> {
    /// Hands in `new` chunks, waits for them and for those of an earlier run, and puts all answers on the tape.
    ///
    /// # Errors
    /// The endpoint does not go on, the budget is spent, or the disk is full; what was handed in stays known.
    pub async fn run(&mut self, begun: Vec<Chunk>, new: Vec<Chunk>) -> anyhow::Result<()> {
        let mut live = Vec::new();
        for chunk in begun {
            let aside = self.endpoint.wire.budget.take_over(chunk.expected, chunk.n_requests);
            live.push(self.hand_in(chunk, aside, true).await?);
        }
        let mut waiting: VecDeque<Chunk> = new.into();
        let (mut fatal, started) = (None, Instant::now());
        loop {
            while let Some(chunk) = waiting.pop_front() {
                match self.endpoint.wire.budget.set_aside_batch(chunk.expected, chunk.n_requests) {
                    Ok(aside) => live.push(self.hand_in(chunk, aside, false).await?),
                    Err(refusal) => drop(fatal.get_or_insert(Fault::from(refusal))),
                }
            }
            let Some(next) = live.pop() else { break };
            let (ended, kept) = self.look(std::iter::once(next).chain(live)).await?;
            live = kept;
            if ended.is_empty() {
                ensure!(
                    started.elapsed() < LONGEST_WAIT,
                    "the endpoint's batches have no end; run again to wait on"
                );
                tokio::time::sleep(self.poll).await;
            }
            for (one, batch) in ended {
                waiting.extend(self.bring_in(one, &batch).await?);
            }
        }
        fatal.map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// Parts the batches that have ended from the others.
    async fn look(
        &self,
        live: impl Iterator<Item = Live>,
    ) -> anyhow::Result<(Vec<(Live, Batch)>, Vec<Live>)> {
        let (mut ended, mut kept) = (Vec::new(), Vec::new());
        for one in live {
            let batch = self.remote.look(&one.batch).await?;
            match batch.stage {
                Stage::Ended => ended.push((one, batch)),
                Stage::UnderWay => kept.push(one),
            }
        }
        Ok((ended, kept))
    }

    /// Finds the batch of a chunk, or creates it. An `unsure` one may have been created at the moment when the last run was killed.
    async fn hand_in(&self, mut chunk: Chunk, aside: Aside, unsure: bool) -> anyhow::Result<Live> {
        if chunk.batch.is_none() {
            let mut found = self.remote.find(&chunk.name).await?;
            if found.is_none() && unsure {
                tokio::time::sleep(self.poll).await;
                found = self.remote.find(&chunk.name).await?;
            }
            let batch = match found {
                Some(batch) => batch.id,
                None => self.create(&chunk).await?,
            };
            chunk.batch = Some(batch);
            self.folder.keep(&chunk)?;
        }
        let batch = chunk.batch.clone().unwrap_or_default();
        tracing::info!("batch {batch}: {} requests", chunk.n_requests);
        Ok(Live { chunk, batch, aside })
    }

    async fn create(&self, chunk: &Chunk) -> anyhow::Result<String> {
        let file = self.remote.upload(&self.folder.requests(chunk)).await??;
        // from here on the batch may exist: the next run has to know its name
        self.folder.keep(chunk)?;
        let mut last = String::new();
        for attempt in 0..self.tries {
            match self.remote.create(&file, &chunk.name).await {
                Ok(batch) => return Ok(batch),
                Err(Fault::Lost(missing, said)) => last = format!("{missing}{said}"),
                Err(fatal) => return Err(fatal.into()),
            }
            tokio::time::sleep(self.endpoint.wire.pause(attempt)).await;
            if let Some(found) = self.remote.find(&chunk.name).await? {
                return Ok(found.id);
            }
        }
        bail!("creating a batch: {last}; run again to go on")
    }

    /// Puts the answers of an ended batch on the tape, and gives chunks of what has to be handed in again.
    async fn bring_in(&mut self, live: Live, batch: &Batch) -> anyhow::Result<Vec<Chunk>> {
        let Live { mut chunk, aside, .. } = live;
        let keys = self.folder.keys(&chunk)?;
        let mut harvest = Harvest {
            again: keys.keys().map(|id| (id.clone(), Missing::ServerError)).collect(),
            said: batch.said.clone(),
            fatal: batch.fault(),
            ..Harvest::default()
        };
        let parameters = &self.endpoint.parameters;
        let with_schema = parameters.schema != Schema::Off;
        let reading = Reading {
            keys: &keys,
            shape: &self.endpoint.shape,
            secrets: &self.endpoint.wire.secrets,
            expected: chunk.expected_each(),
            sent: WORDS.map(|length_key| Sent::of(parameters, Spoken { with_schema, length_key })),
        };
        for file in &batch.files {
            let bytes = self.remote.download(file).await?;
            harvest.read(&reading.secrets.taken_out(bytes), &reading);
        }
        let n_answered = keys.len() - harvest.again.len();
        tracing::info!("batch {}: {n_answered} of {} answered{}", batch.id, keys.len(), harvest.said);
        let ended = if n_answered == 0 { Ended::Free } else { Ended::Batch(harvest.tokens) };
        harvest.heard.retain(|(key, _)| self.tape.get(key).is_none());
        self.tape.put_all(std::mem::take(&mut harvest.heard))?;
        self.endpoint.wire.budget.settle(aside, ended);
        if let Some(fault) = harvest.fatal.take() {
            // what was not answered is no part of any batch now, and the next run asks it anew
            self.folder.finish(&mut chunk)?;
            return Err(fault.into());
        }
        let (rejected, said) = (harvest.hopeless(), harvest.said.clone());
        self.lose(rejected, &keys, &said)?;
        let next = self.again(&chunk, &keys, harvest)?;
        self.folder.finish(&mut chunk)?;
        if !next.is_empty() {
            tokio::time::sleep(self.endpoint.wire.pause(chunk.attempt)).await;
        }
        Ok(next)
    }

    /// Chunks of what has no answer yet; after the last attempt it is lost.
    fn again(
        &mut self,
        chunk: &Chunk,
        keys: &BTreeMap<String, Key>,
        harvest: Harvest,
    ) -> anyhow::Result<Vec<Chunk>> {
        if harvest.again.is_empty() {
            return Ok(Vec::new());
        }
        if chunk.attempt + 1 >= self.tries {
            self.lose(harvest.again.into_iter().collect(), keys, &harvest.said)?;
            return Ok(Vec::new());
        }
        let dialect = &self.endpoint.dialect;
        let without_schema = harvest.schema_rejected && dialect.drops_schema();
        let old_word = harvest.word_rejected.filter(|word| dialect.changes_word(word));
        let lines = self.folder.lines(chunk, |id| harvest.again.contains_key(id))?;
        let each = chunk.expected_each();
        let mut splitter = Splitter::new(self.limits, chunk.attempt + 1, &chunk.judge, &chunk.shape);
        for (id, mut body) in lines {
            if without_schema && let Some(fields) = body.as_object_mut() {
                fields.remove("response_format");
            }
            if let (Some(word), Some(fields)) = (old_word, body.as_object_mut())
                && let Some(length) = fields.remove(word)
            {
                fields.insert(dialect.spoken().length_key.to_owned(), length);
            }
            let key = keys.get(&id).cloned();
            let key =
                key.ok_or_else(|| anyhow::anyhow!("{}: want the question of each request", chunk.name))?;
            splitter.push(self.folder, id, key, &body, each)?;
        }
        splitter.finish(self.folder)
    }

    fn lose(
        &mut self,
        lost: Vec<(String, Missing)>,
        keys: &BTreeMap<String, Key>,
        said: &Said,
    ) -> anyhow::Result<()> {
        let heard = |(id, missing): (String, Missing)| {
            let key = keys.get(&id)?.clone();
            Some((key, self.endpoint.lost(missing, said, 1)))
        };
        let heard: Vec<(Key, Heard)> = lost.into_iter().filter_map(heard).collect();
        self.tape.put_all(heard)
    }
}

impl Harvest {
    /// Reads a file of answers or of errors; what is no answer to one of `keys` is left out.
    fn read(&mut self, bytes: &[u8], reading: &Reading<'_>) {
        for line in bytes.split(|byte| *byte == b'\n') {
            let Ok(json) = serde_json::from_slice::<Value>(line) else { continue };
            let id = json["custom_id"].as_str().unwrap_or_default();
            let Some(key) = reading.keys.get(id) else { continue };
            let (status, body) = (json["response"]["status_code"].as_u64(), &json["response"]["body"]);
            if status.is_some_and(|status| status != 200) {
                self.failed(id, status, body, reading);
                continue;
            }
            let twice = says_twice(line).unwrap_or(false);
            let twice = twice.then(|| String::from_utf8_lossy(line).into_owned());
            match Chat::of(body.clone(), twice, reading.secrets) {
                // a second answer to one request would count twice
                Ok(chat) => {
                    if self.again.remove(id).is_some() {
                        self.tokens.add(reading.expected, chat.counted());
                        self.heard.push((key.clone(), chat.heard(reading.shape, None)));
                    }
                }
                Err(NoChat { missing, said, .. }) => {
                    self.turned_down(id, if status.is_some() { missing } else { Missing::ServerError }, said);
                }
            }
        }
    }

    /// Reads the error of one request.
    fn failed(&mut self, id: &str, status: Option<u64>, body: &Value, reading: &Reading<'_>) {
        let status =
            status.and_then(|status| reqwest::StatusCode::from_u16(u16::try_from(status).ok()?).ok());
        let status = status.unwrap_or(reqwest::StatusCode::INTERNAL_SERVER_ERROR);
        let (said, words) = Said::read(body.to_string().as_bytes(), reading.secrets);
        for sent in &reading.sent {
            let Failed { fault, .. } = meaning(status, said.clone(), &words, sent);
            let missing = match fault {
                Fault::Word(_) => {
                    self.word_rejected = Some(sent.spoken.length_key);
                    Missing::ServerError
                }
                Fault::Schema => {
                    self.schema_rejected = true;
                    Missing::ServerError
                }
                Fault::Quota(..) | Fault::Parameter { .. } => {
                    self.fatal.get_or_insert(fault);
                    Missing::RateLimited
                }
                Fault::Lost(missing, _) => missing,
                _ => Missing::Rejected,
            };
            self.turned_down(id, missing, said.clone());
            if missing != Missing::Rejected {
                return;
            }
        }
    }

    fn turned_down(&mut self, id: &str, missing: Missing, said: Said) {
        if let Some(why) = self.again.get_mut(id) {
            *why = missing;
            self.said = said;
        }
    }

    /// Takes out what the endpoint would reject again.
    fn hopeless(&mut self) -> Vec<(String, Missing)> {
        let ids: BTreeSet<String> = self
            .again
            .iter()
            .filter(|(_, why)| **why == Missing::Rejected)
            .map(|(id, _)| id.clone())
            .collect();
        ids.into_iter().filter_map(|id| self.again.remove_entry(&id)).collect()
    }
}
