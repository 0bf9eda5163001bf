//! The attributes of features, as text.

use gdal::vector::{Feature, FieldValue, Layer, LayerAccess, OGRFieldType};

use super::outline::Outline;

/// The attributes of a layer.
pub struct Columns {
    pub names: Vec<String>,
    kinds: Vec<OGRFieldType::Type>,
}

/// A feature as it is read.
pub struct Row {
    /// A value a column; none where it is absent.
    pub values: Vec<Option<String>>,
    /// None where the feature has no geometry.
    pub outline: Option<Outline>,
}

impl Columns {
    /// The attributes of a layer.
    pub fn of(layer: &Layer<'_>) -> Self {
        let (names, kinds) = layer.defn().fields().map(|field| (field.name(), field.field_type())).unzip();
        Self { names, kinds }
    }

    /// A feature's values and outline.
    pub fn row(&self, feature: &Feature<'_>) -> Row {
        let value = |(place, kind): (usize, &OGRFieldType::Type)| match *kind {
            OGRFieldType::OFTBinary => None,
            OGRFieldType::OFTReal => {
                feature.field(place).ok().flatten().and_then(FieldValue::into_real).map(|v| v.to_string())
            }
            // A list that is empty has no memory that may be looked at: its text has.
            _ => feature.field_as_string(place).ok().flatten(),
        };
        let values = self.kinds.iter().enumerate().map(value).collect();
        // A geometry that is null is there without one.
        let geometry = feature.geometry_by_index(0).ok();
        Row { values, outline: geometry.map(Outline::of) }
    }

    /// Values with their names.
    pub fn named(&self, values: Vec<Option<String>>) -> Vec<(String, Option<String>)> {
        self.names.iter().cloned().zip(values).collect()
    }
}
