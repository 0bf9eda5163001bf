//! The offline judge behind an order, as its card tells it: what it was trained on, for a map and a page to say.
//!
//! The card is the `.json` beside the heads of `vlm-label --judge local`. How far the ground lies from that, the ledgers of
//! `vlm-label classify` tell. Left out: how good the judge is; the card itself tells.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// How what a ledger notes of pictures begins that are unlike the judge's training.
const UNLIKE: &str = "farther from the judge's training pictures";

/// What a card says of a judge, and ledgers of the ground that it judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judge {
    /// What the judge is for and what not.
    pub about: String,
    /// What it was trained on.
    pub trained_on: String,
    /// How many of the pictures that it judged are unlike its training; missing where no ledger tells.
    pub n_unlike: Option<u64>,
}

impl Judge {
    /// Reads the card of a local judge, and those of some ledgers that are of its labels.
    ///
    /// # Errors
    /// If there is no card, it does not say these things, or a ledger cannot be read.
    pub fn read(card: &Path, ledgers: &[PathBuf]) -> anyhow::Result<Judge> {
        let text = std::fs::read_to_string(card).map_err(contract::Error::io(card, "read"))?;
        let wanted = || {
            format!(
                "{}: want the card of a local judge, with `about` and `training` with its `source`; it lies beside the heads",
                card.display()
            )
        };
        let card: serde_json::Value = serde_json::from_str(&text).with_context(wanted)?;
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned).with_context(wanted);
        let (about, trained_on) = (text(&card["about"])?, text(&card["training"]["source"])?);
        Ok(Judge { about, trained_on, n_unlike: n_unlike(ledgers)? })
    }

    /// What it was trained on, and how many of the tiles lie far from that.
    #[must_use]
    pub fn ground(&self, n_tiles: usize) -> String {
        let far = self.n_unlike.map_or(String::new(), |n| {
            format!(
                "; {n} of {n_tiles} tiles here are farther from that than nearly all of its training pictures"
            )
        });
        format!("trained on {}{far}", self.trained_on)
    }
}

fn n_unlike(ledgers: &[PathBuf]) -> anyhow::Result<Option<u64>> {
    let mut sum = None;
    for path in ledgers {
        let text = std::fs::read_to_string(path).map_err(contract::Error::io(path, "read"))?;
        let ledger: serde_json::Value = serde_json::from_str(&text)
            .with_context(|| format!("{}: want a stage's ledger; run the stage again", path.display()))?;
        let noted = ledger["noted"].as_object().filter(|_| ledger["stage"] == "vlm-label classify");
        let notes = noted.into_iter().flatten().filter(|(what, _)| what.starts_with(UNLIKE));
        for n in notes.filter_map(|(_, n)| n.as_u64()) {
            sum = Some(sum.unwrap_or(0) + n);
        }
    }
    Ok(sum)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_card_of_the_embedded_judge_says_what_it_was_trained_on_and_another_file_is_refused() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
        let judge = Judge::read(&data.join("weights/settlement_heads.json"), &[]).unwrap();
        assert!(judge.trained_on.contains("pictures of North Korea"), "{judge:?}");
        let said = Judge::read(&data.join("prices.json"), &[]).unwrap_err().to_string();
        assert!(said.contains("prices.json: want the card of a local judge"), "{said}");
    }

    #[test]
    fn ledgers_of_labels_tell_how_much_of_the_ground_is_unlike_the_training() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let card = write("heads.json", r#"{"about": "A guess.", "training": {"source": "Atlantis"}}"#);
        let ledger = |stage: &str, n: u64| {
            format!(r#"{{"stage": "{stage}", "noted": {{"{UNLIKE} than 99 % of these": {n}, "blue": 7}}}}"#)
        };
        let ledgers = [
            write("a.json", &ledger("vlm-label classify", 3)),
            write("b.json", &ledger("vlm-label classify", 4)),
            write("c.json", &ledger("vlm-label vote", 90)),
        ];
        let judge = Judge::read(&card, &ledgers).unwrap();
        assert_eq!(judge.n_unlike, Some(7));
        assert!(judge.ground(900).starts_with("trained on Atlantis; 7 of 900 tiles here are farther"));
        assert_eq!(Judge::read(&card, &ledgers[2..]).unwrap().ground(900), "trained on Atlantis");
    }
}
