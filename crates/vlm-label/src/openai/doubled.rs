//! Whether a body says something twice: JSON with a doubled key has no one meaning, and every reader takes another of the two.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Keys that decide what an answer is.
const DECIDING: [&str; 9] =
    ["choices", "message", "content", "role", "finish_reason", "refusal", "tool_calls", "error", "text"];

/// Whether any object in the JSON text has two keys of one name, of those that decide what the answer is.
///
/// # Errors
/// The text is no JSON.
pub fn says_twice(json: &[u8]) -> serde_json::Result<bool> {
    serde_json::from_slice(json).map(|Doubled(doubled)| doubled)
}

struct Doubled(bool);

impl<'de> Deserialize<'de> for Doubled {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Look)
    }
}

struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Doubled;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Doubled, A::Error> {
        let (mut seen, mut doubled) = ([false; DECIDING.len()], false);
        while let Some(key) = map.next_key::<String>()? {
            if let Some(place) = DECIDING.iter().position(|name| *name == key) {
                doubled |= std::mem::replace(&mut seen[place], true);
            }
            doubled |= map.next_value::<Doubled>()?.0;
        }
        Ok(Doubled(doubled))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Doubled, A::Error> {
        let mut doubled = false;
        while let Some(item) = items.next_element::<Doubled>()? {
            doubled |= item.0;
        }
        Ok(Doubled(doubled))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Doubled, E> {
        Ok(Doubled(false))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Doubled, E> {
        Ok(Doubled(false))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Doubled, E> {
        Ok(Doubled(false))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Doubled, E> {
        Ok(Doubled(false))
    }

    fn visit_str<E>(self, _: &str) -> Result<Doubled, E> {
        Ok(Doubled(false))
    }

    fn visit_unit<E>(self) -> Result<Doubled, E> {
        Ok(Doubled(false))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_of_one_name_in_one_object_are_found_at_any_depth_and_however_they_are_written() {
        let cases = [
            (r#"{"choices": [{"message": {"content": "a", "content": "b"}}]}"#, true),
            (r#"{"choices": [], "choices": []}"#, true),
            (r#"{"choices": [{"message": {"content": "a", "\u0063ontent": "b"}}]}"#, true),
            (
                r#"{"choices": [{"message": {"content": [{"type": "text", "text": "a", "text": "b"}]}}]}"#,
                true,
            ),
            (r#"{"choices": [{"message": {"content": "a"}}, {"message": {"content": "b"}}]}"#, false),
            (r#"{"id": 1, "id": 2, "choices": [1.5, true, null, -3, "x"]}"#, false),
        ];
        for (json, want) in cases {
            assert_eq!(says_twice(json.as_bytes()).unwrap(), want, "{json}");
        }
        assert!(says_twice(b"{\"choices\": [").is_err());
        let deep = format!("{{\"choices\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(says_twice(deep.as_bytes()).is_err());
    }
}
