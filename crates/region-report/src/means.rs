//! `region-report zonal`: exact means of a raster over zones, as CSV.

use std::path::PathBuf;

use anyhow::ensure;
use contract::outside_text::csv_text;
use raster::Source;

use crate::export::csv_line;
use crate::zonal::{Blocks, Detail, Sums, sums};
use crate::zones::{Naming, Zone, ZonesArgs, read_zones};

/// Flags of `region-report zonal`.
#[derive(clap::Args, Debug)]
pub struct ZonalArgs {
    /// The raster
    #[arg(long, value_name = "TIF")]
    raster: PathBuf,
    /// Band of the raster, counted from 1
    #[arg(long, value_name = "N", default_value_t = 1)]
    band: usize,
    #[command(flatten)]
    zones: ZonesArgs,
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
/// For files that cannot be read or written, and a raster that no zone reaches.
pub fn run(args: &ZonalArgs) -> anyhow::Result<stage::Ledger> {
    let zones = read_zones(&args.zones, &Naming::default())?;
    let grid = Source::open(&args.raster)?.grid().clone();
    let mut ledger = zones.ledger();
    let mut text = csv_line(["zone", "n_px", "mean", "sd", "coverage_share"].map(str::to_owned));
    let mut n_on_the_raster = 0;
    zones.each_lot_on(&grid, |lot, spans| {
        n_on_the_raster += spans.iter().filter(|spans| !spans.is_empty()).count();
        let found = sums(&args.raster, args.band, &spans, Blocks::ONE, Detail::Means, args.by_area)?;
        for (zone, by_block) in zones.zones[lot].iter().zip(&found) {
            let sums = by_block.values().next().copied().unwrap_or_default();
            match (sums.weight > 0.0, sums.all > 0.0) {
                (true, _) => ledger.ok(1),
                (_, true) => ledger.skip("no pixel with a value"),
                _ => ledger.skip("outside of the raster"),
            }
            text += &line(zone, &sums);
        }
        Ok(())
    })?;
    ensure!(
        n_on_the_raster > 0,
        "{}: want zones on the raster {}, found none of {} there: they lie at {}; check --zones-crs, and whether latitude stands first",
        args.zones.path.display(),
        args.raster.display(),
        zones.zones.len(),
        zones.extent()
    );
    contract::file::write(&args.out, text.as_bytes())?;
    Ok(ledger)
}

fn line(zone: &Zone, sums: &Sums) -> String {
    let number = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
    let share = (sums.all > 0.0).then(|| sums.weight / sums.all);
    csv_line([
        csv_text(&zone.id),
        sums.weight.to_string(),
        number(sums.mean()),
        number(sums.sd()),
        number(share),
    ])
}
