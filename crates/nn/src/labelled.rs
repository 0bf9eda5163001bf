use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// A picture with soft labels: one share a class.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// The picture's id in the table.
    pub id: String,
    /// The picture's file.
    pub path: PathBuf,
    /// One share a class, in the order of [`LabelledPictures::classes`].
    pub shares: Vec<f32>,
}

/// Pictures in a folder with soft labels in a CSV table: `image_id`, then one share a class.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledPictures {
    /// The classes as the table's header names them.
    pub classes: Vec<String>,
    /// The pictures in table order.
    pub rows: Vec<Labelled>,
}

impl LabelledPictures {
    /// Reads the table; pictures are `<image_id>.jpg`, `.jpeg` or `.png` in `folder`.
    ///
    /// # Errors
    /// [`Error::Content`] naming the file and line that is not of this form, or the picture that is not there.
    pub fn read(csv: &Path, folder: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(csv).map_err(contract::Error::io(csv, "read"))?;
        let bad = |want: String, got: String| Error::Content { path: csv.into(), want, got };
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let header: Vec<&str> =
            lines.next().map(|(_, line)| line.split(',').map(str::trim).collect()).unwrap_or_default();
        let Some((&"image_id", names)) = header.split_first().filter(|(_, names)| names.len() > 1) else {
            return Err(bad("a header image_id,class,class,…".into(), format!("`{}`", header.join(","))));
        };
        let classes: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut rows = Vec::new();
        for (i, line) in lines {
            let (id, shares) = line.split_once(',').unwrap_or((line, ""));
            let shares: Option<Vec<f32>> = shares.split(',').map(|s| s.trim().parse().ok()).collect();
            let fits = |s: &Vec<f32>| s.len() == classes.len() && s.iter().all(|v| (0.0..=1.0).contains(v));
            let Some(shares) = shares.filter(fits) else {
                let want = format!("an id and {} shares from 0 to 1 on line {}", classes.len(), i + 1);
                return Err(bad(want, format!("`{line}`")));
            };
            let id = id.trim().to_owned();
            let file = |extension: &&str| folder.join(format!("{id}.{extension}"));
            let found = ["jpg", "jpeg", "png"].iter().map(file).find(|path| path.is_file());
            let Some(path) = found else {
                return Err(bad(
                    format!("a picture for line {}", i + 1),
                    format!("no {id}.jpg or .png in {}", folder.display()),
                ));
            };
            rows.push(Labelled { id, path, shares });
        }
        if rows.is_empty() {
            return Err(bad("labelled pictures".into(), "a table without rows".into()));
        }
        Ok(Self { classes, rows })
    }

    /// The place of a class.
    ///
    /// # Errors
    /// [`Error::Unfit`] naming the classes that there are.
    pub fn class(&self, name: &str) -> Result<usize> {
        let at = self.classes.iter().position(|class| class == name);
        at.ok_or_else(|| {
            Error::Unfit(format!("want one of the classes {}, got {name}", self.classes.join(", ")))
        })
    }
}
