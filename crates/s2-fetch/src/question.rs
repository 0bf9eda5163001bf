//! The question that a scene answers: which files, which days, how much cloud, where.

use std::collections::BTreeSet;

use contract::Made;
use sha2::{Digest, Sha256};
use stage::{WRONG_FLAGS, coded};

use crate::area::AreaFlags;
use crate::flags::{Months, Period, asset_name, day, months, period};
use crate::proof::hexadecimal;

/// Flags of the question.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Question {
    /// Files of the scene, in band order: B02,B03,B04,B08 or visual
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = asset_name, required = true)]
    pub assets: Vec<String>,
    /// First day of sensing, YYYY-MM-DD
    #[arg(long, value_name = "DAY", value_parser = day, requires = "to")]
    pub from: Option<String>,
    /// Last day of sensing
    #[arg(long, value_name = "DAY", value_parser = day, requires = "from")]
    pub to: Option<String>,
    /// One more range of days of sensing, such as 2021-05-01/2021-09-30; may be repeated
    #[arg(long, value_name = "DAY/DAY", value_parser = period)]
    pub dates: Vec<Period>,
    /// Months of sensing in any of these years: 5-9, or 11-2, or 4,6,9-10
    #[arg(long, value_name = "MONTHS", value_parser = months)]
    pub months: Option<Months>,
    /// Leave out scenes with more cloud than this, inside the area where one is given
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = stage::share)]
    pub max_cloud_share: f64,
    /// Rank this many of the best scenes anew by their classification (SCL) inside the area [default: 3 with an area, else 0]
    #[arg(long, value_name = "N")]
    pub scl_candidates: Option<usize>,
    /// Collection to search, where the catalogue is an API
    #[arg(long, value_name = "ID", default_value = "sentinel-2-l2a")]
    pub collection: String,
    #[command(flatten)]
    pub area: AreaFlags,
}

/// How many candidates are looked at more closely when an area is given: their SCL files are small, 1 to 3 MB each.
const SCL_CANDIDATES: usize = 3;

impl Question {
    /// The ranges of days, one at least.
    ///
    /// # Errors
    /// If there is none, or one ends before it begins.
    pub fn periods(&self) -> anyhow::Result<Vec<Period>> {
        let pair = self.from.clone().zip(self.to.clone()).map(|(from, to)| Period { from, to });
        let periods: Vec<_> = pair.into_iter().chain(self.dates.iter().cloned()).collect();
        if periods.is_empty() {
            return Err(coded(WRONG_FLAGS, "want --from and --to, or --dates FROM/TO, found neither"));
        }
        match periods.iter().find(|p| p.from > p.to) {
            Some(p) => anyhow::bail!("want --from before --to, found {} after {}", p.from, p.to),
            None => Ok(periods),
        }
    }

    /// How many of the best scenes are looked at by their classification.
    pub fn n_scl(&self) -> usize {
        self.scl_candidates.unwrap_or(if self.area.is_given() { SCL_CANDIDATES } else { 0 })
    }

    /// The flags as the outputs keep them.
    pub fn made(&self, made: Made) -> Made {
        let made = made
            .flag("assets", &self.assets)
            .flag("from", &self.from)
            .flag("to", &self.to)
            .flag("max-cloud-share", self.max_cloud_share)
            .flag("collection", &self.collection);
        let dates: Vec<_> = self.dates.iter().map(ToString::to_string).collect();
        let made = if dates.is_empty() { made } else { made.flag("dates", dates) };
        let made = match &self.months {
            Some(months) => made.flag("months", months.to_string()),
            None => made,
        };
        let made = match self.area.said() {
            Some(area) => made.flag("area", area),
            None => made,
        };
        if self.n_scl() == 0 { made } else { made.flag("scl-candidates", self.n_scl()) }
    }

    /// A hash of all that decides the choice, the area's shape included. No path and no order of flags is in it.
    pub fn hash(&self, area: Option<&str>, more: &[(&str, String)]) -> anyhow::Result<String> {
        let days: BTreeSet<String> = self.periods()?.iter().map(ToString::to_string).collect();
        let mut lines = vec![
            format!("collection {}", self.collection),
            format!("assets {}", self.assets.join(",")),
            format!("days {}", days.into_iter().collect::<Vec<_>>().join(" ")),
            format!("months {}", self.months.as_ref().map(ToString::to_string).unwrap_or_default()),
            format!("max-cloud-share {}", self.max_cloud_share),
            format!("scl-candidates {}", self.n_scl()),
            format!("area {}", area.unwrap_or_default()),
        ];
        lines.extend(more.iter().map(|(key, value)| format!("{key} {value}")));
        let mut hash = Sha256::new();
        hash.update(lines.join("\n"));
        Ok(hexadecimal(hash)[..HASH_DIGITS].to_owned())
    }
}

/// Digits of the hash that a lock keeps: 64 bits, far more than a few hundred questions need.
const HASH_DIGITS: usize = 16;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    #[derive(clap::Parser, Debug)]
    struct Cli {
        #[command(flatten)]
        question: Question,
    }

    pub fn question(flags: &[&str]) -> Question {
        use clap::Parser;
        Cli::try_parse_from([&["x", "--assets", "B04"], flags].concat()).unwrap().question
    }

    #[test]
    fn the_same_question_has_one_hash_however_it_is_put() {
        let range =
            question(&["--from", "2020-01-01", "--to", "2020-12-31", "--dates", "2022-01-01/2022-03-01"]);
        let dates = question(&["--dates", "2022-01-01/2022-03-01", "--dates", "2020-01-01/2020-12-31"]);
        assert_eq!(range.hash(None, &[]).unwrap(), dates.hash(None, &[]).unwrap());
        let others = [
            range.hash(Some("an area"), &[]).unwrap(),
            range.hash(None, &[("scenes", "3".into())]).unwrap(),
            question(&["--from", "2020-01-01", "--to", "2020-12-31"]).hash(None, &[]).unwrap(),
        ];
        assert!(others.iter().all(|hash| *hash != range.hash(None, &[]).unwrap()));
    }

    #[test]
    fn a_question_without_days_or_with_days_reversed_is_refused() {
        assert!(question(&[]).periods().unwrap_err().to_string().contains("--dates FROM/TO"));
        let reversed = question(&["--from", "2021-01-01", "--to", "2020-01-01"]);
        assert!(reversed.periods().unwrap_err().to_string().contains("want --from before --to"));
    }
}
