use crate::{Error, Result};
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"PACKPT3\n";

/// A point in training from which it goes on as if never stopped: model, optimiser and step in one whole file with a
/// hash of its content. Draws of training must depend on the seed and the step only.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Steps that were done.
    pub step: u64,
    /// What the run is: settings, seed and hashes of its data. Another run's checkpoint is not taken up.
    pub run: String,
    /// The loss at some steps so far, so that a run that goes on can tell its whole course.
    pub history: Vec<(u64, f32)>,
    /// What else the run will tell of itself in the end, in words of its own.
    pub notes: String,
    model: Vec<u8>,
    optimiser: Vec<u8>,
}

impl Checkpoint {
    /// Takes a snapshot.
    ///
    /// Burn keeps the last step's running means of batch norms beside the module until they are asked for, and a record is
    /// made without asking; [`Module::valid`] asks.
    ///
    /// # Errors
    /// [`Error::Unfit`] if burn cannot serialise the state.
    pub fn of<M: Module>(step: u64, run: &str, model: &M, optimiser: &ModuleOptimizer) -> Result<Self> {
        let bad = |e: burn::store::RecordError| {
            Error::Unfit(format!("the state of training cannot be written: {e}"))
        };
        drop(model.valid());
        let model = model.clone().into_record().into_bytes().map_err(bad)?.to_vec();
        let optimiser = optimiser.into_bytes().map_err(bad)?.to_vec();
        Ok(Self { step, run: run.into(), history: Vec::new(), notes: String::new(), model, optimiser })
    }

    /// The same with the losses so far.
    pub fn with_history(self, history: &[(u64, f32)]) -> Self {
        Self { history: history.to_vec(), ..self }
    }

    /// The same with what the run will tell of itself.
    pub fn with_notes(self, notes: String) -> Self {
        Self { notes, ..self }
    }

    /// The model and the optimiser as they were.
    ///
    /// # Errors
    /// [`Error::Unfit`] if the state is of another network.
    pub fn restore<M: Module>(&self, model: M, optimiser: ModuleOptimizer) -> Result<(M, ModuleOptimizer)> {
        let bad =
            |e: burn::store::RecordError| Error::Unfit(format!("the checkpoint is of another network: {e}"));
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(self.model.clone())).map_err(bad)?;
        let optimiser = optimiser.from_bytes(Bytes::from_bytes_vec(self.optimiser.clone())).map_err(bad)?;
        Ok((model.try_load_record(record).map_err(bad)?, optimiser))
    }

    /// Writes the whole file; the one before it stays beside it as `NAME.previous`, should this one be damaged later.
    ///
    /// # Errors
    /// [`Error::File`]; the old checkpoint is then untouched or is the previous one.
    pub fn write(&self, path: &Path) -> Result<()> {
        if path.exists() {
            let previous = previous(path);
            std::fs::rename(path, &previous).map_err(contract::Error::io(&previous, "rename into place"))?;
        }
        let mut body = self.step.to_le_bytes().to_vec();
        let history: Vec<u8> = self
            .history
            .iter()
            .flat_map(|(step, loss)| step.to_le_bytes().into_iter().chain(loss.to_le_bytes()))
            .collect();
        for part in [self.run.as_bytes(), &history, self.notes.as_bytes(), &self.model, &self.optimiser] {
            body.extend((part.len() as u64).to_le_bytes());
            body.extend(part);
        }
        let hash = Sha256::digest(&body);
        let bytes = [MAGIC.as_slice(), hash.as_slice(), &body].concat();
        Ok(contract::file::write(path, &bytes)?)
    }

    /// Reads the newest good checkpoint of this run: the previous one if the newest is damaged, nothing if there is none.
    pub fn read(path: &Path, run: &str) -> Option<Self> {
        Self::read_one(path, run).or_else(|| Self::read_one(&previous(path), run))
    }

    fn read_one(path: &Path, run: &str) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        let (hash, mut body) = bytes.strip_prefix(MAGIC)?.split_at_checked(32)?;
        if Sha256::digest(body).as_slice() != hash {
            return None;
        }
        let step = u64::from_le_bytes(take(&mut body, 8)?.try_into().ok()?);
        let mut part = || {
            let length = u64::from_le_bytes(take(&mut body, 8)?.try_into().ok()?);
            take(&mut body, usize::try_from(length).ok()?).map(<[u8]>::to_vec)
        };
        let (found, history) = (String::from_utf8(part()?).ok()?, part()?);
        let notes = String::from_utf8(part()?).ok()?;
        let (model, optimiser) = (part()?, part()?);
        (found == run).then(|| Self { step, run: found, history: losses(&history), notes, model, optimiser })
    }
}

fn losses(bytes: &[u8]) -> Vec<(u64, f32)> {
    let of = |entry: &[u8; 12]| {
        let [a, b, c, d, e, f, g, h, loss @ ..] = *entry;
        (u64::from_le_bytes([a, b, c, d, e, f, g, h]), f32::from_le_bytes(loss))
    };
    bytes.as_chunks().0.iter().map(of).collect()
}

fn previous(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".previous");
    name.into()
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(n)?;
    *bytes = rest;
    Some(head)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::AdamConfig;
    use burn::tensor::Device;

    fn at(step: u64) -> Checkpoint {
        let linear: Linear = LinearConfig::new(3, 2).init(&Device::flex());
        let new = Checkpoint::of(step, "run", &linear, &AdamConfig::new().init()).unwrap();
        new.with_history(&[(0, 0.5), (step, 0.25)]).with_notes(format!("step {step}"))
    }

    #[test]
    fn a_damaged_newest_checkpoint_falls_back_to_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.ckpt");
        at(1).write(&path).unwrap();
        at(2).write(&path).unwrap();
        let newest = Checkpoint::read(&path, "run").unwrap();
        assert_eq!((newest.step, newest.history), (2, vec![(0, 0.5), (2, 0.25)]));
        assert_eq!(newest.notes, "step 2");
        assert!(Checkpoint::read(&path, "another run").is_none());
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for damaged in [&whole[..whole.len() / 2], &[], &flipped] {
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(Checkpoint::read(&path, "run").unwrap().step, 1);
        }
        // Killed between the two renames: the newest is not there yet.
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Checkpoint::read(&path, "run").unwrap().step, 1);
    }
}
