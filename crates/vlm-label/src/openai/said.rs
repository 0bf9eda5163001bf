//! What an endpoint says of an error, as it may be repeated: its code, the parameter that it names, and its message, short, in one
//! line, without control characters and without anything that looks like a secret.
//!
//! Endpoints repeat keys and tokens in their errors. Hidden is what shares a stretch with the run's own secrets, and what has the
//! form of a secret: known beginnings of keys, what follows `Bearer`, values of `key=` and its kin, long runs of letters and digits.

use std::fmt;

use retry::Why;
use serde_json::Value;

const LONGEST_MESSAGE_CHARS: usize = 200;
const LONGEST_CODE_CHARS: usize = 60;
/// A shared stretch this long is no chance.
const SHARED_BYTES: usize = 8;
/// A run of letters and digits this long is no word.
const LONG_RUN: usize = 16;
const HIDDEN: &str = "[hidden]";
/// How keys and tokens of well-known services begin.
const BEGINNINGS: [&str; 15] = [
    "sk-",
    "sk_",
    "pk-",
    "pk_",
    "rk_",
    "gsk_",
    "xai-",
    "hf_",
    "nvapi-",
    "ghp_",
    "github_pat_",
    "aiza",
    "akia",
    "ya29",
    "eyj",
];
/// Names whose values are secrets.
const NAMES: [&str; 10] = [
    "key",
    "token",
    "secret",
    "password",
    "passwd",
    "pwd",
    "sig",
    "signature",
    "authorization",
    "credential",
];

/// The secrets of a run, which nothing may repeat.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} secrets", self.0.len())
    }
}

impl Secrets {
    /// These, but for empty ones.
    pub fn of(secrets: impl IntoIterator<Item = String>) -> Self {
        Self(secrets.into_iter().filter(|secret| !secret.is_empty()).collect())
    }

    /// A text of others as it may be shown: one line of at most so many characters, without secrets.
    pub fn shown(&self, text: &str, most_chars: usize) -> String {
        let plain: String = text.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect();
        let (mut words, mut hides_next) = (Vec::new(), false);
        // a long text is shortened in any case
        for word in plain.split_whitespace().take(most_chars) {
            let hides = hides_next || self.is_secret(word);
            hides_next = announces(word);
            words.push(if hides { HIDDEN } else { word });
        }
        shortened(&words.join(" "), most_chars)
    }

    /// The bytes with the run's own secrets taken out.
    pub fn taken_out(&self, bytes: Vec<u8>) -> Vec<u8> {
        let found = |secret: &&String| {
            secret.len() >= SHARED_BYTES
                && bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
        };
        let found: Vec<&String> = self.0.iter().filter(found).collect();
        if found.is_empty() {
            return bytes;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        found.into_iter().fold(text, |text, secret| text.replace(secret.as_str(), HIDDEN)).into_bytes()
    }

    fn is_secret(&self, word: &str) -> bool {
        let lower = word.to_ascii_lowercase();
        let bare = lower.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let own = |secret: &String| {
            let secret = secret.to_ascii_lowercase();
            let windows = || secret.as_bytes().windows(SHARED_BYTES);
            bare == secret || windows().any(|part| lower.as_bytes().windows(SHARED_BYTES).any(|w| w == part))
        };
        self.0.iter().any(own) || begins_as_a_key(&lower) || names_a_secret(&lower) || has_a_long_run(word)
    }
}

/// Control characters and those that turn or hide a line are not shown.
fn is_plain(c: char) -> bool {
    let hides = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !hides
}

/// Whether the next word is a secret: `Bearer x`, `key: x`.
fn announces(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    if lower.trim_matches(|c: char| !c.is_ascii_alphanumeric()).ends_with("bearer") {
        return true;
    }
    let name = lower.trim_end_matches(['"', '\'']).strip_suffix([':', '=']);
    name.is_some_and(|name| NAMES.iter().any(|secret| name.trim_end_matches(['"', '\'']).ends_with(secret)))
}

fn begins_as_a_key(lower: &str) -> bool {
    let at_a_start = |(at, _): (usize, &str)| !lower[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
    BEGINNINGS.iter().any(|beginning| lower.match_indices(beginning).any(at_a_start))
}

/// `name=value` in a word, an address or JSON, or an address with a password.
fn names_a_secret(lower: &str) -> bool {
    let names = |part: &str| {
        let Some((name, value)) = part.split_once(['=', ':']) else { return false };
        let quotes = |c: char| matches!(c, '"' | '\'' | '{' | '[' | '(');
        let has_value = value.contains(|c: char| c.is_ascii_alphanumeric());
        has_value && NAMES.iter().any(|secret| name.trim_matches(quotes).ends_with(secret))
    };
    let has_password = lower.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
    has_password || lower.split(['?', '&', ';', ',']).any(names)
}

fn has_a_long_run(word: &str) -> bool {
    let is_long = |run: &str| {
        let has = |of: fn(&char) -> bool| run.chars().any(|c| of(&c));
        run.len() >= LONG_RUN && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic)
    };
    word.split(|c: char| !c.is_ascii_alphanumeric()).any(is_long)
}

fn shortened(text: &str, most_chars: usize) -> String {
    match text.char_indices().nth(most_chars) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

/// What was said, fit to be shown; nothing if nothing was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    code: Option<String>,
    param: Option<String>,
    message: Option<String>,
    /// Why the call was not tried again, if that is news.
    pub why: Option<Why>,
}

/// An error's fields in small letters, to look for words in. Never shown.
#[derive(Debug, Default)]
pub struct Words {
    /// Code, type, parameter and message; the whole text where there are none.
    pub fields: String,
    /// The parameter alone.
    pub param: String,
    /// The whole text.
    pub all: String,
}

impl Said {
    /// What a body says of an error, and its words.
    pub fn read(body: &[u8], secrets: &Secrets) -> (Self, Words) {
        let text = String::from_utf8_lossy(body);
        let all = text.to_lowercase();
        match serde_json::from_str::<Value>(&text) {
            Ok(json) => {
                let (said, fields, param) = Self::of_json(&json, secrets);
                let fields = if fields.trim().is_empty() { all.clone() } else { fields };
                (said, Words { fields, param, all })
            }
            // a page for people says nothing in its first words
            Err(_) if text.trim_start().starts_with('<') => {
                (Self::default(), Words { fields: all.clone(), param: String::new(), all })
            }
            Err(_) => {
                let message =
                    Some(secrets.shown(&text, LONGEST_MESSAGE_CHARS)).filter(|text| !text.is_empty());
                let said = Self { message, ..Self::default() };
                (said, Words { fields: all.clone(), param: String::new(), all })
            }
        }
    }

    /// The same of JSON; with its fields in small letters, and the parameter.
    pub fn of_json(json: &Value, secrets: &Secrets) -> (Self, String, String) {
        let json = if json.is_array() { &json[0] } else { json };
        let error = match &json["error"] {
            Value::Null => json,
            error => error,
        };
        let first =
            |keys: &[&str]| keys.iter().find_map(|key| plain(&error[*key]).or_else(|| plain(&json[*key])));
        let code = first(&["code", "type", "status"]);
        let param = first(&["param"]);
        let message = plain(error).or_else(|| first(&["message", "msg", "detail", "error_msg", "reason"]));
        let kinds = [first(&["type"]), first(&["status"])];
        let fields: Vec<String> =
            [&code, &param, &message].into_iter().chain(&kinds).flatten().cloned().collect();
        let shown = |text: &Option<String>, most| {
            text.as_ref().map(|text| secrets.shown(text, most)).filter(|text| !text.is_empty())
        };
        let said = Self {
            code: shown(&code, LONGEST_CODE_CHARS),
            param: shown(&param, LONGEST_CODE_CHARS),
            message: shown(&message, LONGEST_MESSAGE_CHARS),
            why: None,
        };
        (said, fields.join(" ").to_lowercase(), param.unwrap_or_default().to_lowercase())
    }

    /// The same, and why there is no other try.
    #[must_use]
    pub fn because(self, why: Why) -> Self {
        Self { why: Some(why), ..self }
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A text or a number as text; FastAPI's list of details is its own JSON.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(list) if !list.is_empty() => Some(value.to_string()),
        _ => None,
    }
}

impl fmt::Display for Said {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let param = self.param.as_ref().map(|param| format!("parameter {param}"));
        let message = self.message.as_ref().map(|message| format!("“{message}”"));
        let parts: Vec<String> = [self.code.clone(), param, message].into_iter().flatten().collect();
        if !parts.is_empty() {
            write!(out, "; it says: {}", parts.join(", "))?;
        }
        self.why.map_or(Ok(()), |why| write!(out, "; {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "loopback-secret-0123456789";

    fn secrets() -> Secrets {
        Secrets::of([KEY.to_owned(), "pw".to_owned(), String::new()])
    }

    fn said(body: &str) -> String {
        Said::read(body.as_bytes(), &secrets()).0.to_string()
    }

    #[test]
    fn code_parameter_and_message_are_said_in_every_form_that_endpoints_use() {
        let cases = [
            (
                r#"{"error": {"message": "Use 'max_completion_tokens' instead.", "type": "invalid_request_error",
                    "param": "max_tokens", "code": "unsupported_parameter"}}"#,
                "; it says: unsupported_parameter, parameter max_tokens, “Use 'max_completion_tokens' instead.”",
            ),
            (r#"{"error": {"message": "loading", "code": 502}}"#, "; it says: 502, “loading”"),
            (r#"{"error": {"message": "no", "type": "billing", "code": null}}"#, "; it says: billing, “no”"),
            (r#"{"error": "no such model"}"#, "; it says: “no such model”"),
            (r#"{"code": "Arrearage", "message": "pay"}"#, "; it says: Arrearage, “pay”"),
            (r#"{"detail": "Not authorised"}"#, "; it says: “Not authorised”"),
            (r#"[{"error": {"code": 429, "status": "X", "message": "m"}}]"#, "; it says: 429, “m”"),
            ("slow down", "; it says: “slow down”"),
            ("<html>slow down</html>", ""),
            ("", ""),
            ("{}", ""),
        ];
        for (body, want) in cases {
            assert_eq!(said(body), want, "{body}");
        }
        let (_, words) = Said::read(cases[0].0.as_bytes(), &secrets());
        assert_eq!(words.param, "max_tokens");
        assert!(
            words.fields.contains("unsupported_parameter") && words.fields.contains("invalid_request_error")
        );
    }

    #[test]
    fn nothing_that_may_be_a_secret_is_repeated() {
        let echoes = [
            format!("bad key {KEY}."),
            format!("bad key {}", &KEY[..14]),
            format!("bad key x{}y", KEY.to_uppercase()),
            "key sk-SECRET denied".into(),
            "key sk-SECRET-Bearer k1 denied".into(),
            "Authorization: Bearer SECRET".into(),
            "password pw".into(),
            "see https://x/y?api_key=SECRET&z=1".into(),
            "see https://user:SECRET@x/y".into(),
            r#"{"token":"SECRET"}"#.into(),
            "api key: SECRET".into(),
            "eyJSECRET.a.b".into(),
            "d41d8cd98f00b204SECRET".into(),
        ];
        for echo in echoes {
            let shown = secrets().shown(&echo, 200);
            let lower = shown.to_lowercase();
            for secret in ["secret", "k1", "pw"] {
                let word = |word: &str| word.contains(secret) && word != "password";
                assert!(!lower.split_whitespace().any(word), "{echo}: {shown}");
            }
            assert!(shown.contains(HIDDEN), "{shown}");
        }
        for harmless in [
            "Use 'max_completion_tokens' instead of max_tokens: 50",
            "the task-list of meta-llama/Llama-3.3-70B-Instruct and gpt-4o-mini-2024-07-18",
            "Provider returned error: the model is being loaded",
            "您的余额不足",
        ] {
            assert_eq!(secrets().shown(harmless, 200), harmless);
        }
        assert!(!format!("{:?}", secrets()).contains("loopback"));
    }

    #[test]
    fn a_message_is_one_short_line_without_control_characters() {
        let shown = secrets().shown("a\u{1b}[31mb\r\n\tc\u{202e}d\u{200b}e\u{0}f", 200);
        assert_eq!(shown, "a [31mb c d e f");
        let long = secrets().shown(&"wörd ".repeat(1000), 20);
        assert!(long.chars().count() <= 21 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn the_runs_own_key_is_taken_out_of_a_body_and_all_else_stays() {
        let body = format!("{{\"a\": \"{KEY}\", \"b\": 1}}").into_bytes();
        assert_eq!(secrets().taken_out(body), b"{\"a\": \"[hidden]\", \"b\": 1}");
        assert_eq!(secrets().taken_out(vec![0xff, 0x00]), [0xff, 0x00]);
    }
}
