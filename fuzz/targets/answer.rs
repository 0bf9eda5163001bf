//! What a judge says, read: an accepted answer is in range, adds up, reads back as itself when printed, and is
//! accepted no more with prose around it, but for prose in front of the end of a thought, which is thought. The first byte
//! chooses the form.
#![no_main]

#[path = "../../crates/vlm-label/src/answer.rs"]
#[allow(dead_code)]
mod answer;
#[path = "../../crates/vlm-label/src/form.rs"]
#[allow(dead_code)]
mod form;
#[path = "../../crates/vlm-label/src/missing.rs"]
#[allow(dead_code)]
mod missing;

use form::{CHOICES, Form};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

/// Dividing by a sum that is 1 but for rounding moves the last digits.
const ROUNDING: f64 = 1e-12;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let form = match first % 4 {
        0 => Form::Score,
        1 => Form::Choice,
        2 => Form::Shares(vec!["rural".into(), "urban".into()]),
        _ => Form::Shares(vec!["a".into(), "b".into(), "c".into()]),
    };
    let Ok(values) = answer::parse(text, &form) else { return };
    let most = if form == Form::Score { 100.0 } else { 1.0 };
    assert!(values.iter().all(|value| (0.0..=most).contains(value)));
    if form != Form::Score {
        assert!((values.iter().sum::<f64>() - 1.0).abs() < ROUNDING);
    }
    let again = answer::parse(&printed(&values, &form), &form).expect("what was accepted is accepted when printed");
    assert!(values.iter().zip(&again).all(|(a, b)| (a - b).abs() < ROUNDING) && values.len() == again.len());
    if form == Form::Score {
        assert!(values[0] == 0.0 || values[0] >= 1.0, "a fraction of one is no score");
    }
    assert!(answer::parse(&format!("{text} Hope this helps."), &form).is_err());
    let thinks = ["</think", "</thought>", "</reasoning>", "[/THINK]", "◁/think▷"].iter().any(|end| text.contains(end));
    if thinks {
        assert_eq!(answer::parse(&format!("Sure! {text}"), &form), Ok(values));
        return;
    }
    for around in [format!("Sure! {text}"), format!("{text}{text}")] {
        assert!(answer::parse(&around, &form).is_err());
    }
});

fn printed(values: &[f64], form: &Form) -> String {
    let object: Map<String, Value> = match form {
        Form::Score => Map::from_iter([("score".to_owned(), values[0].into())]),
        Form::Shares(classes) => {
            classes.iter().cloned().zip(values.iter().map(|value| Value::from(*value))).collect()
        }
        Form::Choice => {
            let chosen = values.iter().position(|share| *share == 1.0).expect("one choice has the whole share");
            Map::from_iter([("choice".to_owned(), CHOICES[chosen].into())])
        }
    };
    Value::Object(object).to_string()
}
