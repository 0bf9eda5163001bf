//! The choices of a chat completion: the text of the answer, or why there is none.
//!
//! Of a content in parts those of text are joined; reasoning is never the answer. Left out: what stands around the choices (`reply`),
//! and what the text says (`answer`).

use serde_json::{Value, json};

use crate::answer::Missing;

/// Words for an answer that came to its end.
const ENDS: [&str; 9] = [
    "stop",
    "end_turn",
    "eos",
    "eos_token",
    "stop_sequence",
    "complete",
    "completed",
    "finished",
    "finish_reason_stop",
];
const CUTS: [&str; 6] =
    ["length", "max_tokens", "max_length", "model_length", "max_output_tokens", "incomplete"];
const REFUSALS: [&str; 9] = [
    "content_filter",
    "refusal",
    "safety",
    "recitation",
    "blocklist",
    "prohibited_content",
    "sensitive",
    "spii",
    "image_safety",
];
const CALLS: [&str; 3] = ["tool_calls", "tool_use", "function_call"];
const FAILURES: [&str; 9] = [
    "error",
    "server_error",
    "network_error",
    "insufficient_system_resource",
    "abort",
    "aborted",
    "cancelled",
    "timeout",
    "malformed_response",
];

/// The answer in the choices of a chat completion: its text, or its content as it came where there is none; and why it does not count.
pub fn read_choices(choices: &Value) -> (Option<Value>, Option<Missing>) {
    let all: Vec<_> = choices.as_array().into_iter().flatten().map(read_choice).collect();
    match &all[..] {
        [] => (None, Some(Missing::Empty)),
        [first, others @ ..] if others.iter().all(|other| other == first) => first.clone(),
        [first, ..] => (first.0.clone(), Some(Missing::SeveralAnswers)),
    }
}

fn read_choice(choice: &Value) -> (Option<Value>, Option<Missing>) {
    let message = &choice["message"];
    let content = &message["content"];
    let as_it_came = || Some(content.clone()).filter(|content| !content.is_null());
    let text = text_of(content);
    let raw = match (&message["refusal"], &text) {
        (Value::String(refusal), _) if !refusal.is_empty() => {
            return (Some(json!(refusal)), Some(Missing::Refused));
        }
        (_, Ok(Some(text))) => Some(json!(text)),
        (_, Ok(None) | Err(_)) => as_it_came(),
    };
    let missing = wrong_envelope(choice).or(match text {
        Ok(Some(text)) if !text.trim().is_empty() => None,
        Ok(_) if reasons(message) => Some(Missing::OnlyReasoning),
        Ok(_) => Some(Missing::Empty),
        Err(missing) => Some(missing),
    });
    (raw, missing)
}

/// What around the content makes it no answer.
fn wrong_envelope(choice: &Value) -> Option<Missing> {
    let message = &choice["message"];
    let is_assistant = |role: &str| role.eq_ignore_ascii_case("assistant");
    if !message["role"].is_null() && !message["role"].as_str().is_some_and(is_assistant) {
        return Some(Missing::WrongRole);
    }
    if !matches!(&message["refusal"], Value::Null | Value::Bool(false)) && message["refusal"] != json!("") {
        return Some(Missing::Refused);
    }
    let calls = message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty());
    let calls = calls || message["tool_calls"].is_object() || message["function_call"].is_object();
    let reason = match &choice["finish_reason"] {
        Value::Null => return calls.then_some(Missing::ToolCall),
        Value::String(reason) => reason.to_lowercase(),
        _ => return Some(Missing::Unfinished),
    };
    let is_of = |words: &[&str]| words.contains(&reason.as_str());
    match () {
        () if is_of(&FAILURES) => Some(Missing::EndpointError),
        () if is_of(&REFUSALS) => Some(Missing::Refused),
        () if is_of(&CUTS) => Some(Missing::Cut),
        () if calls || is_of(&CALLS) => Some(Missing::ToolCall),
        // some endpoints give an empty word, or `null` as one
        () if is_of(&ENDS) || is_of(&["", "null"]) => None,
        () => Some(Missing::Unfinished),
    }
}

/// Whether an `error` key says that something went wrong.
pub fn is_error(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

/// The text of a content: itself, or its parts of text in their order, without those of reasoning.
fn text_of(content: &Value) -> Result<Option<String>, Missing> {
    let parts = match content {
        Value::Null => return Ok(None),
        Value::String(text) => return Ok(Some(text.clone())),
        Value::Array(parts) => parts.iter().collect::<Vec<_>>(),
        Value::Object(_) => vec![content],
        _ => return Err(Missing::NotText),
    };
    let mut text = String::new();
    for part in parts {
        text += part_text(part)?;
    }
    Ok(Some(text))
}

fn part_text(part: &Value) -> Result<&str, Missing> {
    if let Some(text) = part.as_str() {
        return Ok(text);
    }
    let kind = part["type"].as_str().unwrap_or("text").to_lowercase();
    if kind.contains("think") || kind.contains("reason") {
        return Ok("");
    }
    if kind == "refusal" {
        return Err(Missing::Refused);
    }
    let text = part["text"].as_str().or_else(|| part["text"]["value"].as_str());
    text.filter(|_| matches!(kind.as_str(), "text" | "output_text")).ok_or(Missing::NotText)
}

fn reasons(message: &Value) -> bool {
    let said = |key: &str| !matches!(&message[key], Value::Null) && message[key] != json!("");
    let in_parts = message["content"].as_array().is_some_and(|parts| !parts.is_empty());
    in_parts || ["reasoning_content", "reasoning", "reasoning_details", "thinking"].into_iter().any(said)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::openai::reply::Chat;
    use crate::openai::said::Secrets;
    use crate::tape::Heard;

    const SCORE: &str = "{\"score\": 47}";

    fn chat(message: Value, reason: &str) -> Heard {
        let body = json!({"choices": [{"message": message, "finish_reason": reason}]});
        Chat::of(body, None, &Secrets::default()).unwrap().heard("{}", None)
    }

    #[test]
    fn every_end_that_is_no_end_is_missing_with_its_reason() {
        let mut n = 0;
        for (words, missing) in [
            (&ENDS[..], None),
            (&CUTS[..], Some(Missing::Cut)),
            (&REFUSALS[..], Some(Missing::Refused)),
            (&CALLS[..], Some(Missing::ToolCall)),
            (&FAILURES[..], Some(Missing::EndpointError)),
            (&["a new word"][..], Some(Missing::Unfinished)),
        ] {
            for word in words {
                let heard = chat(json!({"role": "assistant", "content": SCORE}), &word.to_uppercase());
                assert_eq!((heard.raw, heard.missing), (Some(json!(SCORE)), missing), "{word}");
                n += 1;
            }
        }
        assert_eq!(n, 37);
    }

    #[test]
    fn a_message_that_is_no_answer_is_missing_and_kept_as_it_came() {
        let call = json!([{"id": "1", "type": "function", "function": {"name": "a", "arguments": SCORE}}]);
        let cases = [
            (json!({"role": "user", "content": SCORE}), Missing::WrongRole),
            (json!({"role": 3, "content": SCORE}), Missing::WrongRole),
            (json!({"content": SCORE, "tool_calls": call}), Missing::ToolCall),
            (json!({"content": null, "tool_calls": call}), Missing::ToolCall),
            (json!({"content": SCORE, "function_call": {"name": "a"}}), Missing::ToolCall),
            (json!({"content": null, "reasoning_content": SCORE}), Missing::OnlyReasoning),
            (json!({"content": "", "reasoning": SCORE}), Missing::OnlyReasoning),
            (json!({"content": [{"type": "thinking", "thinking": SCORE}]}), Missing::OnlyReasoning),
            (json!({"content": null}), Missing::Empty),
            (json!({"content": 47}), Missing::NotText),
            (json!({"content": {"score": 47}}), Missing::NotText),
            (json!({"content": [{"type": "image_url", "text": SCORE}]}), Missing::NotText),
            (json!({"content": [47]}), Missing::NotText),
            (json!({"content": [{"type": "refusal", "refusal": "no"}]}), Missing::Refused),
            (json!({"content": SCORE, "refusal": {"why": "no"}}), Missing::Refused),
        ];
        for (message, missing) in cases {
            let heard = chat(message.clone(), "stop");
            assert_eq!(heard.missing, Some(missing), "{message}");
            assert!(missing.is_answered(), "{message}");
            if !matches!(missing, Missing::Refused) {
                assert_eq!(heard.choices.unwrap()[0]["message"], message);
            }
        }
    }

    #[test]
    fn parts_of_text_are_joined_and_reasoning_beside_them_is_not_the_answer() {
        let text = |text: &str| json!({"type": "text", "text": text});
        let contents = [
            json!([{"type": "thinking", "thinking": [text("roads")]}, text(SCORE)]),
            json!([text("{\"score\""), text(": 47}")]),
            json!([{"type": "output_text", "text": SCORE, "annotations": []}]),
            json!([{"type": "text", "text": {"value": SCORE}}]),
            json!([SCORE]),
            text(SCORE),
        ];
        for content in contents {
            let heard =
                chat(json!({"role": "assistant", "content": content, "reasoning_content": "9"}), "stop");
            assert_eq!((heard.raw, heard.missing), (Some(json!(SCORE)), None), "{content}");
            assert_eq!(heard.choices.unwrap()[0]["message"]["content"], content);
        }
    }
}
