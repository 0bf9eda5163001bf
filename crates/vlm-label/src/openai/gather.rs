//! All questions of a run before the first is asked: to plan what they cost, or to hand them in as batches.

use std::collections::BTreeSet;
use std::fmt;

use super::args::EndpointArgs;
use super::batch::{Batches, Chunk, Folder, Remote, Splitter, id_of};
use super::price::Tokens;
use super::{BatchMode, Endpoint, OpenAi, request};
use crate::judge::Question;
use crate::tape::{Heard, Key, Tape};

/// All questions come once before they are asked: into files, or only counted.
pub(super) struct Gathering {
    gathered: Gathered,
    splitter: Option<Splitter>,
    begun: Vec<Chunk>,
}

/// The questions so far.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Answers wanted.
    pub n_wanted: usize,
    /// Questions that are not answered on the tape, each once.
    pub n_new: usize,
    /// What they are expected to take at most.
    pub expected: Tokens,
    seen: BTreeSet<Key>,
    /// Questions that an earlier run handed in.
    under_way: BTreeSet<Key>,
}

impl Gathered {
    /// Adds questions, their requests to files if there is a folder for them.
    pub(super) fn add(
        &mut self,
        endpoint: &Endpoint,
        tape: &Tape,
        questions: &[Question<'_>],
        mut files: Option<(&Folder, &mut Splitter)>,
    ) -> anyhow::Result<()> {
        self.n_wanted += questions.len();
        for question in questions {
            let key = question.key();
            if tape.get(&key).is_some() || self.under_way.contains(&key) || !self.seen.insert(key.clone()) {
                continue;
            }
            let expected = request::expected(question, &endpoint.parameters, endpoint.image);
            self.n_new += 1;
            self.expected = self.expected + expected;
            if let Some((folder, splitter)) = &mut files {
                let body = endpoint.body(question, endpoint.dialect.spoken())?;
                splitter.push(folder, id_of(&key, &endpoint.shape), key, &body, expected)?;
            }
        }
        Ok(())
    }
}

impl OpenAi {
    /// What a run begins with that plans, or asks in batches.
    pub(super) fn gather(&self, plan: bool) -> anyhow::Result<Option<Gathering>> {
        let Some(mode) = &self.batches else {
            let none = Gathering { gathered: Gathered::default(), splitter: None, begun: Vec::new() };
            return Ok(plan.then_some(none));
        };
        let begun = mode.folder.begun(self.tape.judge(), &self.endpoint.shape)?;
        let mut gathered = Gathered::default();
        for chunk in &begun {
            gathered.under_way.extend(mode.folder.keys(chunk)?.into_values());
        }
        Ok(Some(Gathering { gathered, splitter: Some(self.splitter(mode)), begun }))
    }

    fn splitter(&self, mode: &BatchMode) -> Splitter {
        Splitter::new(mode.limits, 0, self.tape.judge(), &self.endpoint.shape)
    }

    /// Whether questions are only taken in for now.
    pub fn gathers(&self) -> bool {
        self.gathering.is_some()
    }

    pub(super) fn add(&mut self, questions: &[Question<'_>]) -> anyhow::Result<()> {
        let Some(Gathering { gathered, splitter, .. }) = &mut self.gathering else { return Ok(()) };
        let files = self.batches.as_ref().map(|mode| &mode.folder).zip(splitter.as_mut());
        gathered.add(&self.endpoint, &self.tape, questions, files)
    }

    /// All questions are there: in batch mode they are asked now, otherwise this is what they are.
    ///
    /// # Errors
    /// The batches do not come to an end, or the budget is spent.
    pub fn gathered(&mut self) -> anyhow::Result<Option<Gathered>> {
        let Some(Gathering { gathered, splitter, begun }) = self.gathering.take() else { return Ok(None) };
        let Some(splitter) = splitter else { return Ok(Some(gathered)) };
        self.hand_in(splitter, begun)?;
        Ok(None)
    }

    /// Asks questions that come after the gathering.
    pub(super) fn ask_in_batches(&mut self, new: &[(Key, &Question<'_>)]) -> anyhow::Result<()> {
        let Some(mode) = self.batches.as_ref().filter(|_| !new.is_empty()) else { return Ok(()) };
        let mut splitter = self.splitter(mode);
        let mut gathered = Gathered::default();
        for (_, question) in new {
            let files = Some((&mode.folder, &mut splitter));
            gathered.add(&self.endpoint, &self.tape, std::slice::from_ref(*question), files)?;
        }
        self.hand_in(splitter, Vec::new())
    }

    fn hand_in(&mut self, splitter: Splitter, begun: Vec<Chunk>) -> anyhow::Result<()> {
        let Self { endpoint, tape, runtime, batches, .. } = self;
        let Some(BatchMode { folder, limits, poll, tries }) = batches else { return Ok(()) };
        let new = splitter.finish(folder)?;
        let remote = Remote { wire: endpoint.wire.clone(), config: endpoint.config.clone() };
        let (limits, poll, tries) = (*limits, *poll, *tries);
        let mut run = Batches { endpoint, remote, folder, tape, limits, poll, tries };
        runtime.block_on(run.run(begun, new))?;
        endpoint.tally.check()
    }

    /// What the gathered questions would take.
    pub fn plan(&self, gathered: &Gathered, args: &EndpointArgs) -> Plan {
        let budget = &self.endpoint.wire.budget;
        let price = budget.price();
        let cost = price.map(|price| {
            let (cost, currency, date) = (price.of(gathered.expected), &price.currency, &price.date);
            let batch = if args.batch.batch.is_some() { ", in batches" } else { "" };
            format!("about {cost} {currency} by the price of {date}{batch}")
        });
        Plan {
            n_wanted: gathered.n_wanted,
            n_calls: gathered.n_new,
            tokens: gathered.expected,
            is_limited: self.endpoint.parameters.max_tokens.is_some(),
            cost: cost
                .ok_or_else(|| format!("no price of {}; add one with --prices FILE", self.endpoint.model)),
            time: self.time(gathered, args),
        }
    }

    fn time(&self, gathered: &Gathered, args: &EndpointArgs) -> String {
        if args.batch.batch.is_some() {
            return "within 24 hours of handing in, as the endpoint promises".to_owned();
        }
        let (n_calls, tokens) = (gathered.n_new as f64, gathered.expected);
        let n_tokens = (tokens.n_in + tokens.n_out) as f64;
        let by_latency = |latency_s: f64| {
            let seconds = n_calls * latency_s / f64::from(args.concurrency);
            (seconds, format!("{} calls at a time of {latency_s:.1} s, as recorded", args.concurrency))
        };
        let bounds = [
            args.requests_per_minute.map(|n| (60.0 * n_calls / n, format!("{n} requests a minute"))),
            args.tokens_per_minute.map(|n| (60.0 * n_tokens / n, format!("{n} tokens a minute"))),
            median_latency_s(&self.tape).map(by_latency),
        ];
        let longest = bounds.into_iter().flatten().max_by(|a, b| a.0.total_cmp(&b.0));
        match longest {
            Some((seconds, why)) => format!("at least {seconds:.0} s, by {why}"),
            None => "unknown: no limit is given and nothing is recorded yet".to_owned(),
        }
    }
}

fn median_latency_s(tape: &Tape) -> Option<f64> {
    let mut latencies: Vec<f64> = tape.all().filter_map(|heard: &Heard| heard.call.latency_s).collect();
    latencies.sort_by(f64::total_cmp);
    latencies.get(latencies.len() / 2).copied()
}

/// What a run would take.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Answers wanted.
    pub n_wanted: usize,
    /// Calls for them.
    pub n_calls: usize,
    /// Tokens of the calls, at most where answers are limited.
    pub tokens: Tokens,
    /// Whether `--max-tokens` limits the answers.
    pub is_limited: bool,
    /// Cost and its words, if the price is known.
    pub cost: Result<String, String>,
    /// Time and what decides it.
    pub time: String,
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tokens { n_in, n_out } = self.tokens;
        let guess = if self.is_limited { "at most" } else { "a guess without --max-tokens," };
        writeln!(
            out,
            "calls   {} for {} answers, the others are recorded or equal",
            self.n_calls, self.n_wanted
        )?;
        writeln!(out, "tokens  about {n_in} in, {guess} {n_out} out")?;
        match &self.cost {
            Ok(cost) => writeln!(out, "cost    {cost}")?,
            Err(why) => writeln!(out, "cost    unknown: {why}")?,
        }
        write!(out, "time    {}", self.time)
    }
}
