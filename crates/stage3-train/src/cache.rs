//! Features that were computed before: a frozen backbone says the same of the same picture, so it need not look twice.
//!
//! A file is named by the hash of all that shapes its content (tiles, clusters, order, weights, sight), and carries a hash of its own, so a
//! damaged one is computed again. Left out: throwing old files away; a person empties the folder.

use contract::file;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Where features are kept, and under which name.
pub struct Cache {
    path: PathBuf,
}

impl Cache {
    /// The place of the features that `of` describes.
    pub fn at(folder: &Path, of: &str) -> Self {
        let name: String = Sha256::digest(of.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { path: folder.join(format!("{name}.features")) }
    }

    /// The features, if they are there and whole. `[light][sample][feature]`
    pub fn read(&self, n_lights: usize, n_samples: usize) -> Option<Vec<Vec<Vec<f32>>>> {
        let bytes = std::fs::read(&self.path).ok()?;
        let (hash, body) = bytes.split_at_checked(32)?;
        let n_rows = n_lights * n_samples;
        if Sha256::digest(body).as_slice() != hash || n_rows == 0 || !body.len().is_multiple_of(4 * n_rows) {
            return None;
        }
        let numbers: Vec<f32> = body.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let rows: Vec<Vec<f32>> = numbers.chunks(numbers.len() / n_rows).map(<[f32]>::to_vec).collect();
        Some(rows.chunks(n_samples).map(<[Vec<f32>]>::to_vec).collect())
    }

    /// Keeps features.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, features: &[Vec<Vec<f32>>]) -> contract::Result<()> {
        let body: Vec<u8> = features.iter().flatten().flatten().flat_map(|v| v.to_le_bytes()).collect();
        let hash = Sha256::digest(&body);
        file::write(&self.path, &[hash.as_slice(), &body].concat())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn features_come_back_as_they_were_and_a_damaged_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path(), "these");
        let features: Vec<Vec<Vec<f32>>> = (0..2)
            .map(|l| (0..3).map(|s| (0..5).map(|f| (l * 100 + s * 10 + f) as f32).collect()).collect())
            .collect();
        assert_eq!(cache.read(2, 3), None);
        cache.write(&features).unwrap();
        assert_eq!(cache.read(2, 3), Some(features));
        assert_eq!(Cache::at(dir.path(), "others").read(2, 3), None);
        let path = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(cache.read(2, 3), None);
    }
}
