//! Fills the map of each granule on an NVIDIA card, and measures how fast.
//!
//! `fill` writes what `heatmap-stitch map --keep-offsets` writes of one granule alone, computed by `kernels/score_fill.cu`; `bench` times that kernel
//! beside the study's (one thread a tile) and a plain fill of the card's memory, after holding its pixels against the processor's.
//!
//! Linked with the driver's libcuda.so.1: where that is missing the loader says so and the program does not start. It has run on no card yet; what a
//! card would compute is tested on the processor, see `tests/kernel.rs`.

// A kernel is started through a foreign call: that it writes only where it may is shown by tests/kernel.rs, not by the compiler.
#![allow(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use cust::context::{Context, CurrentContext};
use cust::device::Device;
use cust::error::CudaError;
use cust::launch;
use cust::memory::{CopyDestination as _, DeviceBuffer};
use cust::module::Module;
use cust::stream::{Stream, StreamFlags};
use heatmap_stitch::card::{BANDS, Tables};
use heatmap_stitch::layer::{Layer, Patch};
use heatmap_stitch::stitch::{grid_around, stitch};
use heatmap_stitch::{read_granules, write_granule};
use raster::Crs;

const PTX: &str = include_str!("../../../../kernels/score_fill.ptx");

/// Threads of a block: 2 KB of a row of pixels at a time.
const THREADS: usize = 128;

/// Flags of heatmap-fill-cuda.
#[derive(clap::Args, Debug)]
struct Args {
    /// The card
    #[arg(long, default_value_t = 0, global = true)]
    card: u32,
    #[command(subcommand)]
    task: Task,
}

#[derive(clap::Subcommand, Debug)]
enum Task {
    /// Write the map of each granule, as it was scored
    Fill(FillArgs),
    /// Time the kernel beside the study's and a plain fill: a line of JSON for each number of granules
    Bench(BenchArgs),
}

#[derive(clap::Args, Debug)]
struct FillArgs {
    /// A table of scores, as stage3-train writes it; repeat for more granules
    #[arg(long, value_name = "PARQUET", required = true)]
    scores: Vec<PathBuf>,
    /// Side of a pixel in metres
    #[arg(long, value_name = "M", value_parser = stage::positive)]
    pixel_m: f64,
    /// The folder to write maps to, a granule a file
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

#[derive(clap::Args, Debug)]
struct BenchArgs {
    /// Granules of 32 x 32 tiles to fill in one launch; repeat for more rows
    #[arg(long, value_name = "N", default_values_t = [1, 6, 15])]
    granules: Vec<usize>,
    /// Pixels along a tile
    #[arg(long, value_name = "N", default_value_t = 343)]
    tile_px: usize,
    /// Launches that are timed together
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
}

fn main() -> ExitCode {
    stage::main(|args: Args| {
        let card = Card::open(args.card)?;
        match &args.task {
            Task::Fill(args) => fill(&card, args),
            Task::Bench(args) => bench(&card, args),
        }
    })
}

fn fill(card: &Card, args: &FillArgs) -> anyhow::Result<stage::Ledger> {
    let granules = read_granules(&args.scores)?;
    let mut ledger = stage::Ledger::of("granules", granules.len());
    for granule in &granules {
        let grid = grid_around(&granule.patches, args.pixel_m, &granule.crs).with_context(|| {
            format!("granule {}: too large for pixels of {} m", granule.name, args.pixel_m)
        })?;
        let tables = Tables::of(&[(&granule.layer, &grid)], BANDS)
            .with_context(|| format!("granule {}: more cells than the kernel counts", granule.name))?;
        let pixels = card.filled(&tables)?;
        let band = |band: usize| &pixels[tables.first_pixel(band)..][..grid.len()];
        let path = args.out.join(format!("{}.tif", granule.name));
        write_granule(&path, &grid, std::array::from_fn(band), granule, &args.scores)?;
        ledger.ok(1);
    }
    Ok(ledger)
}

fn bench(card: &Card, args: &BenchArgs) -> anyhow::Result<stage::Ledger> {
    const TILES: usize = 32;
    let mut ledger = stage::Ledger::of("runs", args.granules.len());
    let crs = Crs::from_epsg(32_648)?;
    let patches: Vec<Patch> = (0..TILES * TILES).map(|i| patch(i, TILES, args.tile_px)).collect();
    let grid = grid_around(&patches, PIXEL_M, &crs).context("--tile-px: the granule is too large")?;
    let layer = Layer::of(&patches);
    let wanted = stitch(&patches, &grid).score_share;
    for &n in &args.granules {
        let tables = Tables::of(&vec![(&layer, &grid); n], 1).context("--granules: too many")?;
        let timed = card.timed(&tables, &wanted, (TILES, args.tile_px), args.repeats)?;
        let bytes = n * grid.len() * size_of::<f32>();
        println!(
            r#"{{"job": "fill_cuda", "granules": {n}, "bytes": {bytes}, "seconds": {:.6}, "study_seconds": {:.6}, "memset_seconds": {:.6}, "gb_per_s": {:.1}}}"#,
            timed.kernel_s,
            timed.study_s,
            timed.memset_s,
            bytes as f64 / timed.kernel_s / 1e9
        );
        ledger.ok(1);
    }
    Ok(ledger)
}

const PIXEL_M: f64 = 10.0;

fn patch(i: usize, tiles: usize, tile_px: usize) -> Patch {
    let side_m = tile_px as f64 * PIXEL_M;
    let (west_m, north_m) =
        (399_960.0 + (i % tiles) as f64 * side_m, 3_500_040.0 - (i / tiles) as f64 * side_m);
    let score_share = Some((i * 37 % 101) as f64 / 100.0);
    let (south_m, east_m) = (north_m - side_m, west_m + side_m);
    Patch { west_m, north_m, south_m, east_m, score_share, sd_share: None, outside: None }
}

/// A card with the kernels on it.
struct Card {
    module: Module,
    stream: Stream,
    // The last to be dropped: the others live in it.
    _context: Context,
}

/// Seconds of one launch, the mean of many.
struct Timed {
    kernel_s: f64,
    study_s: f64,
    memset_s: f64,
}

/// Tables on the card, and room for the pixels.
struct OnCard {
    granules: DeviceBuffer<u32>,
    rows: DeviceBuffer<u16>,
    columns: DeviceBuffer<u16>,
    cells: DeviceBuffer<f32>,
    pixels: DeviceBuffer<f32>,
}

impl Card {
    fn open(number: u32) -> anyhow::Result<Card> {
        let none = "want an NVIDIA card, found none; heatmap-stitch map gives the same pixels without one";
        cust::init(cust::CudaFlags::empty()).map_err(said).context(none)?;
        let device = Device::get_device(number).map_err(said).with_context(|| format!("--card {number}"))?;
        let context = Context::new(device).map_err(said)?;
        let module = Module::from_ptx(PTX, &[]).map_err(said);
        let module = module.context("kernels/score_fill.ptx: want a driver that takes it")?;
        let stream = Stream::new(StreamFlags::DEFAULT, None).map_err(said)?;
        Ok(Card { module, stream, _context: context })
    }

    /// The pixels of all granules.
    fn filled(&self, tables: &Tables) -> anyhow::Result<Vec<f32>> {
        let on_card = OnCard::of(tables)?;
        self.launch(tables, &on_card)?;
        self.stream.synchronize().map_err(said)?;
        let mut pixels = vec![0.0; tables.n_pixels];
        on_card.pixels.copy_to(&mut pixels).map_err(said)?;
        Ok(pixels)
    }

    fn launch(&self, tables: &Tables, on_card: &OnCard) -> anyhow::Result<()> {
        let kernel = self.module.get_function("score_fill").map_err(said)?;
        let [x, y, z] = tables.blocks(THREADS);
        let stream = &self.stream;
        // Sound: the kernel has these five parameters, and the buffers hold what `tables` counts.
        unsafe {
            launch!(kernel<<<(x, y, z), THREADS as u32, 0, stream>>>(
                on_card.granules.as_device_ptr(),
                on_card.rows.as_device_ptr(),
                on_card.columns.as_device_ptr(),
                on_card.cells.as_device_ptr(),
                on_card.pixels.as_device_ptr()
            ))
        }
        .map_err(said)
    }

    /// The study's kernel: a thread a tile, blocks of a thousand.
    fn launch_study(
        &self,
        n: usize,
        (tiles, tile_px): (usize, usize),
        cells: &DeviceBuffer<f32>,
        pixels: &DeviceBuffer<f32>,
    ) -> anyhow::Result<()> {
        let kernel = self.module.get_function("score_fill_one_thread_a_tile").map_err(said)?;
        let stream = &self.stream;
        // Sound: the kernel has these four parameters, and each granule has tiles² cells and (tiles * tile_px)² pixels.
        unsafe {
            launch!(kernel<<<(1, n as u32, 1), 1024, 0, stream>>>(
                tiles as u32,
                tile_px as u32,
                cells.as_device_ptr(),
                pixels.as_device_ptr()
            ))
        }
        .map_err(said)
    }

    fn timed(
        &self,
        tables: &Tables,
        wanted: &[f32],
        (tiles, tile_px): (usize, usize),
        repeats: u32,
    ) -> anyhow::Result<Timed> {
        let n = tables.granules.len();
        let mut on_card = OnCard::of(tables)?;
        // One score a tile, as the study's kernel reads it.
        let corner = |i: usize| wanted[i / tiles * tile_px * tiles * tile_px + i % tiles * tile_px];
        let cells: Vec<f32> = (0..n * tiles * tiles).map(|i| corner(i % (tiles * tiles))).collect();
        let cells = DeviceBuffer::from_slice(&cells).map_err(said)?;
        let kernel_s = self.seconds(repeats, || self.launch(tables, &on_card))?;
        self.same(&on_card.pixels, wanted, "score_fill")?;
        on_card.pixels.set_32(0).map_err(said)?;
        let study_s =
            self.seconds(repeats, || self.launch_study(n, (tiles, tile_px), &cells, &on_card.pixels))?;
        self.same(&on_card.pixels, wanted, "score_fill_one_thread_a_tile")?;
        let memset_s = self.seconds(repeats, || on_card.pixels.set_32(0x3f00_0000).map_err(said))?;
        Ok(Timed { kernel_s, study_s, memset_s })
    }

    /// Mean seconds of a job, after one that warms up.
    fn seconds(&self, repeats: u32, mut job: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
        job()?;
        CurrentContext::synchronize().map_err(said)?;
        let begun = Instant::now();
        for _ in 0..repeats {
            job()?;
        }
        CurrentContext::synchronize().map_err(said)?;
        Ok(begun.elapsed().as_secs_f64() / f64::from(repeats))
    }

    /// Refuses pixels that are not those of the processor, granule by granule.
    fn same(&self, pixels: &DeviceBuffer<f32>, wanted: &[f32], kernel: &str) -> anyhow::Result<()> {
        CurrentContext::synchronize().map_err(said)?;
        let mut found = vec![0.0; wanted.len()];
        for granule in 0..pixels.len() / wanted.len() {
            pixels
                .index(granule * wanted.len()..(granule + 1) * wanted.len())
                .copy_to(&mut found)
                .map_err(said)?;
            let equal = found.iter().zip(wanted).all(|(a, b)| a.to_bits() == b.to_bits());
            ensure!(equal, "{kernel}: want the processor's pixels, found others in granule {granule}");
        }
        Ok(())
    }
}

impl OnCard {
    fn of(tables: &Tables) -> anyhow::Result<OnCard> {
        let bytes = tables.n_pixels * size_of::<f32>();
        let room = || format!("want room for {bytes} bytes of pixels on the card; fill fewer granules");
        Ok(OnCard {
            granules: DeviceBuffer::from_slice(tables.granules.as_flattened()).map_err(said)?,
            rows: DeviceBuffer::from_slice(&tables.rows).map_err(said)?,
            columns: DeviceBuffer::from_slice(&tables.columns).map_err(said)?,
            cells: DeviceBuffer::from_slice(&tables.cells).map_err(said)?,
            pixels: DeviceBuffer::zeroed(tables.n_pixels).map_err(said).with_context(room)?,
        })
    }
}

/// An error of the driver by its name: its words come from the driver, which may have none.
fn said(error: CudaError) -> anyhow::Error {
    anyhow::anyhow!("the driver says {error:?}")
}
