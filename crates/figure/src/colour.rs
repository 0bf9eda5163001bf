//! Colour scales that keep their meaning for colour-blind readers and in greyscale print.

/// A colour in sRGB, 0 to 255 a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

impl Rgb {
    /// Ground without a value.
    pub const NODATA: Rgb = Rgb(205, 207, 210);
    pub(crate) const INK: Rgb = Rgb(33, 37, 41);
    pub(crate) const FAINT_INK: Rgb = Rgb(95, 102, 110);
    pub(crate) const RULE: Rgb = Rgb(222, 225, 229);

    /// The form that SVG reads, as `#1a9a7c`.
    pub(crate) fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// CIELAB lightness, 0 (black) to 100 (white).
    #[must_use]
    pub fn lightness(self) -> f64 {
        Lab::from(self).lightness
    }
}

/// A law from a share in `[0, 1]` to a colour.
///
/// Each scale interpolates its anchors linearly in CIELAB, so that equal steps of the share look about equally large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Development score: low is bluish green, the middle pale yellow, high is red.
    ///
    /// Lightness rises from 54 to 95 at the middle and falls to 33 at the high end. Red and green are never
    /// told apart by hue alone: the red end is 20 units darker than the green end, and the green leans to blue, which
    /// a red-green blind reader sees as blue-grey beside brown.
    Score,
    /// Radiance and other amounts: dark violet to pale yellow. Lightness rises throughout.
    Light,
    /// Uncertainty: near white to dark violet. Lightness falls throughout.
    Doubt,
}

impl Scale {
    fn anchors(self) -> &'static [Rgb] {
        match self {
            Scale::Score => &[
                Rgb(24, 143, 122),
                Rgb(152, 210, 168),
                Rgb(254, 246, 196),
                Rgb(240, 138, 82),
                Rgb(160, 16, 38),
            ],
            Scale::Light => {
                &[Rgb(16, 12, 38), Rgb(77, 28, 110), Rgb(178, 54, 96), Rgb(240, 140, 62), Rgb(252, 242, 178)]
            }
            Scale::Doubt => &[Rgb(248, 246, 250), Rgb(170, 160, 205), Rgb(70, 34, 110)],
        }
    }

    /// The colour of a share; values outside `[0, 1]` take the colour of the nearer end, and NaN is [`Rgb::NODATA`].
    #[must_use]
    pub fn at(self, share: f64) -> Rgb {
        if share.is_nan() {
            return Rgb::NODATA;
        }
        let anchors = self.anchors();
        let place = share.clamp(0.0, 1.0) * (anchors.len() - 1) as f64;
        let below = (place.floor() as usize).min(anchors.len() - 2);
        let (low, high) = (Lab::from(anchors[below]), Lab::from(anchors[below + 1]));
        low.toward(high, place - below as f64).rgb()
    }

    /// The colours of `i / (n - 1)` for `i` in `0..n`: the table of a paletted raster.
    #[must_use]
    pub fn table(self, n: usize) -> Vec<Rgb> {
        let last = n.saturating_sub(1).max(1) as f64;
        (0..n).map(|i| self.at(i as f64 / last)).collect()
    }
}

/// CIELAB under D65, the space in which the scales interpolate.
#[derive(Clone, Copy)]
struct Lab {
    lightness: f64,
    a: f64,
    b: f64,
}

/// D65 white in CIE XYZ (IEC 61966-2-1).
const WHITE: [f64; 3] = [0.950_47, 1.0, 1.088_83];
/// `(6/29)^3`, where CIELAB turns from the linear to the cubic branch.
const KNEE: f64 = 216.0 / 24_389.0;

impl From<Rgb> for Lab {
    fn from(colour: Rgb) -> Lab {
        let [r, g, b] = [colour.0, colour.1, colour.2].map(linear);
        let x = 0.412_456_4 * r + 0.357_576_1 * g + 0.180_437_5 * b;
        let y = 0.212_672_9 * r + 0.715_152_2 * g + 0.072_175_0 * b;
        let z = 0.019_333_9 * r + 0.119_192_0 * g + 0.950_304_1 * b;
        let [fx, fy, fz] = [x / WHITE[0], y / WHITE[1], z / WHITE[2]]
            .map(|t| if t > KNEE { t.cbrt() } else { t * 841.0 / 108.0 + 4.0 / 29.0 });
        Lab { lightness: 116.0 * fy - 16.0, a: 500.0 * (fx - fy), b: 200.0 * (fy - fz) }
    }
}

impl Lab {
    fn toward(self, other: Lab, share: f64) -> Lab {
        let mix = |from: f64, to: f64| from + share * (to - from);
        Lab {
            lightness: mix(self.lightness, other.lightness),
            a: mix(self.a, other.a),
            b: mix(self.b, other.b),
        }
    }

    fn rgb(self) -> Rgb {
        let fy = (self.lightness + 16.0) / 116.0;
        let cube = |t: f64| {
            let cubed = t * t * t;
            if cubed > KNEE { cubed } else { (t - 4.0 / 29.0) * 108.0 / 841.0 }
        };
        let x = WHITE[0] * cube(fy + self.a / 500.0);
        let y = WHITE[1] * cube(fy);
        let z = WHITE[2] * cube(fy - self.b / 200.0);
        Rgb(
            gamma(3.240_454_2 * x - 1.537_138_5 * y - 0.498_531_4 * z),
            gamma(-0.969_266_0 * x + 1.876_010_8 * y + 0.041_556_0 * z),
            gamma(0.055_643_4 * x - 0.204_025_9 * y + 1.057_225_2 * z),
        )
    }
}

fn linear(channel: u8) -> f64 {
    let value = f64::from(channel) / 255.0;
    if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

fn gamma(value: f64) -> u8 {
    let value = value.clamp(0.0, 1.0);
    let encoded = if value <= 0.003_130_8 { 12.92 * value } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 };
    (encoded * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding to 8 bits moves lightness by less than this.
    const ROUNDING: f64 = 0.4;

    fn lightness(scale: Scale) -> Vec<f64> {
        scale.table(256).into_iter().map(Rgb::lightness).collect()
    }

    #[test]
    fn anchors_keep_their_colour() {
        for scale in [Scale::Score, Scale::Light, Scale::Doubt] {
            let anchors = scale.anchors();
            for (i, &anchor) in anchors.iter().enumerate() {
                assert_eq!(scale.at(i as f64 / (anchors.len() - 1) as f64), anchor);
            }
        }
    }

    #[test]
    fn the_score_scale_brightens_to_the_middle_and_darkens_beyond() {
        let steps = lightness(Scale::Score);
        assert!(steps[..128].windows(2).all(|pair| pair[1] > pair[0] - ROUNDING));
        assert!(steps[128..].windows(2).all(|pair| pair[1] < pair[0] + ROUNDING));
        assert!(steps[128] > 94.0);
    }

    #[test]
    fn the_red_end_is_darker_than_the_green_end_by_a_visible_step() {
        let steps = lightness(Scale::Score);
        assert!(steps[0] - steps[255] > 18.0, "{} and {}", steps[0], steps[255]);
    }

    #[test]
    fn low_is_green_and_high_is_red() {
        let (low, high) = (Scale::Score.at(0.0), Scale::Score.at(1.0));
        assert!(low.1 > low.0 && low.1 > low.2);
        assert!(high.0 > high.1 && high.0 > high.2);
    }

    #[test]
    fn light_rises_and_doubt_falls_in_lightness() {
        assert!(lightness(Scale::Light).windows(2).all(|pair| pair[1] > pair[0] - ROUNDING));
        assert!(lightness(Scale::Doubt).windows(2).all(|pair| pair[1] < pair[0] + ROUNDING));
    }

    #[test]
    fn a_missing_value_is_grey_and_no_colour_of_any_scale() {
        for scale in [Scale::Score, Scale::Light, Scale::Doubt] {
            assert_eq!(scale.at(f64::NAN), Rgb::NODATA);
            assert!(!scale.table(256).contains(&Rgb::NODATA));
        }
    }

    #[test]
    fn shares_beyond_the_ends_take_the_end_colour() {
        assert_eq!(Scale::Score.at(-3.0), Scale::Score.at(0.0));
        assert_eq!(Scale::Score.at(7.0), Scale::Score.at(1.0));
    }
}
