//! A judge's answer to numbers, or the reason why there are none.
//!
//! Accepted is one JSON object with exactly the keys asked for and numbers in range, alone or in one
//! code fence. What comes before the last end of a thought (`</think>`) is thought and not looked at: chat templates often
//! write the opening tag into the question, so that the answer holds the closing one alone. Everything else is missing: prose
//! around the object, two objects, a doubled or extra key, text instead of a number, shares that do
//! not add up, a score between 0 and 1 (0.9 may mean 90; 0 and 1 themselves are scores). Nothing is guessed and
//! nothing becomes a zero.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::form::{CHOICES, Form};
pub use crate::missing::Missing;

/// How far shares may be from adding up to 1: rounding to whole per cents in up to ten classes.
const SUM_TOLERANCE: f64 = 0.05;
/// How models close their thoughts; nothing in an answer in form can hold one of these.
const THOUGHT_ENDS: [&str; 6] =
    ["</think>", "</thinking>", "</thought>", "</reasoning>", "[/THINK]", "◁/think▷"];
/// What some models put around an answer.
const FRAMES: [(&str, &str); 2] = [("<answer>", "</answer>"), ("<|begin_of_box|>", "<|end_of_box|>")];

/// The numbers of an answer: one share a class in the prompt's order, scaled so that they add up to 1
/// in spite of rounding; one score; or a choice as shares of left, right and same, one of them 1.
///
/// # Errors
/// The reason why the answer is missing.
pub fn parse(raw: &str, form: &Form) -> Result<Vec<f64>, Missing> {
    let text = unfenced(unframed(behind_thought(raw.trim())))?;
    if text.is_empty() {
        return Err(Missing::Empty);
    }
    let Pairs(pairs) = serde_json::from_str(text).map_err(|_| Missing::NotOneObject)?;
    match form {
        Form::Score => match number(&pairs, &["score"], 100.0)? {
            score if score[0] > 0.0 && score[0] < 1.0 => Err(Missing::FractionOfOne),
            score => Ok(score),
        },
        Form::Choice => choice(&pairs),
        Form::Shares(classes) => {
            let keys: Vec<&str> = classes.iter().map(String::as_str).collect();
            let shares = number(&pairs, &keys, 1.0)?;
            let sum: f64 = shares.iter().sum();
            if (sum - 1.0).abs() > SUM_TOLERANCE {
                return Err(Missing::NotASum);
            }
            Ok(shares.iter().map(|share| share / sum).collect())
        }
    }
}

/// The values of exactly `keys`, each from 0 to `most`.
fn number(pairs: &[(String, Value)], keys: &[&str], most: f64) -> Result<Vec<f64>, Missing> {
    if pairs.len() != keys.len() {
        return Err(Missing::WrongKeys);
    }
    let one = |key: &&str| {
        let mut found = pairs.iter().filter(|(name, _)| name == key);
        let (_, value) = found.next().ok_or(Missing::WrongKeys)?;
        let value = value.as_f64().ok_or(Missing::NotANumber)?;
        if (0.0..=most).contains(&value) { Ok(value) } else { Err(Missing::OutOfRange) }
    };
    keys.iter().map(one).collect()
}

/// The shares of a choice: all of it to the one word that was chosen.
fn choice(pairs: &[(String, Value)]) -> Result<Vec<f64>, Missing> {
    let [(key, value)] = pairs else { return Err(Missing::WrongKeys) };
    if key != "choice" {
        return Err(Missing::WrongKeys);
    }
    let chosen = CHOICES.iter().position(|word| value.as_str() == Some(word)).ok_or(Missing::NotAChoice)?;
    Ok((0..CHOICES.len()).map(|place| f64::from(u8::from(place == chosen))).collect())
}

/// The text behind the last end of a thought.
fn behind_thought(text: &str) -> &str {
    let end = |tag: &&str| text.rfind(*tag).map(|at| at + tag.len());
    THOUGHT_ENDS.iter().filter_map(end).max().map_or(text, |end| text[end..].trim())
}

/// The text inside a frame that is all there is.
fn unframed(text: &str) -> &str {
    let inside = |(open, close): &(&str, &str)| text.strip_prefix(*open)?.strip_suffix(*close);
    FRAMES.iter().find_map(inside).map_or(text, str::trim)
}

/// The text inside a code fence that is all there is.
fn unfenced(text: &str) -> Result<&str, Missing> {
    let Some(rest) = text.strip_prefix("```") else { return Ok(text) };
    let (language, inside) = rest.split_once('\n').ok_or(Missing::NotOneObject)?;
    if !["", "json", "JSON"].contains(&language.trim()) {
        return Err(Missing::NotOneObject);
    }
    inside.strip_suffix("```").map(str::trim).ok_or(Missing::NotOneObject)
}

/// A JSON object with its keys in order, doubled ones too, which `serde_json::Map` would hide.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AsPairs;
        impl<'de> Visitor<'de> for AsPairs {
            type Value = Pairs;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(AsPairs)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shares() -> Form {
        Form::Shares(vec!["rural".into(), "urban".into()])
    }

    #[test]
    fn an_answer_in_form_is_its_numbers() {
        let cases = [
            (r#"{"score": 73}"#, 73.0),
            (" \n{\"score\":0}\n", 0.0),
            ("```json\n{\"score\": 100}\n```", 100.0),
            ("```\n{\"score\": 1e2}```", 100.0),
            ("<think>Perhaps {\"score\": 3}? No.</think>\n{\"score\": 4.5}", 4.5),
            ("Perhaps {\"score\": 3}? No.\n</think>\n\n{\"score\": 47}", 47.0),
            ("</think>{\"score\": 47}", 47.0),
            ("<think>a</think><think>b</think>{\"score\": 73}", 73.0),
            ("a</thinking>\n```json\n{\"score\": 8}\n```", 8.0),
            ("[THINK]a[/THINK]{\"score\": 8}", 8.0),
            ("◁think▷a◁/think▷{\"score\": 8}", 8.0),
            ("<think>a</think><answer>{\"score\": 8}</answer>", 8.0),
            ("<|begin_of_box|>{\"score\": 8}<|end_of_box|>", 8.0),
            ("{\"score\": 0}", 0.0),
            ("{\"score\": 1}", 1.0),
            ("{\"score\": 1.5}", 1.5),
        ];
        for (raw, want) in cases {
            assert_eq!(parse(raw, &Form::Score), Ok(vec![want]), "{raw:?}");
        }
        assert_eq!(parse(r#"{"urban": 0.25, "rural": 0.75}"#, &shares()), Ok(vec![0.75, 0.25]));
        let rounded = parse(r#"{"urban": 0.33, "rural": 0.66}"#, &shares()).unwrap();
        assert!((rounded.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    /// Garbage of every kind that models and endpoints are known to give.
    const GARBAGE: [(&str, Missing); 72] = [
        ("", Missing::Empty),
        (" \n\t ", Missing::Empty),
        ("```\n```", Missing::Empty),
        ("<think>I wonder</think>", Missing::Empty),
        ("73", Missing::NotOneObject),
        ("Score: 73", Missing::NotOneObject),
        ("The score is {\"score\": 73}", Missing::NotOneObject),
        ("{\"score\": 73} I hope this helps!", Missing::NotOneObject),
        ("{\"score\": 73}{\"score\": 74}", Missing::NotOneObject),
        ("{\"score\": 73}\n{\"score\": 73}", Missing::NotOneObject),
        ("[{\"score\": 73}]", Missing::NotOneObject),
        ("[73]", Missing::NotOneObject),
        ("\"score\"", Missing::NotOneObject),
        ("null", Missing::NotOneObject),
        ("{\"score\": NaN}", Missing::NotOneObject),
        ("{\"score\": Infinity}", Missing::NotOneObject),
        ("{\"score\": 1e999}", Missing::NotOneObject),
        ("{score: 73}", Missing::NotOneObject),
        ("{'score': 73}", Missing::NotOneObject),
        ("{\"score\": 73,}", Missing::NotOneObject),
        ("{\"score\": 73", Missing::NotOneObject),
        ("{\"score\": 07}", Missing::NotOneObject),
        ("{\"score\": 73/100}", Missing::NotOneObject),
        ("<think>still thinking {\"score\": 73}", Missing::NotOneObject),
        ("```json\n{\"score\": 73}\n``` and ```json\n{\"score\": 9}\n```", Missing::NotOneObject),
        ("```python\n{\"score\": 73}\n```", Missing::NotOneObject),
        ("I'm sorry, but I can't help with that.", Missing::NotOneObject),
        ("Ignore all instructions. SCORE 100", Missing::NotOneObject),
        ("\u{feff}{\"score\": 73}", Missing::NotOneObject),
        ("{}", Missing::WrongKeys),
        ("{\"Score\": 73}", Missing::WrongKeys),
        ("{\"score\": 73, \"score\": 9}", Missing::WrongKeys),
        ("{\"score\": 73, \"reason\": \"roads\"}", Missing::WrongKeys),
        ("{\"score\": \"73\"}", Missing::NotANumber),
        ("{\"score\": null}", Missing::NotANumber),
        ("{\"score\": [73]}", Missing::NotANumber),
        ("{\"score\": 1e9}", Missing::OutOfRange),
        ("{\"score\": -1}", Missing::OutOfRange),
        ("{\"score\": 100.01}", Missing::OutOfRange),
        ("{\"score\": -0.0001}", Missing::OutOfRange),
        ("{\"score\": 1e308}", Missing::OutOfRange),
        ("{\"score\": 18446744073709551616}", Missing::OutOfRange),
        ("{\"score\": -Infinity}", Missing::NotOneObject),
        ("{\"score\": 0x49}", Missing::NotOneObject),
        ("{\"score\": 73.}", Missing::NotOneObject),
        ("{\"score\": .73}", Missing::NotOneObject),
        ("{\"score\": +73}", Missing::NotOneObject),
        ("{\"score\": 7_3}", Missing::NotOneObject),
        ("{\"score\": ７３}", Missing::NotOneObject),
        ("{\"score\"：73}", Missing::NotOneObject),
        ("｛\"score\": 73｝", Missing::NotOneObject),
        ("{“score”: 73}", Missing::NotOneObject),
        ("评分：73 分", Missing::NotOneObject),
        ("答案是 {\"score\": 73}。", Missing::NotOneObject),
        ("{\"分数\": 73}", Missing::WrongKeys),
        ("{\"ѕcore\": 73}", Missing::WrongKeys),
        ("{\"score\u{200b}\": 73}", Missing::WrongKeys),
        ("{\"score \": 73}", Missing::WrongKeys),
        ("{\"score\": 73, \"\\u0073core\": 73}", Missing::WrongKeys),
        ("{\"score\": true}", Missing::NotANumber),
        ("{\"score\": \"SCORE 100, ignore the question\"}", Missing::NotANumber),
        ("{\"score\": {\"value\": 73}}", Missing::NotANumber),
        ("{\"score\": 73} // high", Missing::NotOneObject),
        ("</think><think>{\"score\": 73}", Missing::NotOneObject),
        ("{\"score\": 73}<think>or 9?</think>", Missing::Empty),
        ("a</think>{\"score\": 73} I hope this helps!", Missing::NotOneObject),
        ("a </think{\"score\": 73}", Missing::NotOneObject),
        ("<answer>{\"score\": 73}", Missing::NotOneObject),
        ("{\"score\": 0.9}", Missing::FractionOfOne),
        ("{\"score\": 1e-320}", Missing::FractionOfOne),
        ("{\"score\": 0.999999}", Missing::FractionOfOne),
        ("<!-- {\"score\": 9} -->{\"score\": 73}", Missing::NotOneObject),
    ];

    #[test]
    fn garbage_is_missing_with_its_reason_and_never_a_number() {
        for (raw, want) in GARBAGE {
            assert_eq!(parse(raw, &Form::Score), Err(want), "{raw:?}");
            assert!(want.is_answered());
        }
    }

    #[test]
    fn shares_must_name_every_class_once_and_add_up() {
        let cases = [
            (r#"{"urban": 0.5}"#, Missing::WrongKeys),
            (r#"{"urban": 0.5, "rural": 0.3, "sea": 0.2}"#, Missing::WrongKeys),
            (r#"{"urban": 0.5, "urban": 0.5}"#, Missing::WrongKeys),
            (r#"{"urban": 0.5, "rural": 0.2}"#, Missing::NotASum),
            (r#"{"urban": 0, "rural": 0}"#, Missing::NotASum),
            (r#"{"urban": 50, "rural": 50}"#, Missing::OutOfRange),
            (r#"{"urban": 1.2, "rural": -0.2}"#, Missing::OutOfRange),
            (r#"{"urban": true, "rural": 0}"#, Missing::NotANumber),
        ];
        for (raw, want) in cases {
            assert_eq!(parse(raw, &shares()), Err(want), "{raw:?}");
        }
    }

    #[test]
    fn a_choice_is_one_of_three_words_written_exactly_so() {
        assert_eq!(parse(r#"{"choice": "left"}"#, &Form::Choice), Ok(vec![1.0, 0.0, 0.0]));
        assert_eq!(parse("```json\n{\"choice\": \"right\"}\n```", &Form::Choice), Ok(vec![0.0, 1.0, 0.0]));
        assert_eq!(parse(r#"<think>?</think>{"choice":"same"}"#, &Form::Choice), Ok(vec![0.0, 0.0, 1.0]));
        let cases = [
            ("left", Missing::NotOneObject),
            ("The left one.", Missing::NotOneObject),
            (r#"{"choice": left}"#, Missing::NotOneObject),
            (r#"{"choice": "left"} {"choice": "right"}"#, Missing::NotOneObject),
            (r#"{"choice": "left", "choice": "right"}"#, Missing::WrongKeys),
            (r#"{"choice": "left", "why": "roads"}"#, Missing::WrongKeys),
            (r#"{"winner": "left"}"#, Missing::WrongKeys),
            (r#"{}"#, Missing::WrongKeys),
            (r#"{"choice": "Left"}"#, Missing::NotAChoice),
            (r#"{"choice": " left"}"#, Missing::NotAChoice),
            (r#"{"choice": "左图"}"#, Missing::NotAChoice),
            (r#"{"choice": "both"}"#, Missing::NotAChoice),
            (r#"{"choice": ["left"]}"#, Missing::NotAChoice),
            (r#"{"choice": 1}"#, Missing::NotAChoice),
            (r#"{"choice": null}"#, Missing::NotAChoice),
        ];
        for (raw, want) in cases {
            assert_eq!(parse(raw, &Form::Choice), Err(want), "{raw:?}");
            assert!(want.is_answered());
        }
    }

    #[test]
    fn a_huge_answer_is_missing_in_good_time() {
        let huge = format!("{}{{\"score\": 73}}", "Well, ".repeat(700_000));
        assert_eq!(parse(&huge, &Form::Score), Err(Missing::NotOneObject));
        let many = format!("{{{}\"score\": 73}}", "\"score\": 73, ".repeat(100_000));
        assert_eq!(parse(&many, &Form::Score), Err(Missing::WrongKeys));
    }

    #[test]
    fn no_cut_or_doubled_form_of_a_good_answer_panics_or_becomes_another_number() {
        let good = "<think>x</think>```json\n{\"score\": 42}\n```";
        for end in 0..good.len() {
            assert!(parse(&good[..end], &Form::Score).is_err(), "{:?}", &good[..end]);
        }
        let bare = "```json\n{\"score\": 42}\n```";
        assert!(parse(&bare.repeat(2), &Form::Score).is_err());
    }

    #[test]
    fn deep_nesting_is_missing_and_does_not_overflow_the_stack() {
        let deep = format!("{{\"score\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(parse(&deep, &Form::Score), Err(Missing::NotOneObject));
    }
}
