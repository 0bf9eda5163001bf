/// The type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// True or false.
    Bool,
    /// A count or an index.
    U32,
    /// A size.
    U64,
    /// A measured or computed number.
    F64,
    /// Raw bytes.
    Bytes,
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The name in the file; ends in `_unit` if there is a unit.
    pub name: &'static str,
    /// The type of its values.
    pub kind: Kind,
    /// The unit as it ends the name, such as `m`, `deg`, `share`.
    pub unit: Option<&'static str>,
    /// Whether a value may be missing.
    pub nullable: bool,
    /// One line of meaning.
    pub meaning: &'static str,
}

impl Column {
    /// A column without a unit: an id, a count, a text.
    pub const fn plain(name: &'static str, kind: Kind, meaning: &'static str) -> Self {
        Self { name, kind, unit: None, nullable: false, meaning }
    }

    /// A column of numbers with a unit.
    pub const fn measured(name: &'static str, unit: &'static str, meaning: &'static str) -> Self {
        Self { name, kind: Kind::F64, unit: Some(unit), nullable: false, meaning }
    }

    /// The same column, where a value may be missing.
    pub const fn or_missing(mut self) -> Self {
        self.nullable = true;
        self
    }
}

/// A table that passes between stages.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The table's name.
    pub name: &'static str,
    /// Raised when a column is added, dropped or changes its meaning.
    pub version: u32,
    /// The stage that makes it.
    pub made_by: &'static str,
    /// One line: what a row is.
    pub about: &'static str,
    /// The columns in file order.
    pub columns: &'static [Column],
}

impl Spec {
    /// The tag in the file, such as `scores/1`.
    pub fn tag(&self) -> String {
        format!("{}/{}", self.name, self.version)
    }
}
