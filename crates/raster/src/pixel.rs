use std::fmt;

use gdal::raster::{GdalDataType, GdalType};

/// The type of a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// Unsigned 8 bit.
    U8,
    /// Unsigned 16 bit.
    U16,
    /// Signed 16 bit.
    I16,
    /// Unsigned 32 bit.
    U32,
    /// Signed 32 bit.
    I32,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
}

impl Dtype {
    pub(crate) fn of_gdal(name: GdalDataType) -> Option<Self> {
        Some(match name {
            GdalDataType::UInt8 => Self::U8,
            GdalDataType::UInt16 => Self::U16,
            GdalDataType::Int16 => Self::I16,
            GdalDataType::UInt32 => Self::U32,
            GdalDataType::Int32 => Self::I32,
            GdalDataType::Float32 => Self::F32,
            GdalDataType::Float64 => Self::F64,
            _ => return None,
        })
    }

    /// Bytes a pixel.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Whether every value of `self` is a value of `other`; 64-bit floats are let into 32 bits, where they lose digits but not their range
    /// in any physical quantity.
    pub fn fits(self, other: Self) -> bool {
        use Dtype::{F32, F64, I16, I32, U8, U16, U32};
        match other {
            U8 => self == U8,
            U16 => matches!(self, U8 | U16),
            I16 => matches!(self, U8 | I16),
            U32 => matches!(self, U8 | U16 | U32),
            I32 => matches!(self, U8 | U16 | I16 | I32),
            F32 => !matches!(self, U32 | I32),
            F64 => true,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::F64 => "f64",
        })
    }
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
