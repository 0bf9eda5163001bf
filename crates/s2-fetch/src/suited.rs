//! Whether the later stages can use a scene: said where the scene is made, with what helps, and not first where it is cut.

use raster::{Crs, Grid, bounds_deg};
use tracing::warn;

/// Bands that make a natural picture, by the names that cutting looks for.
pub(crate) const NATURAL: [[&str; 3]; 2] = [["red", "green", "blue"], ["B04", "B03", "B02"]];

/// Pixels on a tile's side unless somebody says otherwise.
const TILE_PX: usize = 343;

/// Fewer tiles teach a map little: clusters of a handful, and a map of a handful of squares.
const FEWEST_TILES: usize = 100;

/// Smaller tiles show no settlement.
const SMALLEST_TILE_PX: usize = 32;

/// Warns of all that a later stage would stumble over.
pub(crate) fn advise(grid: &Grid, names: &[&str]) {
    [bands(names), place(grid, "SCENE.tif"), tiles(grid)]
        .into_iter()
        .flatten()
        .for_each(|text| warn!("{text}"));
}

/// What to do where no three bands make a natural picture.
pub(crate) fn bands(names: &[&str]) -> Option<String> {
    if NATURAL.iter().any(|set| set.iter().all(|name| names.contains(name))) {
        return None;
    }
    let example: Vec<&str> = names.iter().cycle().take(3).copied().collect();
    Some(format!(
        "the scene has the bands {}, and tiles are cut from red,green,blue or B04,B03,B02; ask for these here, or give three of the scene's own to \
         granule-split-mpi, as --bands {}",
        names.join(","),
        example.join(",")
    ))
}

/// What to do where pixels are no squares of metres.
pub(crate) fn place(grid: &Grid, file: &str) -> Option<String> {
    let (width, height) = (grid.transform.pixel_width, grid.transform.pixel_height);
    let square = (width - height).abs() < 1e-6 * width;
    let unit = unit_m(&grid.crs);
    if square && unit == Some(1.0) {
        return None;
    }
    let found = match unit {
        None => format!("pixels of {width} x {height} degrees"),
        Some(1.0) => format!("pixels of {width} x {height} m"),
        Some(_) => format!("pixels of {width} x {height} in a unit other than metres"),
    };
    Some(format!("want square pixels in metres, found {found}; run: {}", gdalwarp(grid, unit, file)))
}

/// The command that takes a raster to its UTM zone.
fn gdalwarp(grid: &Grid, unit_m: Option<f64>, file: &str) -> String {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let (from, to) = (quoted(file), quoted(&format!("{stem}-utm.tif")));
    let bounds = bounds_deg(grid).ok();
    let (lon, lat) = bounds.map_or((0.0, 0.0), |b| ((b.west + b.east) / 2.0, (b.south + b.north) / 2.0));
    let zone = ((lon + 180.0) / 6.0).floor().clamp(0.0, 59.0) as u32 + 1;
    let epsg = if lat < 0.0 { 32_700 + zone } else { 32_600 + zone };
    // A degree of latitude is 111 km; resolutions are mostly whole metres.
    let pixel_m = grid.transform.pixel_height * unit_m.unwrap_or(111_320.0);
    let pixel_m = if pixel_m >= 1.0 { pixel_m.round() } else { (pixel_m * 100.0).round().max(1.0) / 100.0 };
    format!("gdalwarp -t_srs EPSG:{epsg} -tr {pixel_m} {pixel_m} -r cubic {from} {to}")
}

/// A file's name as a shell takes it.
fn quoted(name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    if plain { name.to_owned() } else { format!("'{}'", name.replace('\'', r"'\''")) }
}

/// Metres of a projected system's unit; `None` for degrees.
fn unit_m(crs: &Crs) -> Option<f64> {
    if crs.is_geographic() {
        return None;
    }
    // In a system's text the unit of its plane comes last, before that of heights if it has them.
    let plane = crs.wkt().split("VERT_CS[").next().unwrap_or_default();
    let last = plane.rsplit("UNIT[\"").next()?;
    let factor = last.split(',').nth(1).and_then(|text| text.trim_end_matches(']').parse().ok());
    Some(factor.unwrap_or(1.0))
}

/// Which size of tile gives enough of them.
fn tiles(grid: &Grid) -> Option<String> {
    let n_of = |side: usize| (grid.height / side) * (grid.width / side);
    if n_of(TILE_PX) >= FEWEST_TILES {
        return None;
    }
    let found = format!(
        "{} x {} pixels give {} tiles of {TILE_PX} x {TILE_PX}",
        grid.height,
        grid.width,
        n_of(TILE_PX)
    );
    let side = (SMALLEST_TILE_PX..TILE_PX).rev().find(|side| n_of(*side) >= FEWEST_TILES);
    Some(match side {
        Some(side) => format!(
            "{found}, fewer than {FEWEST_TILES}; TILE_PX = {side} in settings.mk, or --tile-px {side} of granule-split-mpi, gives {}",
            n_of(side)
        ),
        None => format!(
            "{found}, and even the smallest useful ones give fewer than {FEWEST_TILES}: a map of this scene will be coarse"
        ),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use raster::Affine;

    fn grid(height: usize, width: usize, epsg: u32, pixel: f64) -> Grid {
        let (west, north) = if epsg == 4326 { (104.0, 30.7) } else { (400_000.0, 3_500_000.0) };
        let transform = Affine { west, north, pixel_width: pixel, pixel_height: pixel };
        Grid { height, width, transform, crs: Crs::from_epsg(epsg).unwrap() }
    }

    #[test]
    fn a_small_scene_is_told_the_largest_tile_that_gives_a_hundred() {
        let text = tiles(&grid(700, 900, 32648, 10.0)).unwrap();
        assert!(
            text.contains("give 4 tiles") && text.contains("TILE_PX = 75 in") && text.ends_with("gives 108"),
            "{text}"
        );
        assert!(tiles(&grid(3430, 3430, 32648, 10.0)).is_none());
        assert!(tiles(&grid(60, 60, 32648, 10.0)).unwrap().contains("coarse"));
    }

    #[test]
    fn a_scene_in_degrees_or_feet_is_told_the_command_that_mends_it() {
        assert!(place(&grid(10, 10, 32648, 10.0), "a.tif").is_none());
        assert!(place(&grid(10, 10, 3857, 10.0), "a.tif").is_none());
        let degrees = place(&grid(700, 900, 4326, 0.00009), "a b.tif").unwrap();
        assert!(
            degrees.ends_with("gdalwarp -t_srs EPSG:32648 -tr 10 10 -r cubic 'a b.tif' 'a b-utm.tif'"),
            "{degrees}"
        );
        // North Carolina in US survey feet.
        let feet = Grid {
            transform: Affine { west: 2_000_000.0, north: 700_000.0, pixel_width: 32.8, pixel_height: 32.8 },
            ..grid(10, 10, 2264, 1.0)
        };
        let feet = place(&feet, "a.tif").unwrap();
        assert!(feet.contains("other than metres") && feet.contains("EPSG:32617 -tr 10 10"), "{feet}");
        let mut flat = grid(10, 10, 32648, 10.0);
        flat.transform.pixel_width = 20.0;
        assert!(place(&flat, "a.tif").unwrap().contains("20 x 10 m"));
    }

    #[test]
    fn bands_that_make_no_picture_are_told_what_cutting_wants() {
        assert_eq!(bands(&["B02", "B03", "B04", "B08"]), None);
        assert_eq!(bands(&["red", "green", "blue"]), None);
        let text = bands(&["data_1", "data_2", "data_3", "data_4", "data_5"]).unwrap();
        assert!(text.contains("--bands data_1,data_2,data_3"), "{text}");
    }
}
