//! `region-report zonal`: exact means of a raster over zones, as CSV.

use std::path::PathBuf;

use contract::outside_text::csv_text;
use raster::Source;

use crate::export::csv_line;
use crate::zonal::{Blocks, Detail, sums};
use crate::zones::{Naming, ZonesCrs, read_zones};

/// Flags of `region-report zonal`.
#[derive(clap::Args, Debug)]
pub struct ZonalArgs {
    /// The raster
    #[arg(long, value_name = "TIF")]
    raster: PathBuf,
    /// Band of the raster, counted from 1
    #[arg(long, value_name = "N", default_value_t = 1)]
    band: usize,
    /// Zones: GeoJSON (also .gz), GeoPackage or FlatGeobuf
    #[arg(long, value_name = "FILE")]
    zones: PathBuf,
    /// Coordinates of the zones
    #[arg(long, value_name = "CRS", value_enum, default_value = "file")]
    zones_crs: ZonesCrs,
    /// Attribute that identifies a zone; without it zones are counted
    #[arg(long, value_name = "ATTRIBUTE")]
    zone_id: Option<String>,
    /// Count each pixel with the cosine of its latitude, in a raster in degrees
    #[arg(long, value_name = "YES_OR_NO", default_value_t = true, action = clap::ArgAction::Set)]
    by_area: bool,
    /// The CSV to write: zone, pixels with a value, mean, standard deviation, share of the zone with a value
    #[arg(long, value_name = "CSV")]
    out: PathBuf,
}

/// Adds up the raster and writes the table.
///
/// # Errors
/// For files that cannot be read or written.
pub fn run(args: &ZonalArgs) -> anyhow::Result<stage::Ledger> {
    let naming = Naming { id: args.zone_id.as_deref(), name: None, name_en: None, part_of: None };
    let zones = read_zones(&args.zones, args.zones_crs, &naming)?;
    let grid = Source::open(&args.raster)?.grid().clone();
    let spans = zones.spans_on(&grid)?;
    let found = sums(&args.raster, args.band, &spans, Blocks::ONE, Detail::Means, args.by_area)?;
    let mut ledger = stage::Ledger::of("zones", spans.len());
    let mut text = csv_line(["zone", "n_px", "mean", "sd", "coverage_share"].map(str::to_owned));
    for (zone, by_block) in zones.zones.iter().zip(&found) {
        let sums = by_block.values().next().copied().unwrap_or_default();
        if sums.weight > 0.0 {
            ledger.ok(1);
        } else {
            ledger.skip("no pixel with a value");
        }
        let number = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
        let share = (sums.all > 0.0).then(|| sums.weight / sums.all);
        text += &csv_line([
            csv_text(&zone.id),
            sums.weight.to_string(),
            number(sums.mean()),
            number(sums.sd()),
            number(share),
        ]);
    }
    contract::file::write(&args.out, text.as_bytes())?;
    Ok(ledger)
}
