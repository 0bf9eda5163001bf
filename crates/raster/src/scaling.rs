/// From the numbers in a file to the quantity that they stand for: `number * scale + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaling {
    /// Factor of the numbers.
    pub scale: f64,
    /// What is added after it, in units of the quantity.
    pub offset: f64,
}

impl Scaling {
    /// The numbers are the quantity.
    pub const NONE: Self = Self { scale: 1.0, offset: 0.0 };

    /// The quantity of a number.
    pub fn of(self, number: f64) -> f64 {
        number * self.scale + self.offset
    }

    /// The number of a quantity.
    pub fn undo(self, quantity: f64) -> f64 {
        (quantity - self.offset) / self.scale
    }

    /// Whether it can be meant: a finite offset, and a finite scale other than 0.
    pub fn is_usable(self) -> bool {
        self.scale.is_finite() && self.scale != 0.0 && self.offset.is_finite()
    }
}
