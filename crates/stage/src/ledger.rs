use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// What went in and what became of it: every input is ok, skipped for a reason, or failed for a reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// What is counted, in the plural: `tiles`, `calls`.
    pub unit: String,
    /// How many went in.
    pub n_in: u64,
    /// How many came out.
    pub n_ok: u64,
    /// How many were left out on purpose, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// How many could not be done, by reason.
    pub failed: BTreeMap<String, u64>,
    /// What else was counted and changes no balance, by what it says of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub noted: BTreeMap<String, u64>,
    /// What it took, by unit: `calls`, `USD`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub spent: BTreeMap<String, f64>,
}

impl Ledger {
    /// A ledger of `n_in` things, such as `tiles`.
    pub fn of(unit: &str, n_in: usize) -> Self {
        Self { unit: unit.into(), n_in: n_in as u64, ..Self::default() }
    }

    /// Counts `n` that came out.
    pub fn ok(&mut self, n: usize) {
        self.n_ok += n as u64;
    }

    /// Counts one that was left out on purpose.
    pub fn skip(&mut self, reason: &str) {
        *self.skipped.entry(reason.into()).or_default() += 1;
    }

    /// Counts one that could not be done.
    pub fn fail(&mut self, reason: &str) {
        *self.failed.entry(reason.into()).or_default() += 1;
    }

    /// Says something of `n` of them, beside what became of them; 0 is said too.
    pub fn note(&mut self, what: &str, n: u64) {
        *self.noted.entry(what.into()).or_default() += n;
    }

    /// Enters what was spent, by unit.
    pub fn spend(&mut self, unit: &str, amount: f64) {
        *self.spent.entry(unit.into()).or_default() += amount;
    }

    /// The ledger with the stage's name and how long it took.
    pub fn report(self, stage: &str, seconds: f64) -> Report {
        Report { stage: stage.into(), seconds, ledger: self }
    }
}

/// A ledger as it is logged and kept: the only file that holds a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The stage.
    pub stage: String,
    /// Wall-clock seconds from the flags to the ledger.
    pub seconds: f64,
    /// The counts.
    #[serde(flatten)]
    pub ledger: Ledger,
}

impl Report {
    /// Whether anything was counted.
    pub fn says_something(&self) -> bool {
        self.ledger.n_in > 0
    }

    /// Writes the report as JSON.
    ///
    /// # Errors
    /// As `contract::file::write`.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        Ok(contract::file::write(path, text.as_bytes())?)
    }

    /// Reads a report that [`Report::write`] wrote.
    ///
    /// # Errors
    /// If the file cannot be read or is no report.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).map_err(contract::Error::io(path, "read"))?;
        serde_json::from_str(&text).map_err(|e| {
            anyhow::anyhow!("{}: want a stage's ledger, got {e}; run the stage again", path.display())
        })
    }

    /// Balances the ledger and holds it to the largest share that may fail.
    ///
    /// # Errors
    /// If the counts do not add up, or too many failed.
    pub fn check(&self, max_failed_share: f64) -> anyhow::Result<()> {
        let ledger = &self.ledger;
        let n_failed: u64 = ledger.failed.values().sum();
        let n_out = ledger.n_ok + ledger.skipped.values().sum::<u64>() + n_failed;
        ensure!(n_out == ledger.n_in, "the ledger does not balance: {self}");
        if n_failed as f64 > max_failed_share * ledger.n_in as f64 {
            bail!(
                "{n_failed} of {} {} failed, more than --max-failed {max_failed_share} allows: {self}",
                ledger.n_in,
                ledger.unit
            );
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ledger { unit, n_in, n_ok, skipped, failed, noted, spent } = &self.ledger;
        write!(f, "{n_in} {unit} in, {n_ok} ok")?;
        for (word, reasons) in [("skipped", skipped), ("failed", failed), ("noted", noted)] {
            for (reason, n) in reasons {
                write!(f, ", {n} {word} ({reason})")?;
            }
        }
        for (unit, amount) in spent {
            write!(f, ", spent {amount} {unit}")?;
        }
        write!(f, ", {:.1} s", self.seconds)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_that_does_not_balance_is_refused() {
        let mut ledger = Ledger::of("tiles", 3);
        ledger.ok(1);
        ledger.skip("no data");
        assert!(ledger.clone().report("s", 0.0).check(1.0).is_err());
        ledger.fail("unreadable");
        assert!(ledger.clone().report("s", 0.0).check(1.0).is_ok());
        assert!(ledger.report("s", 0.0).check(0.3).is_err(), "one of three failed is more than 0.3");
    }

    #[test]
    fn a_report_reads_back_as_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.json");
        let mut ledger = Ledger::of("tiles", 2);
        ledger.ok(1);
        ledger.skip("no data");
        let report = ledger.report("granule-split-mpi", 1.25);
        report.write(&path).unwrap();
        assert_eq!(Report::read(&path).unwrap(), report);
    }
}
