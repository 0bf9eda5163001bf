use gdal::raster::{GdalDataType, GdalType};

use crate::Dtype;

/// The type of GDAL's pixels, if it is known here.
pub(crate) fn of_gdal(name: GdalDataType) -> Option<Dtype> {
    Some(match name {
        GdalDataType::UInt8 => Dtype::U8,
        GdalDataType::UInt16 => Dtype::U16,
        GdalDataType::Int16 => Dtype::I16,
        GdalDataType::UInt32 => Dtype::U32,
        GdalDataType::Int32 => Dtype::I32,
        GdalDataType::Float32 => Dtype::F32,
        GdalDataType::Float64 => Dtype::F64,
        _ => return None,
    })
}

mod sealed {
    pub trait Sealed {}
}

/// A type that pixels are read and written as. The bound on GDAL's own trait is how values reach it; it is no part of this crate's interface.
pub trait Pixel: sealed::Sealed + GdalType + Copy + Default + Send + Sync + 'static {
    /// The matching [`Dtype`].
    const DTYPE: Dtype;
    /// The value as a number.
    fn to_f64(self) -> f64;
    /// The nearest value of a number, halves up; numbers out of range become the nearest end of it.
    fn of_f64(number: f64) -> Self;
    /// Puts its bytes, the lightest first, at the start of a buffer.
    fn put_le(self, to: &mut [u8; 8]);
    /// The value of the bytes at the start of a slice, the lightest first.
    fn of_le(bytes: &[u8]) -> Self;
    /// The difference to another, around the ends of the range.
    fn less(self, other: Self) -> Self;
    /// The sum with another, around the ends of the range.
    fn more(self, other: Self) -> Self;
    /// Whether two lines are equal bit for bit.
    fn same(a: &[Self], b: &[Self]) -> bool;
}

/// A type of numbers with parts, one of which is not a number.
pub trait Real: Pixel + PartialEq {
    /// Not a number: no data.
    const NAN: Self;
    /// Whether two values are the same up to the rounding of a text, as GDAL compares floats with a no-data value.
    fn is_close(self, other: Self) -> bool;
}

// Two units in the last place of four bytes, as GDAL has it, also for eight.
macro_rules! real {
    ($($rust:ty),*) => {$(
        impl Real for $rust {
            const NAN: Self = <$rust>::NAN;

            #[inline]
            fn is_close(self, other: Self) -> bool {
                let slack = (f32::EPSILON as $rust) * 2.0 * (self + other).abs();
                (self == other) | ((self - other).abs() < slack)
            }
        }
    )*};
}

real!(f32, f64);

/// Pixels that are compared before the first difference counts.
const COMPARED_AT_ONCE: usize = 64;

// Other crates have generic code of this one compiled for their pixels: without `inline` each pixel would be a call from crate to crate.
macro_rules! pixel {
    ($($rust:ty => $dtype:ident, $round:expr, $less:expr, $more:expr);*) => {$(
        impl sealed::Sealed for $rust {}
        impl Pixel for $rust {
            const DTYPE: Dtype = Dtype::$dtype;

            #[inline]
            fn to_f64(self) -> f64 {
                self as f64
            }

            #[inline]
            fn of_f64(number: f64) -> Self {
                let round: fn(f64) -> f64 = $round;
                round(number) as $rust
            }

            #[inline]
            fn put_le(self, to: &mut [u8; 8]) {
                to[..size_of::<$rust>()].copy_from_slice(&self.to_le_bytes());
            }

            #[inline]
            fn of_le(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<$rust>()];
                own.copy_from_slice(&bytes[..size_of::<$rust>()]);
                <$rust>::from_le_bytes(own)
            }

            #[inline]
            fn less(self, other: Self) -> Self {
                let less: fn($rust, $rust) -> $rust = $less;
                less(self, other)
            }

            #[inline]
            fn more(self, other: Self) -> Self {
                let more: fn($rust, $rust) -> $rust = $more;
                more(self, other)
            }

            #[inline]
            fn same(a: &[Self], b: &[Self]) -> bool {
                // Whole chunks without a way out between their pixels: compared by vector instructions.
                let equal = |(a, b): (&[Self], &[Self])| {
                    a.iter().zip(b).fold(true, |all, (a, b)| all & (a.to_le_bytes() == b.to_le_bytes()))
                };
                a.len() == b.len() && a.chunks(COMPARED_AT_ONCE).zip(b.chunks(COMPARED_AT_ONCE)).all(equal)
            }
        }
    )*};
}

#[inline]
fn half_up(number: f64) -> f64 {
    (number + 0.5).floor()
}

pixel!(
    u8 => U8, half_up, u8::wrapping_sub, u8::wrapping_add; u16 => U16, half_up, u16::wrapping_sub, u16::wrapping_add;
    i16 => I16, half_up, i16::wrapping_sub, i16::wrapping_add; u32 => U32, half_up, u32::wrapping_sub, u32::wrapping_add;
    i32 => I32, half_up, i32::wrapping_sub, i32::wrapping_add; f32 => F32, std::convert::identity, std::ops::Sub::sub, std::ops::Add::add;
    f64 => F64, std::convert::identity, std::ops::Sub::sub, std::ops::Add::add
);
