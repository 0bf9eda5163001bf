use crate::{Error, Result};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// How a file was made: stage and version, flags that shape the output, seed, and the hash of every input.
///
/// Nothing here may depend on the time, the host, or the number of threads or ranks. Paths are not recorded, only file
/// names, so that the same work in another folder gives the same bytes.
#[derive(Clone, Debug)]
pub struct Made {
    by: &'static str,
    flags: Map<String, Value>,
    seed: Option<u64>,
    inputs: Vec<(String, String)>,
}

impl Made {
    /// Made by this stage.
    pub fn by(stage: &'static str) -> Self {
        Self { by: stage, flags: Map::new(), seed: None, inputs: Vec::new() }
    }

    /// Records a flag that shapes the output.
    pub fn flag(mut self, name: &str, value: impl serde::Serialize) -> Self {
        self.flags.insert(name.to_owned(), serde_json::to_value(value).unwrap_or(Value::Null));
        self
    }

    /// Records the seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Records an input file by name and SHA-256.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read.
    pub fn input(mut self, path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.inputs.push((name, sha256_of(path)?));
        Ok(self)
    }

    /// The pairs of key and text that go into a Parquet file's or a raster's metadata.
    pub fn pairs(&self, tag: &str) -> Vec<(String, String)> {
        let inputs: Vec<_> =
            self.inputs.iter().map(|(name, hash)| json!({"name": name, "sha256": hash})).collect();
        let mut pairs = vec![
            ("contract".to_owned(), tag.to_owned()),
            ("made_by".to_owned(), format!("{} {}", self.by, env!("CARGO_PKG_VERSION"))),
            ("flags".to_owned(), Value::Object(self.flags.clone()).to_string()),
            ("inputs".to_owned(), Value::Array(inputs).to_string()),
        ];
        if let Some(seed) = self.seed {
            pairs.push(("seed".to_owned(), seed.to_string()));
        }
        pairs
    }
}

/// The SHA-256 of a file's bytes, in lower-case hexadecimal.
///
/// # Errors
/// [`Error::Io`] if it cannot be read.
pub fn sha256_of(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io(path, "read"))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(Error::io(path, "read"))?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
