//! `region-report report`: reads, computes, writes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use contract::{HEATMAP, Made, RasterSpec};
use raster::{Declared, Nodata, Scaling, Source};

use crate::change::{Changes, changes};
use crate::export;
use crate::note::note;
use crate::official::{OfficialArgs, Repeats};
use crate::page::{Contents, PageArgs, write_page};
use crate::population::people;
use crate::table::{Budget, Known, Tables, Wanted, map_sums, means, tables};
use crate::zonal::Input;
use crate::zones::{Naming, Zones, ZonesArgs, read_zones};

/// Flags of `region-report report`.
#[derive(clap::Args, Debug)]
pub struct ReportArgs {
    /// The map, as heatmap-stitch writes it
    #[arg(long, value_name = "TIF")]
    pub(crate) heatmap: PathBuf,
    #[command(flatten)]
    zones: ZonesArgs,
    /// Attribute with a zone's name
    #[arg(long, value_name = "ATTRIBUTE")]
    zone_name: Option<String>,
    /// Attribute with a zone's name in English
    #[arg(long, value_name = "ATTRIBUTE")]
    zone_name_en: Option<String>,
    /// Attribute with what a zone is a part of
    #[arg(long, value_name = "ATTRIBUTE")]
    zone_part_of: Option<String>,
    /// Radiance in nW cm-2 sr-1
    #[arg(long, value_name = "TIF")]
    pub(crate) night_lights: Option<PathBuf>,
    /// The number of the lights that stands for no data, where the file does not say it, or none where all suspicious ones are data
    #[arg(long, value_name = "NUMBER|none", allow_negative_numbers = true)]
    lights_nodata: Option<Nodata>,
    /// Radiance of a step of the lights' numbers, such as 0.1 for Black Marble [default: what the file says]
    #[arg(long, value_name = "NW_CM2_SR", value_parser = stage::positive)]
    lights_scale: Option<f64>,
    /// People a pixel
    #[arg(long, value_name = "TIF")]
    population: Option<PathBuf>,
    /// The number of the population raster that stands for no data, where the file does not say it, or none
    #[arg(long, value_name = "NUMBER|none", allow_negative_numbers = true)]
    population_nodata: Option<Nodata>,
    /// The change since an earlier date, as `heatmap-stitch change` writes it
    #[arg(long, value_name = "TIF")]
    change: Option<PathBuf>,
    #[command(flatten)]
    official: OfficialArgs,
    /// Side of the blocks of ground that the bootstrap draws
    #[arg(long, value_name = "METRES", default_value_t = 10_000.0, value_parser = stage::positive)]
    block_m: f64,
    /// Zones of which the map covers less have no place
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = stage::share)]
    min_coverage_share: f64,
    /// Scores below it are low
    #[arg(long, value_name = "SHARE", default_value_t = 0.25, value_parser = stage::share)]
    lower_cut_share: f64,
    /// Scores above it are high
    #[arg(long, value_name = "SHARE", default_value_t = 0.75, value_parser = stage::share)]
    upper_cut_share: f64,
    /// The budget reaches this many zones; without it the lowest fifth
    #[arg(long, value_name = "N", conflicts_with = "budget_people")]
    budget_zones: Option<usize>,
    /// The budget reaches this many people
    #[arg(long, value_name = "N", value_parser = stage::positive, requires = "population")]
    budget_people: Option<f64>,
    /// Rounds of the bootstrap
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    rounds: u32,
    /// Seed of every draw
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write the numbers about all zones to this table
    #[arg(long, value_name = "PARQUET")]
    metrics_out: PathBuf,
    /// Write the simulation of targeting to this table
    #[arg(long, value_name = "PARQUET")]
    targeting_out: PathBuf,
    /// Write the zones as CSV too
    #[arg(long, value_name = "CSV")]
    out_csv: Option<PathBuf>,
    /// Write the zones with their outlines as GeoJSON too
    #[arg(long, value_name = "GEOJSON")]
    out_geojson: Option<PathBuf>,
    /// Write the zones with their outlines as GeoParquet too
    #[arg(long, value_name = "PARQUET")]
    out_geoparquet: Option<PathBuf>,
    /// Write a note with the highest and the lowest zones as Markdown too
    #[arg(long, value_name = "MD")]
    out_md: Option<PathBuf>,
    #[command(flatten)]
    page: PageArgs,
    /// Write the zones to this table
    #[arg(long, value_name = "PARQUET")]
    out: PathBuf,
}

/// Makes the tables and their copies.
///
/// # Errors
/// For input that cannot be read or does not fit together, and output that cannot be written.
pub fn run(args: &ReportArgs) -> anyhow::Result<stage::Ledger> {
    let bands = bands_of(&args.heatmap)?;
    let zones = read_zones(&args.zones, &args.naming())?;
    let (wanted, known) = (args.wanted(), args.known(&zones)?);
    let map = map_sums(&args.heatmap, bands, &zones, &wanted)?;
    let tables = tables(&zones, &map, &known, &wanted);
    let mut ledger = zones.ledger();
    for row in &tables.regions {
        match &row.skipped {
            Some(reason) => ledger.skip(reason),
            None => ledger.ok(1),
        }
    }
    let n_on_the_map = tables.regions.iter().filter(|row| row.score.is_some()).count();
    ensure!(
        n_on_the_map > 0,
        "{}: want zones on the map {}, found none of {} there; check --zones-crs and the region",
        args.zones.path.display(),
        args.heatmap.display(),
        tables.regions.len()
    );
    args.write(&zones, &tables, bands)?;
    Ok(ledger)
}

/// The polygons of a zone.
type Outline = Vec<Vec<contract::RingDeg>>;

fn write_geojson(path: &Path, tables: &Tables, outlines: &[Outline]) -> anyhow::Result<()> {
    let text = export::geojson(&tables.regions, outlines).to_string() + "\n";
    Ok(contract::file::write(path, text.as_bytes())?)
}

/// The bands of score and, if there is one, standard deviation, counted from 1.
type Bands = (usize, Option<usize>);

/// The bands of score and standard deviation, counted from 1.
fn bands_of(path: &Path) -> anyhow::Result<Bands> {
    let source = Source::open(path)?;
    let tag = source.tag("", RasterSpec::TAG).unwrap_or_else(|| "no contract tag".to_owned());
    let (wanted, maker) = (HEATMAP.tag(), HEATMAP.made_by);
    ensure!(tag == wanted, "{}: want raster {wanted}, got {tag}; make it again with {maker}", path.display());
    ensure!(
        !source.grid().crs.is_geographic(),
        "{}: want a map in metres, found one in degrees; make it again with {maker}",
        path.display()
    );
    let names = source.band_names();
    let band = |wanted: &str| names.iter().position(|name| name == wanted).map(|place| place + 1);
    let score = band("score_share").with_context(|| {
        format!(
            "{}: want band score_share, found {}; make it again with {maker}",
            path.display(),
            names.join(", ")
        )
    })?;
    Ok((score, band("sd_share")))
}

impl ReportArgs {
    fn naming(&self) -> Naming<'_> {
        Naming {
            name: self.zone_name.as_deref(),
            name_en: self.zone_name_en.as_deref(),
            part_of: self.zone_part_of.as_deref(),
        }
    }

    fn wanted(&self) -> Wanted {
        let budget = match (self.budget_zones, self.budget_people) {
            (Some(n), _) => Budget::Zones(n),
            (_, Some(n)) => Budget::People(n),
            _ => Budget::Fifth,
        };
        Wanted {
            block_m: self.block_m,
            min_coverage_share: self.min_coverage_share,
            lower_cut: self.lower_cut_share,
            upper_cut: self.upper_cut_share,
            n_rounds: self.rounds as usize,
            seed: self.seed,
            budget,
        }
    }

    fn known(&self, zones: &Zones) -> anyhow::Result<Known> {
        let night_light = match &self.night_lights {
            Some(path) => {
                let input = Input { path, declared: self.lights(), quantity: Some(raster::RADIANCE) };
                means(&input, zones, self.min_coverage_share)?
            }
            None => Vec::new(),
        };
        let change = match &self.change {
            Some(path) => changes(path, zones, self.min_coverage_share, self.block_m)?,
            None => Changes::default(),
        };
        let ids = zones.zones.iter().map(|zone| zone.id.as_str()).collect();
        let official = self.official.read(&ids)?;
        if let Some(official) = &official {
            tracing::info!("{}", official.line);
        }
        Ok(Known {
            people: match &self.population {
                Some(path) => {
                    let declared = Declared { nodata: self.population_nodata, scaling: None };
                    people(&self.heatmap, (path, declared), zones)?
                }
                None => Vec::new(),
            },
            night_light,
            change,
            official,
        })
    }

    /// What the user says of the night lights.
    fn lights(&self) -> Declared {
        let scaling = self.lights_scale.map(|scale| Scaling { scale, offset: 0.0 });
        Declared { nodata: self.lights_nodata, scaling }
    }

    fn write(&self, zones: &Zones, tables: &Tables, bands: Bands) -> anyhow::Result<()> {
        let made = self.made()?;
        let outlines: Vec<_> = zones.zones.iter().map(export::polygons).collect();
        if let Some(path) = &self.out_csv {
            contract::file::write(path, export::csv(&tables.regions).as_bytes())?;
        }
        if let Some(path) = &self.out_geojson {
            write_geojson(path, tables, &outlines)?;
        }
        if let Some(path) = &self.out_geoparquet {
            contract::write_outlines(path, &tables.regions, &outlines, &made)?;
        }
        let official = self.official.name();
        if let Some(path) = &self.out_md {
            contract::file::write(path, note(&self.page.title, tables, official).as_bytes())?;
        }
        if let Some(folder) = &self.page.page {
            self.write_downloads(folder, tables, &outlines, &made)?;
            let contents = Contents {
                tables,
                outlines: &outlines,
                official,
                heatmap: (&self.heatmap, bands),
                night_lights: self.night_lights.as_deref().map(|path| (path, self.lights())),
                change: self.change.as_deref(),
                made: &made,
            };
            write_page(folder, &self.page, &contents)?;
        }
        contract::write(&self.metrics_out, &tables.metrics, &made)?;
        contract::write(&self.targeting_out, &tables.targeting, &made)?;
        contract::write(&self.out, &tables.regions, &made)?;
        Ok(())
    }

    /// The files that the page offers.
    fn write_downloads(
        &self,
        folder: &Path,
        tables: &Tables,
        outlines: &[Outline],
        made: &Made,
    ) -> anyhow::Result<()> {
        contract::file::write(&folder.join("regions.csv"), export::csv(&tables.regions).as_bytes())?;
        write_geojson(&folder.join("regions.geojson"), tables, outlines)?;
        contract::write_outlines(&folder.join("region-outlines.parquet"), &tables.regions, outlines, made)?;
        Ok(contract::write(&folder.join("regions.parquet"), &tables.regions, made)?)
    }

    fn made(&self) -> anyhow::Result<Made> {
        let mut made = Made::by(env!("CARGO_PKG_NAME"))
            .seed(self.seed)
            .flag("zones_crs", self.zones.crs.to_string())
            .flag("block_m", self.block_m)
            .flag("min_coverage_share", self.min_coverage_share)
            .flag("lower_cut_share", self.lower_cut_share)
            .flag("upper_cut_share", self.upper_cut_share)
            .flag("rounds", self.rounds)
            .flag("budget_zones", self.budget_zones)
            .flag("budget_people", self.budget_people)
            .flag("official_value", &self.official.official_value)
            .input(&self.heatmap)?
            .input(&self.zones.path)?;
        if let Some(year) = &self.official.official_year {
            made = made.flag("official_year", year.to_string());
        }
        if self.official.official_repeats == Repeats::LeaveOut {
            made = made.flag("official_repeats", "leave-out");
        }
        if let Some(decimal) = self.official.official_decimal {
            made = made.flag("official_decimal", format!("{decimal:?}").to_lowercase());
        }
        let others = [&self.night_lights, &self.population, &self.change, &self.official.official];
        for path in others.into_iter().flatten() {
            made = made.input(path)?;
        }
        for (name, nodata) in
            [("lights_nodata", self.lights_nodata), ("population_nodata", self.population_nodata)]
        {
            made = nodata.map_or(made.clone(), |nodata| made.flag(name, nodata.to_string()));
        }
        if let Some(scale) = self.lights_scale {
            made = made.flag("lights_scale", scale);
        }
        Ok(made)
    }
}
