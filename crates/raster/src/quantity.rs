//! What a quantity can be: numbers beyond it are fill values that a file forgot to declare.
//!
//! Numbers that no such quantity takes are left out and counted. Numbers that it could take, but that programs write for "no data" (the largest
//! number of a type, 255, 65535), make a spike among the others: they are refused, because they cannot be told from data that is cut off.

use crate::{Dtype, Real, Source};

/// A physical quantity and the flag that says which number stands for "no data".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantity {
    /// Its name, as `radiance`.
    pub name: &'static str,
    /// Its unit, as `nW cm-2 sr-1`.
    pub unit: &'static str,
    /// No honest number is below.
    pub least: f64,
    /// No honest number is above.
    pub most: f64,
    /// How a user declares a fill value.
    pub flag: &'static str,
}

/// Light at night from orbit: background correction makes dark ground slightly negative; the brightest flares reach some 10,000.
pub const RADIANCE: Quantity =
    Quantity { name: "radiance", unit: "nW cm-2 sr-1", least: -10.0, most: 1e6, flag: "--lights-nodata" };

/// People a pixel, of whatever size.
pub const PEOPLE: Quantity =
    Quantity { name: "people", unit: "people a pixel", least: 0.0, most: 1e8, flag: "--population-nodata" };

/// Any other, of which nothing is known.
pub const OTHER: Quantity =
    Quantity { name: "values", unit: "any unit", least: -1e30, most: 1e30, flag: "gdal_edit.py -a_nodata" };

/// Numbers that programs write into floats for "no data", also where files of smaller types came before.
const FILLS_OF_FLOATS: [f64; 8] =
    [255.0, 32_767.0, 65_534.0, 65_535.0, -999.0, -9999.0, -32_768.0, -99_999.0];
/// So many equal numbers, and so many times as many as there are close to them, are a spike.
const SPIKE_PX: u64 = 5;
const SPIKE_TIMES: u64 = 4;
/// What is close, as a share of a number.
const CLOSE_SHARE: f64 = 0.05;
/// Where more than this share cannot be, the quantity is another one.
const MOST_IMPOSSIBLE_SHARE: f64 = 0.5;

/// Sifts the values of a raster, window by window.
#[derive(Debug, Clone)]
pub struct Sieve {
    quantity: Quantity,
    fills: Vec<Fill>,
    n: u64,
    n_impossible: u64,
    impossible: f64,
}

/// A number that may be a fill value.
#[derive(Debug, Clone, Copy)]
struct Fill {
    /// In the file.
    number: f64,
    /// As a quantity.
    value: f64,
    n: u64,
    n_close: u64,
}

impl Sieve {
    /// For a band of a raster; with `trusted`, only impossible numbers are looked for.
    pub fn new(quantity: Quantity, source: &Source, band: usize, trusted: bool) -> Self {
        let scaling = source.scaling(band);
        let numbers: &[f64] = match source.dtype() {
            _ if trusted => &[],
            // A byte of anything may be full.
            Dtype::U8 if quantity == OTHER => &[],
            Dtype::U8 => &[255.0],
            Dtype::U16 => &[65_535.0, 65_534.0],
            Dtype::I16 => &[32_767.0, -32_768.0],
            Dtype::U32 => &[4_294_967_295.0],
            Dtype::I32 => &[2_147_483_647.0, -2_147_483_648.0],
            Dtype::F32 | Dtype::F64 => &FILLS_OF_FLOATS,
        };
        let fill = |&number: &f64| Fill { number, value: scaling.of(number), n: 0, n_close: 0 };
        let fills = numbers.iter().map(fill).collect();
        Self { quantity, fills, n: 0, n_impossible: 0, impossible: f64::NAN }
    }

    /// The quantity that is looked for.
    pub fn quantity(&self) -> Quantity {
        self.quantity
    }

    /// Makes impossible numbers not a number, and counts.
    pub fn sift<T: Real>(&mut self, values: &mut [T]) {
        let Quantity { least, most, .. } = self.quantity;
        for value in values {
            let number = value.to_f64();
            if number.is_nan() {
                continue;
            }
            self.n += 1;
            if !(least..=most).contains(&number) {
                (self.n_impossible, self.impossible, *value) = (self.n_impossible + 1, number, T::NAN);
                continue;
            }
            for fill in &mut self.fills {
                let far = (number - fill.value).abs();
                fill.n += u64::from(far == 0.0 || T::is_close(*value, T::of_f64(fill.value)));
                fill.n_close += u64::from(far <= CLOSE_SHARE * fill.value.abs());
            }
        }
    }

    /// Adds what another sieve of the same raster found.
    pub fn add(&mut self, other: &Self) {
        self.n += other.n;
        self.n_impossible += other.n_impossible;
        self.impossible = if other.n_impossible > 0 { other.impossible } else { self.impossible };
        for (fill, more) in self.fills.iter_mut().zip(&other.fills) {
            (fill.n, fill.n_close) = (fill.n + more.n, fill.n_close + more.n_close);
        }
    }

    /// What a user must know of what was left out, if anything was.
    ///
    /// # Errors
    /// In words, without the file: a spike at a number that may be a fill value, or another quantity.
    pub fn found(&self) -> Result<Option<String>, String> {
        let Quantity { name, unit, least, most, flag } = self.quantity;
        if let Some(fill) = self.fills.iter().find(|fill| fill.is_a_spike()) {
            let Fill { number, n, .. } = *fill;
            let or = if self.quantity == OTHER { "" } else { ", or none in its place if they are data" };
            return Err(format!(
                "want {name} in {unit}, found {n} pixels of exactly {number}, which many files use for no data; give {flag} {number}{or}"
            ));
        }
        let (n, of, value) = (self.n_impossible, self.n, self.impossible);
        if n as f64 > MOST_IMPOSSIBLE_SHARE * of as f64 {
            return Err(format!(
                "want {name} of {least} to {most} {unit}, found {n} of {of} pixels beyond, such as {value}; give the right band, its scale, or {flag}"
            ));
        }
        let said = format!(
            "{n} of {of} pixels such as {value} are no {name} ({least} to {most} {unit}) and left out"
        );
        Ok((n > 0).then_some(said))
    }
}

impl Fill {
    fn is_a_spike(self) -> bool {
        self.n >= SPIKE_PX && self.n > SPIKE_TIMES * (self.n_close - self.n)
    }
}
