//! Fourier transforms of fields, their sides powers of two.
//!
//! Radix-2 decimation in time (Cooley and Tukey 1965), rows and columns in turn. Enough for the lags and spectra of fields of a few million cells;
//! left out: other sides, and speed beyond O(n log n).

use rayon::prelude::*;

/// A field of complex numbers, `[row, column]`.
#[derive(Clone, Debug)]
pub struct Wave {
    /// Rows, a power of two.
    pub height: usize,
    /// Columns, a power of two.
    pub width: usize,
    /// Real parts.
    pub re: Vec<f64>,
    /// Imaginary parts.
    pub im: Vec<f64>,
}

impl Wave {
    /// A real field in the corner of a larger one of zeros, so that lags up to the field's own sides do not wrap around.
    ///
    /// # Panics
    /// If the values do not fill the field.
    #[must_use]
    pub fn padded(height: usize, width: usize, values: &[f64]) -> Wave {
        assert_eq!(values.len(), height * width, "one value a cell");
        let (tall, wide) = ((2 * height).next_power_of_two(), (2 * width).next_power_of_two());
        let mut re = vec![0.0; tall * wide];
        for (line, row) in re.chunks_exact_mut(wide).zip(values.chunks_exact(width)) {
            line[..width].copy_from_slice(row);
        }
        Wave { height: tall, width: wide, im: vec![0.0; re.len()], re }
    }

    /// The transform of the field.
    #[must_use]
    pub fn forward(self) -> Wave {
        self.lines(-1.0).turned().lines(-1.0).turned()
    }

    /// The field of a transform.
    #[must_use]
    pub fn backward(self) -> Wave {
        let mut wave = self.lines(1.0).turned().lines(1.0).turned();
        let scale = 1.0 / wave.re.len() as f64;
        wave.re.iter_mut().chain(&mut wave.im).for_each(|v| *v *= scale);
        wave
    }

    /// Transforms every row.
    fn lines(mut self, sign: f64) -> Wave {
        let plan = Plan::of(self.width, sign);
        let rows = self.re.par_chunks_mut(self.width).zip(self.im.par_chunks_mut(self.width));
        rows.for_each(|(re, im)| plan.run(re, im));
        self
    }

    fn turned(self) -> Wave {
        let turn = |from: &[f64]| {
            let mut to = vec![0.0; from.len()];
            to.par_chunks_mut(self.height).enumerate().for_each(|(column, line)| {
                line.iter_mut().enumerate().for_each(|(row, v)| *v = from[row * self.width + column]);
            });
            to
        };
        Wave { height: self.width, width: self.height, re: turn(&self.re), im: turn(&self.im) }
    }
}

/// Sines and cosines of a length.
struct Plan {
    n: usize,
    cos: Vec<f64>,
    sin: Vec<f64>,
}

impl Plan {
    fn of(n: usize, sign: f64) -> Plan {
        assert!(n.is_power_of_two(), "a length of {n} is no power of two");
        let angle = |i: usize| sign * std::f64::consts::TAU * i as f64 / n as f64;
        let turns = 0..(n / 2).max(1);
        Plan {
            n,
            cos: turns.clone().map(|i| angle(i).cos()).collect(),
            sin: turns.map(|i| angle(i).sin()).collect(),
        }
    }

    fn run(&self, re: &mut [f64], im: &mut [f64]) {
        let n = self.n;
        let shift = usize::BITS - n.trailing_zeros();
        for i in (1..n).filter(|_| n > 1) {
            let j = i.reverse_bits() >> shift;
            if i < j {
                re.swap(i, j);
                im.swap(i, j);
            }
        }
        let mut half = 1;
        while half < n {
            let stride = n / (2 * half);
            for start in (0..n).step_by(2 * half) {
                self.butterflies(re, im, start, half, stride);
            }
            half *= 2;
        }
    }

    fn butterflies(&self, re: &mut [f64], im: &mut [f64], start: usize, half: usize, stride: usize) {
        let (low_re, high_re) = re[start..start + 2 * half].split_at_mut(half);
        let (low_im, high_im) = im[start..start + 2 * half].split_at_mut(half);
        for k in 0..half {
            let (cos, sin) = (self.cos[k * stride], self.sin[k * stride]);
            let (x, y) = (high_re[k] * cos - high_im[k] * sin, high_re[k] * sin + high_im[k] * cos);
            (high_re[k], high_im[k]) = (low_re[k] - x, low_im[k] - y);
            (low_re[k], low_im[k]) = (low_re[k] + x, low_im[k] + y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Doubles through some thousand additions.
    const ROUNDING: f64 = 1e-9;

    fn jumble(n: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919 + 13) % 1009) as f64 / 100.0).collect()
    }

    #[test]
    fn a_field_comes_back_and_keeps_its_energy() {
        let values = jumble(5 * 12);
        let wave = Wave::padded(5, 12, &values);
        let there = wave.clone().forward();
        let energy = |w: &Wave| w.re.iter().chain(&w.im).map(|v| v * v).sum::<f64>();
        assert!((energy(&there) / there.re.len() as f64 - energy(&wave)).abs() < ROUNDING * energy(&wave));
        let back = there.backward();
        assert!(back.re.iter().zip(&wave.re).all(|(a, b)| (a - b).abs() < ROUNDING));
        assert!(back.im.iter().all(|v| v.abs() < ROUNDING));
    }

    #[test]
    fn one_wave_is_one_number() {
        let values: Vec<f64> =
            (0..64).map(|i| (std::f64::consts::TAU * f64::from(i % 8) / 8.0 * 3.0).cos()).collect();
        let wave = Wave { height: 8, width: 8, re: values, im: vec![0.0; 64] }.forward();
        for (i, v) in wave.re.iter().enumerate() {
            let wanted = if i == 3 || i == 5 { 32.0 } else { 0.0 };
            assert!((v - wanted).abs() < ROUNDING, "frequency {i}: {v}");
        }
    }

    #[test]
    fn powers_give_the_sums_over_all_lags() {
        let (height, width, values) = (4, 3, jumble(12));
        let mut wave = Wave::padded(height, width, &values).forward();
        for (re, im) in wave.re.iter_mut().zip(&mut wave.im) {
            (*re, *im) = (*re * *re + *im * *im, 0.0);
        }
        let lags = wave.backward();
        for (down, across) in [(0, 0), (1, 0), (0, 2), (3, 1)] {
            let mut sum = 0.0;
            for (r, c) in (0..height - down).flat_map(|r| (0..width - across).map(move |c| (r, c))) {
                sum += values[r * width + c] * values[(r + down) * width + c + across];
            }
            assert!(
                (lags.re[down * lags.width + across] - sum).abs() < ROUNDING * 1e3,
                "lag {down}, {across}"
            );
        }
    }
}
