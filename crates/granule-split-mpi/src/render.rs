//! From a scene's numbers to the 8-bit pixels of a tile, and which of them hold data.
//!
//! 0 is "no data" in every rendering of 16-bit numbers; numbers with data become 1 to 255.

use raster::Pixel;

/// How 16-bit reflectance becomes 8 bits. A scene of 8 bits always passes unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Render {
    /// The rule of Sentinel-2's own true-colour image: reflectance 0 to --max-reflectance-share
    Tci,
    /// Each band from its 1st to its 99th percentile over the scene: takes haze off, shows what a dim scene holds
    Stretch,
}

/// The two percentiles of [`Render::Stretch`], as shares.
pub const STRETCH_SHARES: (f64, f64) = (0.01, 0.99);

/// Number of values of a 16-bit pixel.
pub const N_LEVELS: usize = 1 << 16;

/// A line from 16-bit numbers to 1..=255: `low` and less become 1, `high` and more 255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp {
    low: f64,
    high: f64,
}

impl Ramp {
    /// The line between two numbers; `high` is at least one above `low`.
    pub fn between(low: f64, high: f64) -> Self {
        Self { low, high: high.max(low + 1.0) }
    }

    /// The two numbers, as [`Ramp::between`] takes them.
    pub fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// The line between [`STRETCH_SHARES`] of the numbers counted in a histogram of [`N_LEVELS`] counts; number 0 is left out.
    pub fn of_histogram(counts: &[u64]) -> Self {
        let n: u64 = counts.iter().skip(1).sum();
        let percentile = |share: f64| {
            let rank = (share * n as f64) as u64;
            let mut below = 0;
            let reached = counts.iter().enumerate().skip(1).find(|(_, count)| {
                below += **count;
                below > rank
            });
            reached.map_or(0.0, |(level, _)| level as f64)
        };
        Self::between(percentile(STRETCH_SHARES.0), percentile(STRETCH_SHARES.1))
    }

    /// The 8-bit value of a number.
    pub fn at(&self, dn: u16) -> u8 {
        if dn == 0 {
            return 0;
        }
        let share = (f64::from(dn) - self.low) / (self.high - self.low);
        // In 1..=255 by the clamp.
        (1.0 + 254.0 * share.clamp(0.0, 1.0)).round() as u8
    }

    /// The 8-bit values of all numbers, for a look-up a pixel.
    pub fn table(&self) -> Vec<u8> {
        (0..=u16::MAX).map(|dn| self.at(dn)).collect()
    }
}

/// A pixel type that tiles are made of.
pub trait Level: Pixel + Ord {
    /// The greatest number of this type that is not above `dn`.
    fn up_to(dn: u16) -> Self;
    /// The number itself, where this type has it.
    fn exactly(number: f64) -> Option<Self>;
    /// Renders a line of a band, with the 8-bit value of every number where that is not the number itself.
    fn render(table: &[u8], from: &[Self], to: &mut [u8]);
}

impl Level for u8 {
    fn up_to(dn: u16) -> Self {
        u8::try_from(dn).unwrap_or(u8::MAX)
    }

    fn exactly(number: f64) -> Option<Self> {
        (number.fract() == 0.0 && (0.0..=255.0).contains(&number)).then_some(number as u8)
    }

    fn render(_: &[u8], from: &[u8], to: &mut [u8]) {
        to.copy_from_slice(from);
    }
}

impl Level for u16 {
    fn up_to(dn: u16) -> Self {
        dn
    }

    fn exactly(number: f64) -> Option<Self> {
        (number.fract() == 0.0 && (0.0..=65_535.0).contains(&number)).then_some(number as u16)
    }

    fn render(table: &[u8], from: &[u16], to: &mut [u8]) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = table[usize::from(*from)]);
    }
}

/// Which pixels hold data: those of which some band is neither the no-data value nor black.
#[derive(Debug, Clone, Copy)]
pub struct Holds<T> {
    black_max: T,
    nodata: T,
}

impl<T: Level> Holds<T> {
    /// The rule of a scene.
    pub fn new(nodata: Option<f64>, black_max: u16) -> Self {
        let black_max = T::up_to(black_max);
        // Black holds no data anyway.
        Self { black_max, nodata: nodata.and_then(T::exactly).unwrap_or(black_max) }
    }

    /// Notes in `held` which pixels of a line hold data in this band. Plain loops over bytes, which the compiler makes wide.
    pub fn note(self, line: &[T], held: &mut [u8]) {
        held.iter_mut().zip(line).for_each(|(held, value)| {
            *held |= u8::from(*value > self.black_max) & u8::from(*value != self.nodata);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reflectance::DN_PER_REFLECTANCE;

    #[test]
    fn no_data_is_zero_and_data_never_is() {
        for ramp in
            [Ramp::between(0.0, 3558.0), Ramp::between(500.0, 500.0), Ramp::between(60_000.0, 65_535.0)]
        {
            let table = ramp.table();
            assert_eq!(table[0], 0);
            assert!(table[1..].iter().all(|v| *v > 0));
            assert!(table.windows(2).all(|w| w[0] <= w[1]), "a ramp never falls");
        }
    }

    #[test]
    fn the_true_colour_rule_has_its_published_ends() {
        let tci = Ramp::between(0.0, 0.3558 * DN_PER_REFLECTANCE);
        assert_eq!([0, 1, 1779, 3558, 9000].map(|dn| tci.at(dn)), [0, 1, 128, 255, 255]);
    }

    #[test]
    fn a_stretch_runs_between_its_percentiles_and_ignores_no_data() {
        let mut counts = vec![0; N_LEVELS];
        counts[0] = 1_000_000;
        counts[1000..2000].fill(1);
        let ramp = Ramp::of_histogram(&counts);
        assert_eq!(ramp, Ramp::between(1010.0, 1990.0));
        assert_eq!([0, 1000, 1010, 1990, 5000].map(|dn| ramp.at(dn)), [0, 1, 1, 255, 255]);
        assert_eq!(
            Ramp::of_histogram(&vec![0; N_LEVELS]).at(0),
            0,
            "a scene without data is no reason to fall"
        );
    }

    fn n_held<T: Level>(bands: &[&[T]], nodata: Option<f64>, black_max: u16) -> usize {
        let mut held = vec![0; bands[0].len()];
        bands.iter().for_each(|band| Holds::new(nodata, black_max).note(band, &mut held));
        held.iter().filter(|h| **h == 1).count()
    }

    #[test]
    fn a_pixel_holds_data_if_any_band_does() {
        let (red, blue): (&[u8], &[u8]) = (&[0, 0, 3, 9], &[0, 7, 2, 0]);
        assert_eq!(n_held(&[red, blue], None, 0), 3);
        assert_eq!(n_held(&[red, blue], None, 3), 2, "black may be a few counts bright");
        assert_eq!(n_held(&[red, blue], Some(7.0), 0), 2);
        assert_eq!(n_held(&[red, blue], Some(-9999.0), 0), 3, "a value that no pixel can have");
        assert_eq!(n_held(&[red, blue], None, 300), 0);
        assert_eq!(n_held::<u16>(&[&[0, 300, 301]], None, 300), 1);
    }
}
