//! The log of what was asked and answered, and the canaries of a run: what an audit of the judge reads.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use contract::{AnswerRow, Made, Metric};
use serde_json::{Map, Value};

use crate::canary::{self, Base};
use crate::draw::Image;
use crate::judge::{Answer, Judge, Question, Want};
use crate::prompt::Prompt;

/// What is kept beside the result, and how the judge is tried.
#[derive(clap::Args, Debug)]
pub struct AuditArgs {
    /// Write every answer here, with model, tokens and latency (Parquet, table `answers`)
    #[arg(long, value_name = "FILE")]
    answers_out: Option<PathBuf>,
    /// Tiles of which canaries are made (a copy, a rotated one, one with a text in it); blank and cloud come on top; 0 for none
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=1000))]
    canaries: u32,
    /// Write what the canaries found here (Parquet, table `metrics`)
    #[arg(long, value_name = "FILE")]
    canaries_out: Option<PathBuf>,
    /// Refuse, before anything is written, when a canary finds something
    #[arg(long)]
    strict_canaries: bool,
}

impl AuditArgs {
    /// Of how many tiles canaries are made.
    pub fn n_tiles(&self) -> usize {
        self.canaries as usize
    }

    /// Asks about the canaries.
    ///
    /// # Errors
    /// As [`Judge::ask`].
    pub fn ask(
        &self,
        judge: &mut Judge,
        prompts: &[Prompt],
        want: Want,
        tiles: &[Base<'_>],
        points: &[f64],
        log: &mut Log,
    ) -> anyhow::Result<Vec<Metric>> {
        judge.try_out();
        let bases = canary::spread(tiles, self.n_tiles());
        let mut metrics = Vec::new();
        for prompt in prompts {
            metrics.extend(canary::check(judge, prompt, want, &bases, points, log)?);
        }
        Ok(metrics)
    }

    /// Says what the canaries found, and refuses if that is wanted.
    ///
    /// # Errors
    /// A finding, with `--strict-canaries`.
    pub fn weigh(&self, metrics: &[Metric]) -> anyhow::Result<()> {
        let findings: Vec<&Metric> = metrics.iter().filter(|metric| metric.note.is_some()).collect();
        for metric in &findings {
            tracing::warn!(
                "{} of {}: {}",
                metric.name,
                metric.of,
                metric.note.as_deref().unwrap_or_default()
            );
        }
        if let (true, [first, ..]) = (self.strict_canaries, &findings[..]) {
            let (n, note) = (findings.len(), first.note.as_deref().unwrap_or_default());
            ensure!(
                false,
                "{n} canaries found something, the first: {} of {}: {note}; mend the prompt or take another judge, or leave out --strict-canaries",
                first.name,
                first.of
            );
        }
        Ok(())
    }

    /// Writes what was asked for.
    ///
    /// # Errors
    /// An unwritable output.
    pub fn write(&self, log: &Log, canaries: &[Metric], made: &Made) -> anyhow::Result<()> {
        if let Some(path) = &self.answers_out {
            contract::write(path, &log.0, made).context("writing the answers")?;
        }
        if let Some(path) = &self.canaries_out {
            contract::write(path, canaries, made).context("writing what the canaries found")?;
        }
        Ok(())
    }
}

/// Every question of a run with its answer, in the order of the questions.
#[derive(Debug, Default)]
pub struct Log(Vec<AnswerRow>);

impl Log {
    /// Enters one answer.
    pub fn push(
        &mut self,
        judge: &Judge,
        question: &Question<'_>,
        image: &Image,
        right: Option<&Image>,
        answer: &Answer,
    ) {
        let call = &answer.call;
        self.0.push(AnswerRow {
            judge: judge.name().to_owned(),
            model: call.model.clone(),
            prompt: question.prompt.id.clone(),
            prompt_hash: question.prompt.hash.clone(),
            granule: image.0.clone(),
            tile: image.1,
            right: right.cloned(),
            repeat: question.repeat,
            parameters: call.parameters.clone().unwrap_or_else(|| "{}".into()),
            raw: answer.raw.clone(),
            missing: answer.values.as_ref().err().map(ToString::to_string),
            n_tokens_in: call.n_tokens_in,
            n_tokens_out: call.n_tokens_out,
            latency_s: call.latency_s,
        });
    }

    /// Enters an answer about a canary made of `image`.
    pub fn push_canary(
        &mut self,
        judge: &Judge,
        question: &Question<'_>,
        image: &Image,
        kind: canary::Kind,
        answer: &Answer,
    ) {
        self.push(judge, question, image, question.right.map(|_| image), answer);
        let Some(row) = self.0.last_mut() else { return };
        let mut parameters: Map<String, Value> = serde_json::from_str(&row.parameters).unwrap_or_default();
        parameters.insert("canary".into(), kind.name().into());
        row.parameters = Value::Object(parameters).to_string();
    }
}
