//! A granule's scene, opened, with the plan of its tiles. Every rank makes the same plan from the same flags and file.

use anyhow::{Context, bail, ensure};
use contract::{Made, TileId, TilesMeta};
use raster::{Crs, Dtype, Grid, Scaling, Source, transform_points};

use crate::cloud::Classes;
use crate::flags::{Args, Job};
use crate::layout::Axis;
use crate::reflectance::{DN_PER_REFLECTANCE, Reflectance, SaidBy};
use crate::render::{Ramp, Render};

/// Bands that make a natural picture, by the names that scenes give them; the first set that a scene has is used.
const NATURAL: [[&str; 3]; 2] = [["red", "green", "blue"], ["B04", "B03", "B02"]];

/// The least height of what is read at once, in pixels: files of lower blocks are read several blocks at a time.
const MIN_UNIT_PX: usize = 256;

/// The longest item id that becomes part of a file's name, in bytes.
const MAX_ITEM_BYTES: usize = 128;

/// A scene and how it is cut.
#[derive(Debug)]
pub struct Scene {
    /// The open file.
    pub source: Source,
    /// Its classification.
    pub classes: Option<Classes>,
    /// Tiles from north to south.
    pub rows: Axis,
    /// Tiles from west to east.
    pub cols: Axis,
    /// Bands of the scene in the order of the tiles, counted from 1.
    pub bands: Vec<usize>,
    /// Lines that are read at once: whole blocks.
    pub unit_px: usize,
    /// Columns that are read at once: whole blocks.
    pub block_px: usize,
    /// What all tiles share.
    pub meta: TilesMeta,
    /// How its numbers become reflectance; none for a picture of 8 bits.
    pub reflectance: Option<Reflectance>,
    /// Numbers up to this one count as no data where all bands are that dark.
    pub black_max: u16,
    /// A tile with less data gets no pixels.
    pub min_valid_share: f64,
    /// A tile with more cloud gets no pixels.
    pub max_cloud_share: Option<f64>,
    /// How exported pictures of it are named.
    pub name: String,
    wgs84: Crs,
}

impl Scene {
    /// Opens a job's scene and plans its tiles.
    ///
    /// # Errors
    /// If it is no projected raster of bytes or reflectance, lacks a band or is smaller than a tile, or its classification does not lie on it.
    pub fn open(args: &Args, job: &Job) -> anyhow::Result<Self> {
        let source = Source::open(&job.scene)?;
        let (bands, names) = bands(args, &source)?;
        let reflectance = Reflectance::of(args, &source, &bands)?;
        let source = match &reflectance {
            Some(Reflectance { of_band, said_by }) if *said_by != SaidBy::File => {
                source.with_scaling(of_band[0])
            }
            _ => source,
        };
        let (path, grid) = (job.scene.display(), source.grid());
        let side = args.tile_px as usize;
        let (rows, cols) = (Axis::lay(grid.height, side, args.edge), Axis::lay(grid.width, side, args.edge));
        ensure!(
            rows.n_tiles > 0 && cols.n_tiles > 0,
            "{path}: want at least one tile of {side} x {side} pixels, found a scene of {} x {}; choose a smaller --tile-px or --edge pad",
            grid.height,
            grid.width
        );
        let (block_height, block_px) = source.block_shape()?;
        let block_height = block_height.max(1);
        let meta = meta(args, job, &source, (&rows, &cols), names)?;
        Ok(Self {
            classes: job.scl.as_ref().map(|path| Classes::open(path, grid)).transpose()?,
            rows,
            cols,
            bands,
            unit_px: block_height * MIN_UNIT_PX.div_ceil(block_height),
            block_px: block_px.max(1),
            meta,
            reflectance,
            black_max: args.black_max,
            min_valid_share: args.min_valid_share,
            max_cloud_share: args.max_cloud_share,
            name: export_name(job, source.tag("", "item")),
            wgs84: Crs::wgs84()?,
            source,
        })
    }

    /// Runs of block rows, from the north; the scene's last lines that are in no tile belong to none.
    pub fn n_units(&self) -> usize {
        (self.rows.scene_px - self.rows.lost_px()).div_ceil(self.unit_px)
    }

    /// Units to count for ramps: those of all lines.
    pub fn n_counted_units(&self) -> usize {
        self.rows.scene_px.div_ceil(self.unit_px)
    }

    /// The lines of a unit.
    pub fn unit(&self, unit: usize) -> (usize, usize) {
        let from = unit * self.unit_px;
        (from, (from + self.unit_px).min(self.rows.scene_px))
    }

    /// Whether the ramps of its bands depend on all of its pixels.
    pub fn stretches(&self, args: &Args) -> bool {
        self.source.dtype() != Dtype::U8 && args.render == Render::Stretch
    }

    /// The 8-bit values of every number, a band each, where ramps do not depend on pixels.
    pub fn fixed_ramps(&self, args: &Args) -> Vec<Ramp> {
        let top = args.max_reflectance_share;
        let in_steps = Ramp::between(0.0, top * DN_PER_REFLECTANCE);
        let ramp = |scaling: &Scaling| Ramp::between(scaling.undo(0.0), scaling.undo(top));
        match &self.reflectance {
            // The file's own numbers, by what flags or file say of them.
            Some(Reflectance { of_band, said_by: SaidBy::Flags | SaidBy::File }) if self.is_16_bit() => {
                of_band.iter().map(ramp).collect()
            }
            _ => vec![in_steps; self.bands.len()],
        }
    }

    fn is_16_bit(&self) -> bool {
        self.source.dtype() == Dtype::U16
    }

    /// The provenance of its tiles. Reads the whole input for its hash.
    ///
    /// # Errors
    /// If an input cannot be read.
    pub fn made(&self, args: &Args, job: &Job) -> anyhow::Result<Made> {
        let made = Made::by("granule-split-mpi")
            .flag("granule", job.granule.as_str())
            .flag("tile-px", args.tile_px)
            .flag("edge", format!("{:?}", args.edge).to_lowercase())
            .flag("min-valid-share", args.min_valid_share)
            .flag("max-cloud-share", args.max_cloud_share)
            .flag("bands", &self.meta.bands)
            .flag("render", format!("{:?}", args.render).to_lowercase())
            .flag("max-reflectance-share", args.max_reflectance_share)
            .flag("black-max", args.black_max);
        let made = match &self.reflectance {
            Some(reflectance) => made.flag("reflectance", reflectance.note()),
            None => made,
        };
        let made = made.input(&job.scene)?;
        Ok(match &job.scl {
            Some(scl) => made.input(scl)?,
            None => made,
        })
    }

    /// Where a tile lies.
    pub fn tile_grid(&self, tile: TileId) -> Grid {
        let (row, col) = (self.rows.start(tile.row as usize), self.cols.start(tile.col as usize));
        self.source.grid().window(row as i64, col as i64, self.rows.tile_px, self.cols.tile_px)
    }

    /// Longitudes and latitudes of the centres of a row of tiles.
    ///
    /// # Errors
    /// If the scene's system has no image on the globe there.
    pub fn centres(&self, row: usize) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
        let centre = |col| {
            let bounds = self.tile_grid(TileId { row: row as u32, col: col as u32 }).bounds();
            ((bounds.west + bounds.east) / 2.0, (bounds.south + bounds.north) / 2.0)
        };
        let (mut x, mut y): (Vec<f64>, Vec<f64>) = (0..self.cols.n_tiles).map(centre).unzip();
        transform_points(&self.source.grid().crs, &self.wgs84, &mut x, &mut y)?;
        Ok((x, y))
    }
}

/// Numbers and names of the bands of the tiles. A band of opacity is none of them unless it is asked for.
fn bands(args: &Args, scene: &Source) -> anyhow::Result<(Vec<usize>, Vec<String>)> {
    let (found, path) = (scene.band_names(), scene.path().display());
    let named = |name: &str| found.iter().position(|f| !f.is_empty() && f == name).map(|index| index + 1);
    // As a number where no band has that name.
    let counted = |text: &str| text.parse().ok().filter(|number| (1..=found.len()).contains(number));
    let number = |name: &str| named(name).or_else(|| counted(name));
    let natural = NATURAL.iter().find(|set| set.iter().all(|name| named(name).is_some()));
    let wanted: Vec<String> = match natural {
        _ if !args.bands.is_empty() => args.bands.clone(),
        Some(set) => set.map(str::to_owned).to_vec(),
        None => NATURAL[1].map(str::to_owned).to_vec(),
    };
    ensure!(
        wanted.iter().all(|name| !name.trim().is_empty()),
        "want a name or a number for each of --bands, found an empty one in {:?}; leave it out",
        wanted.join(",")
    );
    let numbers: Option<Vec<_>> = wanted.iter().map(|name| number(name)).collect();
    let numbers = numbers.with_context(|| {
        format!("{path}: want bands {}, found {}; {}", wanted.join(","), shown(&found), cure(&found))
    })?;
    let name = |(wanted, number): (String, &usize)| {
        let own = &found[number - 1];
        if own.is_empty() { wanted } else { own.clone() }
    };
    let names = wanted.into_iter().zip(&numbers).map(name).collect();
    Ok((numbers, names))
}

/// The names of bands, with the number of those that have none.
fn shown(names: &[String]) -> String {
    let n_unnamed = names.iter().filter(|name| name.is_empty()).count();
    if n_unnamed == names.len() {
        return format!("{n_unnamed} without names");
    }
    let shown = names.iter().map(|name| if name.is_empty() { "(no name)" } else { name });
    shown.collect::<Vec<_>>().join(",")
}

fn cure(names: &[String]) -> String {
    if names.len() < 3 {
        return "give a scene with these, or choose others by name or number with --bands".to_owned();
    }
    "choose red, green and blue by name or number, as --bands 3,2,1".to_owned()
}

fn meta(
    args: &Args,
    job: &Job,
    scene: &Source,
    (rows, cols): (&Axis, &Axis),
    bands: Vec<String>,
) -> anyhow::Result<TilesMeta> {
    let grid = scene.grid();
    let (width, height) = (grid.transform.pixel_width, grid.transform.pixel_height);
    if grid.crs.is_geographic() || (width - height).abs() >= 1e-6 * width {
        bail!(
            "{}: want square pixels in metres, found {width} x {height} in {}; reproject the scene with gdalwarp",
            job.scene.display(),
            grid.crs.to_text()
        );
    }
    Ok(TilesMeta {
        granule: job.granule.to_string(),
        crs: grid.crs.to_text(),
        tile_px: args.tile_px,
        pixel_m: width,
        n_rows: rows.n_tiles as u32,
        n_cols: cols.n_tiles as u32,
        bands,
    })
}

/// How the study names its pictures: the item, if the scene says it and it is safe in a file's name, else the granule. An item that does not
/// name its granule follows it, so that no two granules write the same names.
fn export_name(job: &Job, item: Option<String>) -> String {
    let granule = job.granule.as_str();
    let safe = |item: &String| {
        let bytes = item.as_bytes();
        let letters = bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        letters && (1..=MAX_ITEM_BYTES).contains(&bytes.len()) && !matches!(bytes[0], b'-' | b'.')
    };
    match item.filter(safe) {
        Some(item) if item.contains(granule) => item,
        Some(item) => format!("{granule}_{item}"),
        None => granule.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_picture_cannot_leave_its_folder() {
        let job = Job {
            granule: "T48RVV".parse().unwrap(),
            scene: "scene.tif".into(),
            scl: None,
            out: "tiles.parquet".into(),
        };
        let name = |item: &str| export_name(&job, Some(item.to_owned()));
        assert_eq!(name("S2B_MSIL2A_20230131T033959_R061_T48RVV"), "S2B_MSIL2A_20230131T033959_R061_T48RVV");
        assert_eq!(name("S2B_48RVV_20230131"), "T48RVV_S2B_48RVV_20230131");
        let long = format!("T48RVV{}", "a".repeat(300));
        for bad in
            ["", "../T48RVV", "/T48RVV", "T48RVV/x", "T48RVV\0", ".T48RVV", "-T48RVV", "T48RVV\\x", &long]
        {
            assert_eq!(name(bad), "T48RVV", "{bad:?}");
        }
        assert_eq!(export_name(&job, None), "T48RVV");
    }
}
