//! The shift of GCJ-02, in which Chinese web maps publish borders: some hundred metres by a known rule.
//!
//! The rule is public in its effect and was never published; the form here is the one that all converters share, inverted by iteration to a millimetre.

/// Semi-major axis in metres and squared eccentricity of Krasovsky's ellipsoid, which the shift is computed on.
const KRASOVSKY_M: f64 = 6_378_245.0;
const ECCENTRICITY_SQUARED: f64 = 0.006_693_421_622_965_943;
/// Where the shift applies: longitude and latitude in degrees.
const CHINA_DEG: [f64; 4] = [72.004, 0.8293, 137.8347, 55.8271];
/// Steps of the inversion; each makes the error a thousandth.
const INVERSION_STEPS: usize = 6;

/// The place in WGS 84 that GCJ-02 shows at a longitude and latitude in degrees.
pub fn wgs84_of_gcj02((lon, lat): (f64, f64)) -> (f64, f64) {
    let mut place = (lon, lat);
    for _ in 0..INVERSION_STEPS {
        let shown = gcj02_of_wgs84(place);
        place = (place.0 + lon - shown.0, place.1 + lat - shown.1);
    }
    place
}

/// Where GCJ-02 shows a place of WGS 84, longitude and latitude in degrees.
pub fn gcj02_of_wgs84((lon, lat): (f64, f64)) -> (f64, f64) {
    let [west, south, east, north] = CHINA_DEG;
    if !(west..=east).contains(&lon) || !(south..=north).contains(&lat) {
        return (lon, lat);
    }
    let (x, y) = (lon - 105.0, lat - 35.0);
    let pi = std::f64::consts::PI;
    let wave = |angle: f64, scale: f64| scale * (angle * pi).sin();
    let common = (wave(6.0 * x, 20.0) + wave(2.0 * x, 20.0)) * 2.0 / 3.0;
    let north_m = -100.0
        + 2.0 * x
        + 3.0 * y
        + 0.2 * y * y
        + 0.1 * x * y
        + 0.2 * x.abs().sqrt()
        + common
        + (wave(y, 20.0) + wave(y / 3.0, 40.0)) * 2.0 / 3.0
        + (wave(y / 12.0, 160.0) + wave(y / 30.0, 320.0)) * 2.0 / 3.0;
    let east_m = 300.0
        + x
        + 2.0 * y
        + 0.1 * x * x
        + 0.1 * x * y
        + 0.1 * x.abs().sqrt()
        + common
        + (wave(x, 20.0) + wave(x / 3.0, 40.0)) * 2.0 / 3.0
        + (wave(x / 12.0, 150.0) + wave(x / 30.0, 300.0)) * 2.0 / 3.0;
    let sine = lat.to_radians().sin();
    let magic = 1.0 - ECCENTRICITY_SQUARED * sine * sine;
    let north_deg =
        north_m * 180.0 / (KRASOVSKY_M * (1.0 - ECCENTRICITY_SQUARED) / (magic * magic.sqrt()) * pi);
    let east_deg = east_m * 180.0 / (KRASOVSKY_M / magic.sqrt() * lat.to_radians().cos() * pi);
    (lon + east_deg, lat + north_deg)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tenth of a millimetre in degrees.
    const INVERSION_TOLERANCE_DEG: f64 = 1e-9;

    #[test]
    fn the_shift_of_gcj02_is_undone_all_over_china_and_absent_elsewhere() {
        let mut n_cases = 0;
        for lon in 74..135 {
            for lat in 4..54 {
                let place = (f64::from(lon) + 0.37, f64::from(lat) + 0.61);
                let shown = gcj02_of_wgs84(place);
                let metres = (shown.0 - place.0).hypot(shown.1 - place.1) * 111_000.0;
                assert!((10.0..2_000.0).contains(&metres), "{metres} m at {place:?}");
                let back = wgs84_of_gcj02(shown);
                assert!((back.0 - place.0).abs() < INVERSION_TOLERANCE_DEG);
                assert!((back.1 - place.1).abs() < INVERSION_TOLERANCE_DEG);
                n_cases += 1;
            }
        }
        assert_eq!(n_cases, 61 * 50);
        assert_eq!(wgs84_of_gcj02((-75.6, 37.7)), (-75.6, 37.7), "Virginia is not shifted");
    }

    /// The example that converters of several languages print: Tian'anmen Square.
    #[test]
    fn a_known_place_is_shifted_as_other_converters_shift_it() {
        let shown = gcj02_of_wgs84((116.397_428, 39.909_23));
        assert!((shown.0 - 116.403_672).abs() < 2e-6 && (shown.1 - 39.910_634).abs() < 2e-6, "{shown:?}");
    }
}
