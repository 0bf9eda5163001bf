//! A body as a chat completion, and that as what was heard.
//!
//! The envelope is read as strictly as the answer in it: an error beside the answer, a message of another role, a call of a tool,
//! an end that is no end, two answers that differ, and two keys of one name are missing answers, each with its reason. What was paid for and is not just a text is recorded as it came, so
//! that a later version can read more of it.

use serde_json::Value;

use super::doubled::says_twice;
use super::envelope::{is_error, read_choices};
use super::price::Tokens;
use super::said::{Said, Secrets};
use crate::answer::Missing;
use crate::judge::Call;
use crate::tape::Heard;

/// More tokens than any model takes: a count like this says nothing.
const MOST_TOKENS: u64 = 1 << 30;
/// A chat completion.
#[derive(Clone, Debug)]
pub struct Chat {
    body: Value,
    /// The body's text, where it says something twice.
    twice: Option<String>,
}

/// Why a body is none, and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct NoChat {
    /// An error, or nothing that is known.
    pub missing: Missing,
    /// What the error says.
    pub said: Said,
    /// Whether an answer stands beside the error, so that it may have been paid for.
    pub has_answer: bool,
}

/// What the endpoint counted; what is absent, zero or beyond belief was not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Tokens of the question.
    pub n_in: Option<u64>,
    /// Tokens of the answer.
    pub n_out: Option<u64>,
}

impl Counted {
    /// What was counted, and the rest of these.
    pub fn or(self, others: Tokens) -> Tokens {
        Tokens { n_in: self.n_in.unwrap_or(others.n_in), n_out: self.n_out.unwrap_or(others.n_out) }
    }
}

impl Chat {
    /// Reads the body of a response of success.
    ///
    /// # Errors
    /// It is no chat completion, or says that it failed.
    pub fn read(body: &[u8], secrets: &Secrets) -> Result<Self, NoChat> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let twice = says_twice(body).unwrap_or(false);
        let twice = twice.then(|| String::from_utf8_lossy(body).into_owned());
        Self::of(json, twice, secrets)
    }

    /// The same of JSON that was read already.
    ///
    /// # Errors
    /// As there.
    pub fn of(body: Value, twice: Option<String>, secrets: &Secrets) -> Result<Self, NoChat> {
        let has_answer = body["choices"][0]["message"].is_object();
        let in_choice = is_error(&body["choices"][0]["error"]);
        if in_choice || is_error(&body["error"]) {
            let holder = if in_choice { &body["choices"][0] } else { &body };
            let (said, ..) = Said::of_json(holder, secrets);
            return Err(NoChat { missing: Missing::EndpointError, said, has_answer });
        }
        if !has_answer {
            let (said, ..) = Said::of_json(&body, secrets);
            let missing = if said.is_empty() { Missing::NotAChat } else { Missing::EndpointError };
            return Err(NoChat { missing, said, has_answer: !body["choices"].is_null() });
        }
        Ok(Self { body, twice })
    }

    /// What the endpoint counted.
    pub fn counted(&self) -> Counted {
        let count = |key: &str| self.body["usage"][key].as_u64().filter(|n| (1..=MOST_TOKENS).contains(n));
        Counted { n_in: count("prompt_tokens"), n_out: count("completion_tokens") }
    }

    /// What was heard.
    pub fn heard(self, parameters: &str, latency_s: Option<f64>) -> Heard {
        let counted = self.counted();
        let count = |n: Option<u64>| n.and_then(|n| u32::try_from(n).ok());
        let call = Call {
            model: self.body["model"].as_str().map(str::to_owned),
            parameters: Some(parameters.to_owned()),
            n_tokens_in: count(counted.n_in),
            n_tokens_out: count(counted.n_out),
            latency_s,
        };
        if let Some(text) = self.twice {
            let (raw, missing) = (Some(Value::String(text)), Some(Missing::SaidTwice));
            return Heard { raw, missing, choices: None, call };
        }
        let choices = &self.body["choices"];
        let (raw, missing) = read_choices(choices);
        let is_just_text = choices[0]["message"]["content"].is_string() && choices[1].is_null();
        let is_said = matches!(missing, None | Some(Missing::Cut | Missing::Refused));
        let choices = (!is_just_text || !is_said).then(|| choices.clone());
        Heard { raw, missing, choices, call }
    }
}

/// What is recorded of a call that was lost.
pub fn lost(missing: Missing, parameters: &str) -> Heard {
    let call = Call { parameters: Some(parameters.to_owned()), ..Call::default() };
    Heard { missing: Some(missing), call, ..Heard::default() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    const SCORE: &str = "{\"score\": 47}";

    fn read(body: &Value) -> Result<Chat, NoChat> {
        Chat::read(body.to_string().as_bytes(), &Secrets::default())
    }

    fn chat(message: Value, reason: &str) -> Heard {
        let body = json!({"model": "m-1", "choices": [{"message": message, "finish_reason": reason}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2}});
        read(&body).unwrap().heard("{}", Some(0.5))
    }

    #[test]
    fn a_refusal_a_cut_answer_and_a_plain_one_are_told_apart() {
        let plain = chat(json!({"content": "x"}), "stop");
        assert_eq!((plain.raw, plain.missing, plain.choices), (Some(json!("x")), None, None));
        assert_eq!((plain.call.n_tokens_in, plain.call.n_tokens_out), (Some(7), Some(2)));
        assert_eq!((plain.call.model.as_deref(), plain.call.latency_s), (Some("m-1"), Some(0.5)));
        let refused = chat(json!({"content": null, "refusal": "no"}), "stop");
        assert_eq!((refused.raw, refused.missing), (Some(json!("no")), Some(Missing::Refused)));
    }

    #[test]
    fn answers_that_differ_and_keys_that_are_doubled_are_missing() {
        let one = |text: &str| json!({"message": {"content": text}, "finish_reason": "stop"});
        let several = |all: &[Value]| read(&json!({"choices": all})).unwrap().heard("{}", None).missing;
        assert_eq!(several(&[one("a"), one("b")]), Some(Missing::SeveralAnswers));
        assert_eq!(several(&[one("a"), one("a")]), None);
        let body = r#"{"choices": [{"message": {"content": "a", "content": "b"}, "finish_reason": "stop"}]}"#;
        let heard = Chat::read(body.as_bytes(), &Secrets::default()).unwrap().heard("{}", None);
        assert_eq!((heard.raw, heard.missing), (Some(json!(body)), Some(Missing::SaidTwice)));
    }

    #[test]
    fn an_error_is_none_whatever_stands_beside_it() {
        let choices = json!([{"message": {"content": SCORE}}]);
        for error in [json!({"message": "no", "code": 502}), json!("no"), json!(["no"]), json!(true)] {
            for body in [json!({"error": error}), json!({"error": error, "choices": choices})] {
                assert_eq!(read(&body).unwrap_err().missing, Missing::EndpointError, "{body}");
            }
            let inside = json!({"choices": [{"message": {"content": SCORE}, "error": error}]});
            assert_eq!(read(&inside).unwrap_err().missing, Missing::EndpointError, "{inside}");
        }
        for nothing in [json!(null), json!({}), json!(""), json!(false)] {
            assert!(read(&json!({"error": nothing, "choices": choices})).is_ok(), "{nothing}");
        }
        let said = read(&json!({"message": "no such model", "code": 404})).unwrap_err();
        assert_eq!(said.missing, Missing::EndpointError);
        for nothing in [json!({"choices": []}), json!({"choices": [{"delta": {}}]}), json!([]), json!(null)] {
            assert_eq!(read(&nothing).unwrap_err().missing, Missing::NotAChat, "{nothing}");
        }
        assert!(Chat::read(b"\xef\xbb\xbf{\"choices\": [{\"message\": {}}]}", &Secrets::default()).is_ok());
    }

    #[test]
    fn a_count_of_nothing_or_beyond_belief_is_no_count() {
        let counted = |usage: Value| {
            let body = json!({"choices": [{"message": {"content": SCORE}}], "usage": usage});
            read(&body).unwrap().counted()
        };
        let none = Counted::default();
        for usage in [
            json!(null),
            json!({}),
            json!({"prompt_tokens": 0, "completion_tokens": 0}),
            json!({"prompt_tokens": -5, "completion_tokens": -5}),
            json!({"prompt_tokens": "1e9", "completion_tokens": [1]}),
            json!({"prompt_tokens": 1_u64 << 63, "completion_tokens": 1_u64 << 63}),
        ] {
            assert_eq!(counted(usage.clone()), none, "{usage}");
        }
        assert_eq!(counted(json!({"prompt_tokens": 9})), Counted { n_in: Some(9), n_out: None });
    }
}
