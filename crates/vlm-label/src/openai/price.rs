//! What a call costs: prices are data (`data/prices.json`, or `--prices FILE`), tokens are estimated until the endpoint says.
//!
//! A file of prices is a list of objects: `model`, `currency`, `input_per_million`, `output_per_million` (tokens),
//! `batch_share` of that in batch mode, `image` (how a picture becomes tokens), `date` and `source`. A model's name fits a price if it
//! is the same or goes on with `-` and a date. Left out: prices of cached tokens, so that what is reckoned is never too little.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

const SHIPPED: &str = include_str!("../../../../data/prices.json");

/// An amount in billionths of a currency's unit, so that sums do not depend on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost(u64);

impl Cost {
    /// The amount that is so much of the unit, rounded up.
    pub fn of_units(units: f64) -> Self {
        Self((units * 1e9).ceil() as u64)
    }

    /// The amount in the unit.
    pub fn units(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Cost {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.6}", self.units())
    }
}

/// Tokens of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Of the question.
    pub n_in: u64,
    /// Of the answer.
    pub n_out: u64,
}

impl Add for Tokens {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { n_in: self.n_in.saturating_add(other.n_in), n_out: self.n_out.saturating_add(other.n_out) }
    }
}

/// The price of one model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    model: String,
    /// Such as USD.
    pub currency: String,
    input_per_million: f64,
    output_per_million: f64,
    /// What batch mode costs of it.
    #[serde(default = "one")]
    pub batch_share: f64,
    /// How a picture becomes tokens.
    #[serde(default)]
    pub image: ImageTokens,
    /// When the price was read.
    pub date: String,
    /// Where.
    pub source: String,
}

/// How a square picture becomes tokens: so many, and so many for each started cell of so many pixels.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageTokens {
    base: f64,
    cell_px: u32,
    a_cell: f64,
}

impl Default for ImageTokens {
    /// A token a patch of 14 pixels, the finest that is usual: other models take fewer.
    fn default() -> Self {
        Self { base: 2.0, cell_px: 14, a_cell: 1.0 }
    }
}

impl ImageTokens {
    /// The tokens of a picture.
    pub fn of(self, side_px: u32) -> u64 {
        let cells = f64::from(side_px.div_ceil(self.cell_px));
        (self.base + cells * cells * self.a_cell).ceil() as u64
    }
}

impl Price {
    /// What tokens cost.
    pub fn of(&self, tokens: Tokens) -> Cost {
        let millionths =
            tokens.n_in as f64 * self.input_per_million + tokens.n_out as f64 * self.output_per_million;
        Cost::of_units(millionths / 1e6)
    }

    /// The price in batch mode.
    pub fn in_batches(mut self) -> Self {
        self.input_per_million *= self.batch_share;
        self.output_per_million *= self.batch_share;
        self
    }

    fn fits(&self, model: &str) -> bool {
        let dated = |rest: &str| {
            rest.strip_prefix('-').is_some_and(|date| date.starts_with(|c: char| c.is_ascii_digit()))
        };
        model.strip_prefix(self.model.as_str()).is_some_and(|rest| rest.is_empty() || dated(rest))
    }

    fn check(&self) -> anyhow::Result<()> {
        let numbers = [
            self.input_per_million,
            self.output_per_million,
            self.batch_share,
            self.image.base,
            self.image.a_cell,
        ];
        let fits =
            numbers.iter().all(|number| number.is_finite() && *number >= 0.0) && self.image.cell_px > 0;
        ensure!(fits, "{}: want numbers from 0, found others", self.model);
        Ok(())
    }
}

/// The price of a model in the shipped table or in a file; `None` if it is not there.
///
/// # Errors
/// The file is no table of prices.
pub fn find(file: Option<&Path>, model: &str) -> anyhow::Result<Option<Price>> {
    let (name, text) = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(contract::Error::io(path, "read"))?;
            (path.display().to_string(), text)
        }
        None => ("the shipped prices".to_owned(), SHIPPED.to_owned()),
    };
    let prices = parse(&text).with_context(|| format!("{name}: want a table of prices"))?;
    Ok(prices.into_iter().find(|price| price.fits(model)))
}

fn parse(text: &str) -> anyhow::Result<Vec<Price>> {
    let mut prices: Vec<Price> = serde_json::from_str(text)?;
    prices.iter().try_for_each(Price::check)?;
    prices.sort_by_key(|price| std::cmp::Reverse(price.model.len()));
    Ok(prices)
}

/// The tokens of a text, rather too many: three letters a token in English (four are usual), two tokens a character elsewhere.
pub fn text_tokens(text: &str) -> u64 {
    let n_ascii = text.bytes().filter(u8::is_ascii).count();
    let n_other = text.chars().filter(|c| !c.is_ascii()).count();
    (n_ascii.div_ceil(3) + 2 * n_other) as u64
}

fn one() -> f64 {
    1.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_prices_are_read_and_say_when_and_where_they_were_found() {
        let prices = parse(SHIPPED).unwrap();
        for price in &prices {
            assert!(price.date.len() == 10 && price.source.starts_with("http"), "{}", price.model);
            assert!(price.output_per_million >= price.input_per_million, "{}", price.model);
        }
        assert!(prices.len() >= 4, "{}", prices.len());
    }

    #[test]
    fn a_dated_model_has_the_price_of_its_kind_and_a_smaller_one_its_own() {
        let currency = |model| {
            find(None, model).unwrap().map(|price| price.of(Tokens { n_in: 1_000_000, n_out: 0 }).units())
        };
        assert_eq!(currency("gpt-4o-mini-2024-07-18"), currency("gpt-4o-mini"));
        assert!(currency("gpt-4o-mini") < currency("gpt-4o-2024-08-06"));
        assert_eq!(currency("gpt-4o-audio"), None);
        assert_eq!(currency("my-own"), None);
    }

    #[test]
    fn a_cost_is_rounded_up_and_its_sum_is_exact() {
        assert!(Cost::of_units(1e-12) > Cost::default());
        let dimes: Cost = std::iter::repeat_n(Cost::of_units(0.1), 10).sum();
        assert_eq!(dimes, Cost::of_units(1.0));
    }

    #[test]
    fn a_broken_table_is_refused() {
        for text in ["{}", "[{\"model\": \"m\"}]", "rubbish"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let negative = SHIPPED.replacen("\"input_per_million\": ", "\"input_per_million\": -", 1);
        assert!(parse(&negative).unwrap_err().to_string().contains("want numbers from 0"));
    }
}
