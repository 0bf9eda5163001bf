//! A question as a request, and what shapes it beside the prompt: sampling, limits, the schema of the answer.

use serde::Serialize;
use serde_json::{Value, json};

use super::dialect::Spoken;
use super::price::{ImageTokens, Tokens, text_tokens};
use crate::form::{CHOICES, Form};
use crate::judge::Question;

/// Tokens that frame a message, and those of a schema.
const FRAME_TOKENS: u64 = 64;
/// An answer in form, with room for a code fence.
const ANSWER_TOKENS: u64 = 100;

/// What a picture is looked at with, for endpoints that know the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Detail {
    /// Small and cheap
    Low,
    /// In full
    High,
    /// As the endpoint chooses
    Auto,
}

/// Whether the endpoint is given the answer's JSON schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Schema {
    /// Yes, until it rejects one
    #[default]
    Auto,
    /// Yes
    On,
    /// No
    Off,
}

/// What shapes a request beside prompt and picture; with another value it is another question.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Parameters {
    /// Length of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// 0: the likeliest answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Share of likely words to draw from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Seed of the endpoint's draws; the number of the repeat is added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// How pictures are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
    /// The answer's schema.
    #[serde(skip_serializing_if = "is_off")]
    pub schema: Schema,
}

impl Parameters {
    /// One text for equal parameters: a JSON object of what is set.
    pub fn text(&self) -> String {
        json!(self).to_string()
    }
}

/// What a question is expected to take, rather too much; without `max_tokens` its answer is a guess.
pub fn expected(question: &Question<'_>, parameters: &Parameters, image: ImageTokens) -> Tokens {
    let of_pictures: u64 = question.pictures().map(|picture| image.of(picture.side_px)).sum();
    let n_in = FRAME_TOKENS + text_tokens(&question.prompt.body) + of_pictures;
    Tokens { n_in, n_out: parameters.max_tokens.map_or(ANSWER_TOKENS, u64::from) }
}

fn is_off(schema: &Schema) -> bool {
    *schema == Schema::Off
}

/// The body of a chat completion in the endpoint's dialect.
///
/// # Errors
/// A picture cannot be encoded.
pub fn body(
    model: &str,
    question: &Question<'_>,
    parameters: &Parameters,
    spoken: Spoken,
) -> anyhow::Result<Value> {
    let mut content = vec![json!({"type": "text", "text": question.prompt.body})];
    for picture in question.pictures() {
        let mut url = json!({"url": picture.data_url()?});
        if let Some(detail) = parameters.detail {
            url["detail"] = json!(detail);
        }
        content.push(json!({"type": "image_url", "image_url": url}));
    }
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": content}]});
    let settings = [
        (spoken.length_key, parameters.max_tokens.map(|n| json!(n))),
        ("temperature", parameters.temperature.map(|value| json!(value))),
        ("top_p", parameters.top_p.map(|value| json!(value))),
        ("seed", parameters.seed.map(|seed| json!(seed.wrapping_add(i64::from(question.repeat))))),
        ("response_format", spoken.with_schema.then(|| response_format(&question.prompt.form))),
    ];
    for (key, value) in settings {
        if let Some(value) = value {
            body[key] = value;
        }
    }
    Ok(body)
}

/// The form of a prompt as a JSON schema that only answers in form fit.
fn response_format(form: &Form) -> Value {
    let number = |most: u32| json!({"type": "number", "minimum": 0, "maximum": most});
    let fields: Vec<(&str, Value)> = match form {
        Form::Score => vec![("score", number(100))],
        Form::Choice => vec![("choice", json!({"type": "string", "enum": CHOICES}))],
        Form::Shares(classes) => classes.iter().map(|class| (class.as_str(), number(1))).collect(),
    };
    let required: Vec<&str> = fields.iter().map(|(key, _)| *key).collect();
    let properties: serde_json::Map<String, Value> =
        fields.iter().map(|(key, kind)| ((*key).to_owned(), kind.clone())).collect();
    let schema = json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}})
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_told_apart_by_what_is_set_and_nothing_set_is_an_old_recording() {
        let none = Parameters { schema: Schema::Off, ..Parameters::default() };
        assert_eq!(none.text(), "{}");
        let warm = Parameters { temperature: Some(0.7), seed: Some(3), ..Parameters::default() };
        assert_eq!(warm.text(), r#"{"temperature":0.7,"seed":3,"schema":"auto"}"#);
    }

    #[test]
    fn the_schema_asks_for_exactly_what_the_strict_reader_accepts() {
        let format = response_format(&Form::Shares(vec!["rural".into(), "urban".into()]));
        let schema = &format["json_schema"]["schema"];
        assert_eq!(schema["required"], json!(["rural", "urban"]));
        assert_eq!(schema["properties"]["urban"]["maximum"], 1);
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(
            response_format(&Form::Score)["json_schema"]["schema"]["properties"]["score"]["maximum"],
            100
        );
    }
}
