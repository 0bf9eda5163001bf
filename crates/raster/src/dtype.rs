//! Types of pixels.

use std::fmt;

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
