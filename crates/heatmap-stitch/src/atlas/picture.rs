//! Maps as pictures: the region, and each granule as the study drew them.

use std::collections::BTreeSet;
use std::path::Path;

use contract::Score;
use figure::{Ground, ImageRgb, Legend, Map, Scale, Words};
use raster::{Crs, Grid, transform_points};

use super::input::Input;
use super::{MapArgs, region};
use crate::judge::Judge;
use crate::overlap::Granule;
use crate::stitch::{HeatMap, Joining, Layer, Mosaic, NODATA};
use crate::support::{outside, same_everywhere};

/// Pixels on the longer side of the map that the picture is painted from; more would not be seen.
const PICTURE_PX: f64 = 1600.0;

/// The region with its legend, as PNG.
pub fn picture(
    args: &MapArgs,
    grid: &Grid,
    layers: &[(Crs, Layer)],
    input: &Input,
    judge: Option<&Judge>,
) -> anyhow::Result<Vec<u8>> {
    let longer = grid.height.max(grid.width) as f64;
    let pixel_m = args.pixel_m * (longer / PICTURE_PX).max(1.0);
    let grid = region::grid(&input.granules, pixel_m, &grid.crs)?;
    let map = Mosaic::of(layers, &grid, args.joining())?.whole();
    let subtitle = subtitle(args, input) + &support(input, judge);
    let words = Words { title: args.title.clone(), subtitle, credit: args.credit.clone() };
    Ok(figure::map(&words, &drawn(&grid, &map)?)?)
}

/// Each granule in its own coordinate system, its scores as they were read, as `<granule>.png` in a folder.
pub fn granule_pictures(folder: &Path, args: &MapArgs, granules: &[Granule]) -> anyhow::Result<()> {
    for granule in granules {
        let side_m = granule.layer.xs_m[1] - granule.layer.xs_m[0];
        let grid = region::grid(std::slice::from_ref(granule), side_m / 8.0, &granule.crs)?;
        let layers = [(granule.crs.clone(), granule.layer.clone())];
        let map = Mosaic::of(&layers, &grid, Joining { feather_m: 0.0, close_gaps_m: 0.0 })?.whole();
        let n = granule.patches.iter().filter(|patch| patch.score_share.is_some()).count();
        let words = Words {
            title: format!("{}, granule {}", args.title, granule.name),
            subtitle: format!(
                "{n} tiles with a score, as read: not corrected, not joined with other granules."
            ),
            credit: args.credit.clone(),
        };
        let png = figure::map(&words, &drawn(&grid, &map)?)?;
        contract::file::write(&folder.join(format!("{}.png", granule.name)), &png)?;
    }
    Ok(())
}

fn drawn(grid: &Grid, map: &HeatMap) -> anyhow::Result<Map> {
    let values: Vec<f32> = map.score_share.iter().map(|&v| if v == NODATA { f32::NAN } else { v }).collect();
    let legend = Legend::linear("Development score", Scale::Score, 0.0, 1.0)
        .ends("less developed", "more developed")
        .nodata("no score");
    let image: ImageRgb = legend.paint(grid.height, grid.width, &values)?;
    let ground = Some(Ground { corners_deg: corners_deg(grid)? });
    Ok(Map { heading: String::new(), image, ground, legend })
}

fn subtitle(args: &MapArgs, input: &Input) -> String {
    let scored: Vec<&Score> = input.rows.iter().filter(|row| row.score.is_some()).collect();
    let granules: BTreeSet<&str> = input.rows.iter().map(|row| row.granule.as_str()).collect();
    let members = scored.iter().map(|row| row.n_members).max().unwrap_or(0);
    let models = if members == 1 { "One model".to_owned() } else { format!("Mean of {members} models") };
    let side = input.tile_side_m();
    let side = if side < 1000.0 { format!("{side:.0} m") } else { format!("{:.2} km", side / 1000.0) };
    let joined = match granules.len() {
        1 => String::new(),
        n => format!(" in {n} granules"),
    };
    let brought = match granules.len() {
        1 => "",
        _ if args.keep_offsets => " Differences between scenes are kept.",
        _ => " Scenes are brought together where they overlap.",
    };
    format!(
        "{models} for each tile of {side}; {} of {} tiles{joined} have a score.{brought} \
         The score is a place in an order of ground types, not money.",
        scored.len(),
        input.rows.len()
    )
}

/// How far to trust the scores: whether they differ, how many have no support, and what the judge behind them knows.
fn support(input: &Input, judge: Option<&Judge>) -> String {
    let same = same_everywhere(&input.scores())
        .map_or(String::new(), |note| format!(" All scores are the same: {note}."));
    let outside = outside(&input.rows).map_or(String::new(), |(_, share)| {
        format!(" {:.1} % of tiles are unlike all that the score was learnt from.", 100.0 * share)
    });
    let judge = judge.map_or(String::new(), |judge| {
        format!(" The judge of the order was {}.", judge.ground(input.scores().len()))
    });
    same + &outside + &judge
}

/// Longitude and latitude of the corners: north-west, north-east, south-east, south-west.
pub fn corners_deg(grid: &Grid) -> anyhow::Result<[[f64; 2]; 4]> {
    let b = grid.bounds();
    let (mut x, mut y) = ([b.west, b.east, b.east, b.west], [b.north, b.north, b.south, b.south]);
    transform_points(&grid.crs, &Crs::wgs84()?, &mut x, &mut y)?;
    Ok(std::array::from_fn(|i| [x[i], y[i]]))
}
