//! What the program is asked to do: its flags, and the granules they name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use contract::GranuleId;

use crate::layout::Edge;
use crate::render::Render;

/// Flags of the program.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The scene: a GeoTIFF of bytes or reflectance in a projected system; several granules: once each, as --granule and --out
    #[arg(long, value_name = "FILE", required_unless_present = "scenes")]
    scene: Vec<PathBuf>,
    /// Granule, such as T18SVG
    #[arg(long, value_name = "ID", required_unless_present = "scenes")]
    granule: Vec<GranuleId>,
    /// Scene classification of Sentinel-2 (classes 0 to 11) on the same corner, for the cloud share of tiles
    #[arg(long, value_name = "FILE")]
    scl: Vec<PathBuf>,
    /// Many granules: a table of tab-separated granule, scene, out and, if there is one, scl; lines with # are left out
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scene", "granule", "scl", "out"])]
    scenes: Option<PathBuf>,
    /// Pixels on a tile's side
    #[arg(long, value_name = "PX", default_value_t = 343, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub tile_px: u32,
    /// What happens to pixels that do not fill a tile
    #[arg(long, value_enum, default_value_t = Edge::Drop)]
    pub edge: Edge,
    /// A tile with a smaller share of data gets a reason and no pixels
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = stage::share)]
    pub min_valid_share: f64,
    /// A tile with a larger share of cloud gets a reason and no pixels; needs --scl [default: none does]
    #[arg(long, value_name = "SHARE", value_parser = stage::share)]
    pub max_cloud_share: Option<f64>,
    /// Bands in the order of the tiles, by name or, counted from 1, by number [default: red,green,blue or B04,B03,B02]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub bands: Vec<String>,
    /// Reflectance of a step of the scene's numbers [default: what the file says, else 0.0001 for 16 bits and 1 for floats]
    #[arg(long, value_name = "FACTOR", value_parser = stage::positive)]
    pub scale: Option<f64>,
    /// What is added to the scaled numbers, such as -0.1 for ESA's Sentinel-2 since 2022
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, allow_negative_numbers = true, requires = "scale", value_parser = finite)]
    pub offset: f64,
    /// How reflectance becomes 8 bits
    #[arg(long, value_enum, default_value_t = Render::Tci)]
    pub render: Render,
    /// The reflectance that becomes 255 with --render tci
    #[arg(long, value_name = "SHARE", default_value_t = 0.3558, value_parser = stage::share)]
    pub max_reflectance_share: f64,
    /// Pixels up to this number in all bands have no data; of floats, in steps of 0.0001
    #[arg(long, value_name = "DN", default_value_t = 0)]
    pub black_max: u16,
    /// Threads that compute, a rank [default: the processors of a host, shared among its ranks]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Also write each tile as a PNG for people into this folder, named as in the study
    #[arg(long, value_name = "FOLDER")]
    pub png: Option<PathBuf>,
    /// Also write each tile as a GeoTIFF into this folder, named alike
    #[arg(long, value_name = "FOLDER")]
    pub tif: Option<PathBuf>,
    /// Also write an index of all tiles with their outlines: GeoParquet, for QGIS, DuckDB, GeoPandas
    #[arg(long, value_name = "FILE")]
    pub index_out: Option<PathBuf>,
    /// The tiles
    #[arg(long, value_name = "FILE", required_unless_present = "scenes")]
    out: Vec<PathBuf>,
}

/// One granule to split.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id.
    pub granule: GranuleId,
    /// Its scene.
    pub scene: PathBuf,
    /// Its scene classification.
    pub scl: Option<PathBuf>,
    /// Where its tiles go.
    pub out: PathBuf,
}

impl Args {
    /// Whether a run is one of several granules: then a granule that is made already is skipped, and a bad one does not stop the others.
    pub fn many(&self) -> bool {
        self.scenes.is_some() || self.scene.len() > 1
    }

    /// The granules, in the order in which they were named.
    ///
    /// # Errors
    /// If flags or the table do not name whole granules, or two granules have one name or one output.
    pub fn jobs(&self) -> anyhow::Result<Vec<Job>> {
        let jobs = match &self.scenes {
            Some(table) => read_table(table)?,
            None => self.flagged()?,
        };
        let (mut granules, mut outs) = (BTreeSet::new(), BTreeSet::new());
        for job in &jobs {
            // File systems exist that do not tell a from A, and the names of exported pictures begin with the granule.
            let fresh = granules.insert(job.granule.as_str().to_ascii_lowercase());
            ensure!(fresh, "want each granule once, found {} again; leave one out", job.granule);
            ensure!(outs.insert(&job.out), "want an output a granule, found {} twice", job.out.display());
            let known = self.max_cloud_share.is_none() || job.scl.is_some();
            ensure!(known, "want a --scl for --max-cloud-share, found none for {}; give both", job.granule);
        }
        Ok(jobs)
    }

    fn flagged(&self) -> anyhow::Result<Vec<Job>> {
        let (n, n_scl) = (self.scene.len(), self.scl.len());
        ensure!(
            self.granule.len() == n && self.out.len() == n && [0, n].contains(&n_scl),
            "want as many --granule and --out as --scene, and --scl for all or none, found {} granules, {} outs, {n} scenes, {n_scl} scls; \
             repeat them together or use --scenes",
            self.granule.len(),
            self.out.len(),
        );
        let job = |i: usize| Job {
            granule: self.granule[i].clone(),
            scene: self.scene[i].clone(),
            scl: self.scl.get(i).cloned(),
            out: self.out[i].clone(),
        };
        Ok((0..n).map(job).collect())
    }
}

fn finite(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| format!("want a number, got {text}"))
}

fn read_table(path: &Path) -> anyhow::Result<Vec<Job>> {
    let text = std::fs::read_to_string(path).map_err(contract::Error::io(path, "read"))?;
    let lines =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let jobs: Vec<Job> = lines
        .map(|(i, line)| parse(line).with_context(|| format!("{}: line {}", path.display(), i + 1)))
        .collect::<anyhow::Result<_>>()?;
    ensure!(
        !jobs.is_empty(),
        "{}: want at least one granule, found none; add lines to the table",
        path.display()
    );
    Ok(jobs)
}

fn parse(line: &str) -> anyhow::Result<Job> {
    let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
    let (granule, scene, out, scl) = match fields[..] {
        [granule, scene, out] => (granule, scene, out, ""),
        [granule, scene, out, scl] => (granule, scene, out, scl),
        _ => bail!(
            "want granule, scene, out and maybe scl between tabs, found {} fields; mend the line",
            fields.len()
        ),
    };
    ensure!(
        !scene.is_empty() && !out.is_empty(),
        "want a scene and an out, found an empty field; mend the line"
    );
    Ok(Job {
        granule: granule.parse()?,
        scene: scene.into(),
        scl: (!scl.is_empty()).then(|| scl.into()),
        out: out.into(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_names_a_granule_with_or_without_its_classification() {
        let job = parse("T48RVV\ta.tif\tb.parquet").unwrap();
        assert_eq!((job.granule.as_str(), job.scl), ("T48RVV", None));
        assert_eq!(parse("T48RVV\ta.tif\tb.parquet\tc.tif").unwrap().scl, Some("c.tif".into()));
        for bad in ["T48RVV", "../x\ta\tb", "T48RVV\t\tb", "a\tb\tc\td\te"] {
            assert!(parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}
