//! A scene to tiles: square pictures of 8 bits with their place on the ground and their share of data, one Parquet a granule.
//!
//! Rows of tiles are shared among MPI ranks; any number of ranks, and a run without `mpirun`, makes the same bytes. A row of tiles is
//! in memory at a time. A tile with too little data is a row with a reason and no pixels.
//!
//! Scenes of 8 bits pass unchanged. Scenes of 16-bit reflectance become 8 bits by the rule of Sentinel-2's own true-colour image, which looks
//! dim but means the same in every scene; its tiles resemble the pictures that judges were trained on (mean of the demo scene 57, 69, 85 in red,
//! green, blue and 16, 12, 9 within a tile; of 200 of the labelled pictures 66, 75, 84 and 18, 12, 10). `--render stretch` shows more to an eye,
//! a scene at a time, and reads the scene twice. What is no data: the file's own value, or black (`--black-max`) in all bands,
//! because some published scenes carry no value and JPEG makes their black a few counts bright.
//!
//! Promises. Process killed, machine lost power, disk full: the old file stays or the new one is whole. A rank that fails or dies ends all of them.
//!
//! Left out: clouds, overlapping windows, reprojection.

mod layout;
mod render;
mod split;

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use contract::{GranuleId, Made, Tile, TileId, TileWriter, TilesMeta};
use ranks::World;
use raster::{Crs, Dtype, Source, transform_points};
use stage::{Ledger, Progress};
use tracing::info;

pub use layout::Edge;
pub use render::Render;

use layout::Axis;
use render::{DN_PER_REFLECTANCE, N_LEVELS, Ramp};
use split::{Cut, Plan, cut_row, from_bytes, to_bytes};

/// Bands that make a natural picture, by the names that scenes give them; the first set that a scene has is used.
const NATURAL: [[&str; 3]; 2] = [["red", "green", "blue"], ["B04", "B03", "B02"]];

/// Flags of the program.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The scene: a GeoTIFF of 8 or 16 bits in a projected system
    #[arg(long, value_name = "FILE")]
    scene: PathBuf,
    /// Granule, such as T18SVG
    #[arg(long, value_name = "ID")]
    granule: GranuleId,
    /// Pixels on a tile's side
    #[arg(long, value_name = "PX", default_value_t = 343, value_parser = clap::value_parser!(u32).range(1..=4096))]
    tile_px: u32,
    /// What happens to pixels that do not fill a tile
    #[arg(long, value_enum, default_value_t = Edge::Drop)]
    edge: Edge,
    /// A tile with a smaller share of data gets a reason and no pixels
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = stage::share)]
    min_valid_share: f64,
    /// Bands in the order of the tiles, by name [default: red,green,blue or B04,B03,B02]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    bands: Vec<String>,
    /// How 16-bit reflectance becomes 8 bits
    #[arg(long, value_enum, default_value_t = Render::Tci)]
    render: Render,
    /// The reflectance that becomes 255 with --render tci
    #[arg(long, value_name = "SHARE", default_value_t = 0.3558, value_parser = stage::share)]
    max_reflectance_share: f64,
    /// Pixels up to this number in all bands have no data
    #[arg(long, value_name = "DN", default_value_t = 0)]
    black_max: u16,
    /// The tiles
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Splits the scene, on as many ranks as there are.
///
/// # Errors
/// If the scene is no projected 8- or 16-bit raster, lacks a band, is smaller than a tile or damaged, or the output cannot be written.
pub fn run(args: Args) -> anyhow::Result<Ledger> {
    ranks::run(|world| split(world, &args))
}

fn split(world: &World, args: &Args) -> anyhow::Result<Ledger> {
    let scene = Source::open(&args.scene)?;
    let (bands, names) = bands(args, &scene)?;
    let plan = plan(world, args, &scene, bands)?;
    let meta = meta(args, &scene, &plan, names)?;
    let n_pixels = meta.tile_bytes();
    let mut output = world.is_root().then(|| Output::begin(args, &scene, &plan, &meta)).transpose()?;
    world.in_order(
        plan.rows.n_tiles,
        |row| Ok(to_bytes(&cut_row(&scene, &plan, row)?)),
        |row, bytes| {
            let cuts = from_bytes(&bytes, n_pixels).context("a row of tiles was lost between ranks")?;
            output.as_mut().context("only the first rank takes rows")?.push(row, cuts)
        },
    )?;
    output.map_or_else(|| Ok(Ledger::default()), Output::finish)
}

fn bands(args: &Args, scene: &Source) -> anyhow::Result<(Vec<usize>, Vec<String>)> {
    let found = scene.band_names();
    let number = |name: &str| found.iter().position(|f| f == name).map(|index| index + 1);
    let natural = NATURAL.iter().find(|set| set.iter().all(|name| number(name).is_some()));
    let wanted: Vec<String> = match natural {
        _ if !args.bands.is_empty() => args.bands.clone(),
        Some(set) => set.map(str::to_owned).to_vec(),
        None => NATURAL[1].map(str::to_owned).to_vec(),
    };
    let numbers: Option<Vec<_>> = wanted.iter().map(|name| number(name)).collect();
    let numbers = numbers.with_context(|| {
        format!(
            "{}: want bands {}, found {}; name others with --bands",
            args.scene.display(),
            wanted.join(","),
            found.join(",")
        )
    })?;
    Ok((numbers, wanted))
}

fn plan(world: &World, args: &Args, scene: &Source, bands: Vec<usize>) -> anyhow::Result<Plan> {
    let path = args.scene.display();
    let grid = scene.grid();
    let side = args.tile_px as usize;
    let (rows, cols) = (Axis::lay(grid.height, side, args.edge), Axis::lay(grid.width, side, args.edge));
    ensure!(
        rows.n_tiles > 0 && cols.n_tiles > 0,
        "{path}: want at least one tile of {side} x {side} pixels, found a scene of {} x {}; choose a smaller --tile-px or --edge pad",
        grid.height,
        grid.width
    );
    let tables = match scene.dtype() {
        Dtype::U8 => Vec::new(),
        Dtype::U16 => ramps(world, args, scene, &bands)?.iter().map(Ramp::table).collect(),
        other => bail!("{path}: want pixels of u8 or u16, found {other}"),
    };
    Ok(Plan {
        rows,
        cols,
        bands,
        tables,
        nodata: scene.nodata(),
        black_max: f64::from(args.black_max),
        min_valid_share: args.min_valid_share,
    })
}

fn ramps(world: &World, args: &Args, scene: &Source, bands: &[usize]) -> anyhow::Result<Vec<Ramp>> {
    if args.render == Render::Tci {
        return Ok(vec![Ramp::between(0.0, args.max_reflectance_share * DN_PER_REFLECTANCE); bands.len()]);
    }
    let grid = scene.grid();
    let (block_height, _) = scene.block_shape()?;
    let mut counts = vec![0u64; bands.len() * N_LEVELS];
    let strips: Vec<_> = (0..grid.height).step_by(block_height.max(1)).collect();
    for row in strips.into_iter().skip(world.rank()).step_by(world.size()) {
        let height = block_height.min(grid.height - row);
        for (&band, counts) in bands.iter().zip(counts.chunks_exact_mut(N_LEVELS)) {
            let pixels = scene.read_window::<u16>(band, row, 0, height, grid.width)?;
            pixels.iter().for_each(|dn| counts[usize::from(*dn)] += 1);
        }
    }
    Ok(world.sum(&counts).chunks_exact(N_LEVELS).map(Ramp::of_histogram).collect())
}

fn meta(args: &Args, scene: &Source, plan: &Plan, bands: Vec<String>) -> anyhow::Result<TilesMeta> {
    let grid = scene.grid();
    let (width, height) = (grid.transform.pixel_width, grid.transform.pixel_height);
    ensure!(
        !grid.crs.is_geographic() && (width - height).abs() < 1e-6 * width,
        "{}: want square pixels in metres, found {width} x {height} in {}; reproject the scene with gdalwarp",
        args.scene.display(),
        grid.crs.to_text()
    );
    Ok(TilesMeta {
        granule: args.granule.to_string(),
        crs: grid.crs.to_text(),
        tile_px: args.tile_px,
        pixel_m: width,
        n_rows: plan.rows.n_tiles as u32,
        n_cols: plan.cols.n_tiles as u32,
        bands,
    })
}

/// The table in the making, on the first rank.
struct Output<'a> {
    scene: &'a Source,
    plan: &'a Plan,
    writer: TileWriter,
    ledger: Ledger,
    progress: Progress,
    too_little: String,
    wgs84: Crs,
}

impl<'a> Output<'a> {
    fn begin(args: &Args, scene: &'a Source, plan: &'a Plan, meta: &TilesMeta) -> anyhow::Result<Self> {
        let made = Made::by("granule-split-mpi")
            .flag("granule", args.granule.as_str())
            .flag("tile-px", args.tile_px)
            .flag("edge", format!("{:?}", args.edge).to_lowercase())
            .flag("min-valid-share", args.min_valid_share)
            .flag("bands", &meta.bands)
            .flag("render", format!("{:?}", args.render).to_lowercase())
            .flag("max-reflectance-share", args.max_reflectance_share)
            .flag("black-max", args.black_max)
            .input(&args.scene)?;
        let (rows, cols) = (&plan.rows, &plan.cols);
        info!(
            "{} x {} tiles of {} px; {} px in the south and {} px in the east are in no tile",
            rows.n_tiles,
            cols.n_tiles,
            rows.tile_px,
            rows.lost_px(),
            cols.lost_px()
        );
        Ok(Self {
            scene,
            plan,
            writer: TileWriter::begin(&args.out, meta, &made)?,
            ledger: Ledger::of("tiles", rows.n_tiles * cols.n_tiles),
            progress: Progress::over("tile rows", rows.n_tiles),
            too_little: format!("valid share under {}", args.min_valid_share),
            wgs84: Crs::wgs84()?,
        })
    }

    fn push(&mut self, row: usize, cuts: Vec<Cut>) -> anyhow::Result<()> {
        let (lon_deg, lat_deg) = self.centres(row)?;
        let mut tiles = Vec::with_capacity(cuts.len());
        for (col, cut) in cuts.into_iter().enumerate() {
            let bounds = self.tile_grid(row, col).bounds();
            let skipped = match &cut.pixels {
                Some(_) => None,
                None if cut.valid_share == 0.0 => Some("no data".to_owned()),
                None => Some(self.too_little.clone()),
            };
            match &skipped {
                Some(reason) => self.ledger.skip(reason),
                None => self.ledger.ok(1),
            }
            tiles.push(Tile {
                tile: TileId { row: row as u32, col: col as u32 },
                west_m: bounds.west,
                south_m: bounds.south,
                east_m: bounds.east,
                north_m: bounds.north,
                lon_deg: lon_deg[col],
                lat_deg: lat_deg[col],
                valid_share: cut.valid_share,
                skipped,
                pixels: cut.pixels,
            });
        }
        self.progress.add(1);
        Ok(self.writer.push_row(&tiles)?)
    }

    fn finish(self) -> anyhow::Result<Ledger> {
        self.writer.finish()?;
        Ok(self.ledger)
    }

    fn tile_grid(&self, row: usize, col: usize) -> raster::Grid {
        let (rows, cols) = (&self.plan.rows, &self.plan.cols);
        self.scene.grid().window(rows.start(row) as i64, cols.start(col) as i64, rows.tile_px, cols.tile_px)
    }

    /// Longitudes and latitudes of the centres of a row of tiles.
    fn centres(&self, row: usize) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
        let centre = |col| {
            let bounds = self.tile_grid(row, col).bounds();
            ((bounds.west + bounds.east) / 2.0, (bounds.south + bounds.north) / 2.0)
        };
        let (mut x, mut y): (Vec<f64>, Vec<f64>) = (0..self.plan.cols.n_tiles).map(centre).unzip();
        transform_points(&self.scene.grid().crs, &self.wgs84, &mut x, &mut y)?;
        Ok((x, y))
    }
}
