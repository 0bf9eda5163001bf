//! The flags of an endpoint: how it is asked, how fast, and for how much.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use retry::{Limits, Tries};

use super::batch::BatchArgs;
use super::budget::{Budget, Caps};
use super::pace::Pace;
use super::price::{self, Cost, Price};
use super::request::{Detail, Parameters, Schema};
use super::said::Secrets;
use super::wire::Wire;

/// An endpoint that asks for a longer pause than this has failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// Flags of `--judge openai`.
#[derive(clap::Args, Debug)]
pub struct EndpointArgs {
    /// Model of the endpoint, for --judge openai
    #[arg(long, value_name = "NAME", required_if_eq("judge", "openai"))]
    pub model: Option<String>,
    #[command(flatten)]
    shape: ShapeArgs,
    /// Calls under way at a time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub concurrency: u32,
    /// Seconds for one try of a call
    #[arg(long, value_name = "S", default_value_t = 120.0, value_parser = stage::positive)]
    timeout_s: f64,
    /// Tries of a call, the first included
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub tries: u32,
    /// Seconds after the first failed try, doubled after each; Retry-After takes precedence
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = stage::positive)]
    pause_s: f64,
    /// Seconds after its first try in which a call may be tried again
    #[arg(long, value_name = "S", default_value_t = 600.0, value_parser = stage::positive)]
    patience_s: f64,
    /// Requests to the endpoint in all, tries included, before the run stops
    #[arg(long, value_name = "N")]
    max_calls: Option<u64>,
    /// Cost in the currency of the model's price before the run stops; wants --max-tokens
    #[arg(long, value_name = "COST", value_parser = stage::positive, requires = "max_tokens")]
    max_cost: Option<f64>,
    /// Prices of models (JSON), instead of the shipped ones
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Requests a minute that the endpoint allows
    #[arg(long, value_name = "N", value_parser = stage::positive)]
    pub requests_per_minute: Option<f64>,
    /// Tokens a minute that the endpoint allows, of questions and answers
    #[arg(long, value_name = "N", value_parser = stage::positive)]
    pub tokens_per_minute: Option<f64>,
    /// Batch mode.
    #[command(flatten)]
    pub batch: BatchArgs,
}

/// What shapes a request; another value makes another question.
#[derive(clap::Args, Debug)]
struct ShapeArgs {
    /// Tokens of an answer at most; the endpoint's default without it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// How freely the endpoint draws words, 0 to 2; its default without it
    #[arg(long, value_name = "T", value_parser = temperature)]
    temperature: Option<f64>,
    /// Share of likely words that the endpoint draws from; its default without it
    #[arg(long, value_name = "SHARE", value_parser = stage::share)]
    top_p: Option<f64>,
    /// Seed of the endpoint's draws; the number of the repeat is added
    #[arg(long, value_name = "N")]
    answer_seed: Option<i64>,
    /// How closely the endpoint looks at pictures; its default without it
    #[arg(long, value_enum)]
    detail: Option<Detail>,
    /// Whether the endpoint is given the JSON schema of the answer
    #[arg(long, value_enum, default_value = "auto")]
    schema: Schema,
}

impl EndpointArgs {
    /// What shapes the requests.
    pub fn parameters(&self) -> Parameters {
        let ShapeArgs { max_tokens, temperature, top_p, answer_seed, detail, schema } = self.shape;
        Parameters { max_tokens, temperature, top_p, seed: answer_seed, detail, schema }
    }

    /// What shapes the requests, if a flag says so.
    pub fn said_parameters(&self) -> Option<Parameters> {
        Some(self.parameters()).filter(|parameters| *parameters != Parameters::default())
    }

    /// The name of the model.
    ///
    /// # Errors
    /// There is none.
    pub fn model(&self) -> anyhow::Result<&str> {
        self.model.as_deref().context("--judge openai wants --model NAME")
    }

    /// The price of the model, which `--max-cost` cannot do without.
    ///
    /// # Errors
    /// The prices cannot be read, or the model is not among them and has to be.
    pub fn price(&self) -> anyhow::Result<Option<Price>> {
        let model = self.model()?;
        let found = price::find(self.prices.as_deref(), model)?;
        let table = self.prices.as_deref().unwrap_or(Path::new("the shipped prices")).display();
        ensure!(
            found.is_some() || self.max_cost.is_none(),
            "{table}: want the price of {model} for --max-cost, found none; add it and name the file with --prices"
        );
        Ok(if self.batch.batch.is_some() { found.map(Price::in_batches) } else { found })
    }

    /// The transport to the endpoint, which repeats none of the secrets.
    ///
    /// # Errors
    /// As [`EndpointArgs::price`], or the TLS library cannot be set up.
    pub fn wire(&self, secrets: Secrets) -> anyhow::Result<Wire> {
        let tries = Tries {
            most: self.tries,
            first_pause: seconds(self.pause_s),
            longest_pause: LONGEST_PAUSE,
            longest_wait: LONGEST_PAUSE,
            patience: seconds(self.patience_s),
        };
        let limits = Limits {
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
        };
        let caps = Caps { max_calls: self.max_calls, max_cost: self.max_cost.map(Cost::of_units) };
        let budget = Budget::new(caps, self.price()?);
        Wire::new(tries, seconds(self.timeout_s), Pace::new(limits), budget, secrets)
    }
}

/// Seconds of a flag; more than years are years.
fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.min(1e9))
}

fn temperature(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=2.0).contains(&value) => Ok(value),
        _ => Err("want a number from 0 to 2".into()),
    }
}
