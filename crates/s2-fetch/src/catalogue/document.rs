//! A document of a catalogue, read within a bound of memory: its items one by one, of everything else no more than a catalogue's own size.
//!
//! A text of some bytes can become an object of a hundred times as many. Each value is counted as it is made.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A value takes at most this much memory: ten thousand times an item, or the links of a hundred thousand documents.
const MAX_VALUE_BYTES: usize = 192 << 20;
/// What an object and each of its members take beside their texts.
const MAP_BYTES: usize = 384;
const NODE_BYTES: usize = 96;

/// Reads a document. Members of its array `features` go to `take`, which may refuse one; the rest comes back without them.
///
/// # Errors
/// What `take` said, or what is wrong with the text.
pub(crate) fn read(bytes: &[u8], mut take: impl FnMut(Value) -> anyhow::Result<()>) -> anyhow::Result<Value> {
    let refused = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let document = Document { take: &mut take, refused: &refused }
        .deserialize(&mut reader)
        .and_then(|document| reader.end().map(|()| document));
    match (document, refused.take()) {
        (_, Some(why)) => Err(why),
        (Ok(document), None) => Ok(document),
        (Err(error), None) => Err(anyhow::anyhow!("want JSON, found something else: {error}")),
    }
}

struct Document<'a, F> {
    take: &'a mut F,
    refused: &'a Cell<Option<anyhow::Error>>,
}

impl<'de, F: FnMut(Value) -> anyhow::Result<()>> DeserializeSeed<'de> for Document<'_, F> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(Value) -> anyhow::Result<()>> Visitor<'de> for Document<'_, F> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let left = Cell::new(MAX_VALUE_BYTES);
        let mut rest = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == "features" {
                map.next_value_seed(Features { take: &mut *self.take, refused: self.refused })?;
                continue;
            }
            let value = map.next_value_seed(Bounded(&left))?;
            rest.insert(key, value);
        }
        Ok(Value::Object(rest))
    }
}

struct Features<'a, F> {
    take: &'a mut F,
    refused: &'a Cell<Option<anyhow::Error>>,
}

impl<'de, F: FnMut(Value) -> anyhow::Result<()>> DeserializeSeed<'de> for Features<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Value) -> anyhow::Result<()>> Visitor<'de> for Features<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of items")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element_seed(Bounded(&Cell::new(MAX_VALUE_BYTES)))? {
            if let Err(why) = (self.take)(item) {
                self.refused.set(Some(why));
                while items.next_element::<IgnoredAny>()?.is_some() {}
                return Err(A::Error::custom("an item was refused"));
            }
        }
        Ok(())
    }
}

/// A value, counted against the memory that is left.
struct Bounded<'a>(&'a Cell<usize>);

impl Bounded<'_> {
    fn count<E: Error>(&self, n_bytes: usize) -> Result<(), E> {
        let left = self.0.get().checked_sub(n_bytes);
        self.0.set(
            left.ok_or_else(|| {
                E::custom(format!("more than {} MiB of values in one", MAX_VALUE_BYTES >> 20))
            })?,
        );
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.count(value.len())?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        self.count(NODE_BYTES)?;
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(Bounded(self.0))? {
            self.count(NODE_BYTES)?;
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.count(MAP_BYTES)?;
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            self.count(NODE_BYTES + key.len())?;
            let value = map.next_value_seed(Bounded(self.0))?;
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parts(text: &str) -> anyhow::Result<(Value, Vec<Value>)> {
        let mut items = Vec::new();
        let rest = read(text.as_bytes(), |item| {
            items.push(item);
            Ok(())
        })?;
        Ok((rest, items))
    }

    #[test]
    fn a_document_is_its_items_and_the_rest_as_they_stand_in_the_text() {
        let items =
            json!([{"id": "a", "n": [1, -2, 1.5, true, null, "\u{e9}\n"]}, {"id": "b", "deep": {"x": {}}}]);
        let document =
            json!({"type": "FeatureCollection", "features": items, "links": [{"rel": "next"}], "n": 3e10});
        let (rest, found) = parts(&document.to_string()).unwrap();
        assert_eq!(Value::Array(found), items);
        assert_eq!(rest, json!({"type": "FeatureCollection", "links": [{"rel": "next"}], "n": 3e10}));
        assert_eq!(parts(r#"{"features": null}"#).unwrap(), (json!({}), vec![]));
        for text in ["", "[1]", "{\"a\": 1", "{} {}", "{\"features\": 7}", "<html>"] {
            assert!(parts(text).unwrap_err().to_string().contains("want JSON"), "{text}");
        }
    }

    #[test]
    fn a_refused_item_ends_the_reading_with_the_reason() {
        let text = r#"{"features": [{"id": 1}, {"id": 2}], "links": []}"#;
        let refused = read(text.as_bytes(), |_| anyhow::bail!("no more"));
        assert_eq!(refused.unwrap_err().to_string(), "no more");
    }

    #[test]
    fn a_small_text_that_becomes_a_large_value_is_refused() {
        let many = |one: &str| format!(r#"{{"links": [{}1]}}"#, format!("{one},").repeat(3_000_000));
        for one in ["0", "[]", "{}"] {
            let refused = parts(&many(one)).unwrap_err().to_string();
            assert!(refused.contains("more than 192 MiB"), "{one}: {refused}");
        }
    }
}
