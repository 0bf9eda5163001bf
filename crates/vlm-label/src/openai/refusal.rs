//! What a response that is no success means: what can be done about it, and what the endpoint says.

use reqwest::StatusCode;
use thiserror::Error;

use super::budget::{Ended, Refusal};
use super::dialect::Spoken;
use super::price::Cost;
use super::request::Parameters;
use super::said::{Said, Words};
use super::stop::Stopped;
use crate::answer::Missing;

/// What an endpoint says of an answer's schema that it does not take.
const OF_SCHEMAS: [&str; 5] = ["response_format", "json_schema", "schema", "structured output", "grammar"];
/// What it says of an account that has nothing left, whatever the status. "Quota" alone often is a limit of a minute.
const OF_QUOTAS: [&str; 20] = [
    "insufficient_quota",
    "insufficient quota",
    "billing_hard_limit",
    "billing hard limit",
    "billing_not_active",
    "insufficient_balance",
    "insufficient balance",
    "insufficient_funds",
    "insufficient funds",
    "credit",
    "arrearage",
    "freetieronly",
    "free tier of the model has been exhausted",
    "quota_exhausted",
    "quota exhausted",
    "payment required",
    "payment_required",
    "account_overdue",
    "余额不足",
    "欠费",
];
/// What it says of a parameter that it does not know.
const OF_UNKNOWNS: [&str; 11] = [
    "unsupported",
    "not supported",
    "not support",
    "unrecognized",
    "unknown",
    "unexpected",
    "extra inputs",
    "not permitted",
    "not allowed",
    "instead",
    "invalid parameter",
];

/// Why a call has no answer.
#[derive(Clone, Debug, Error)]
pub enum Fault {
    /// This call alone is lost.
    #[error("{0}{1}")]
    Lost(Missing, Said),
    /// The endpoint does not take the answer's schema.
    #[error("the endpoint rejects the answer's JSON schema; ask with --schema off")]
    Schema,
    /// The endpoint does not know the word for the length of an answer.
    #[error("rejected by the endpoint{0}")]
    Word(Said),
    /// The endpoint does not take a parameter that a flag gives.
    #[error("the endpoint does not take {flag} for this model{said}; leave the flag out")]
    Parameter {
        /// The flag.
        flag: &'static str,
        /// What it says.
        said: Said,
    },
    /// The endpoint does not accept the key.
    #[error("the endpoint refuses the key (HTTP {0}); set OPENAI_API_KEY")]
    Key(u16),
    /// The endpoint does not let this key do this.
    #[error("the endpoint refuses the key (HTTP 403){0}; check OPENAI_API_KEY and what its account may use")]
    Forbidden(Said),
    /// The account has nothing left.
    #[error(
        "the endpoint says that the account's quota is used up (HTTP {0}){1}; what was answered is in --record, if given"
    )]
    Quota(u16, Said),
    /// It has no files or batches as OpenAI has them.
    #[error("the endpoint answers something else than OpenAI's files and batches; ask without --batch")]
    NotBatches,
    /// There is no such endpoint or model.
    #[error("the endpoint answers HTTP {0}{1}; check OPENAI_BASE_URL and --model")]
    Address(u16, Said),
    /// `--max-calls` is used up.
    #[error("the budget of --max-calls {0} is spent; what was answered is in --record, if given")]
    Calls(u64),
    /// What is left of `--max-cost` does not cover a call.
    #[error(
        "the budget of --max-cost {0} is spent, or what is left covers no call; what was answered is in --record, if given"
    )]
    Cost(Cost),
    /// The run stops for another call's fault.
    #[error("stopped")]
    Stopped,
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Calls(most) => Fault::Calls(most),
            Refusal::Cost(most) => Fault::Cost(most),
            Refusal::Stopped => Fault::Stopped,
        }
    }
}

impl From<Stopped> for Fault {
    fn from(_: Stopped) -> Self {
        Fault::Stopped
    }
}

/// A failed try: what it was, whether another may help, how long the endpoint wants to be left alone, and whether it was paid for.
#[derive(Debug)]
pub struct Failed {
    /// What it was.
    pub fault: Fault,
    /// Whether another try may help.
    pub again: bool,
    /// How long the endpoint wants to be left alone.
    pub wait: Option<std::time::Duration>,
    /// Whether it was paid for.
    pub ended: Ended,
}

impl Failed {
    /// A call that is lost unless another try helps.
    pub fn lost(missing: Missing, said: Said, again: bool) -> Self {
        Self { fault: Fault::Lost(missing, said), again, wait: None, ended: Ended::Free }
    }

    /// The same, and nobody knows whether it was paid for.
    #[must_use]
    pub fn perhaps_paid(self) -> Self {
        Self { ended: Ended::Unknown, ..self }
    }
}

/// What of a request an endpoint may not know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// Schema and the word for the length.
    pub spoken: Spoken,
    length: bool,
    /// Fields that flags give, and the flags.
    fields: [Option<(&'static str, &'static str)>; 4],
}

impl Sent {
    /// A request of these parameters in this dialect.
    pub fn of(parameters: &Parameters, spoken: Spoken) -> Self {
        let field = |is_set: bool, name, flag| is_set.then_some((name, flag));
        let fields = [
            field(parameters.temperature.is_some(), "temperature", "--temperature"),
            field(parameters.top_p.is_some(), "top_p", "--top-p"),
            field(parameters.seed.is_some(), "seed", "--answer-seed"),
            field(parameters.detail.is_some(), "detail", "--detail"),
        ];
        Self { spoken, length: parameters.max_tokens.is_some(), fields }
    }
}

/// What a response that is no success means.
pub fn meaning(status: StatusCode, said: Said, words: &Words, sent: &Sent) -> Failed {
    let code = status.as_u16();
    let fatal = |fault| Failed { fault, again: false, wait: None, ended: Ended::Free };
    if is_about_quota(code, &words.fields) {
        return fatal(Fault::Quota(code, said));
    }
    match status {
        StatusCode::UNAUTHORIZED => fatal(Fault::Key(code)),
        StatusCode::FORBIDDEN => fatal(Fault::Forbidden(said)),
        StatusCode::TOO_MANY_REQUESTS => Failed::lost(Missing::RateLimited, said, true),
        StatusCode::REQUEST_TIMEOUT => Failed::lost(Missing::ServerError, said, true),
        _ if status.is_server_error() => Failed::lost(Missing::ServerError, said, true),
        StatusCode::NOT_FOUND => fatal(Fault::Address(code, said)),
        _ if status.is_redirection() => fatal(Fault::Address(code, Said::default())),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => fatal(rejected(said, words, sent)),
        _ => Failed::lost(Missing::Rejected, said, false),
    }
}

/// What of the request was rejected.
fn rejected(said: Said, words: &Words, sent: &Sent) -> Fault {
    if sent.length && names_unknown(words, sent.spoken.length_key) {
        return Fault::Word(said);
    }
    if let Some((_, flag)) = sent.fields.iter().flatten().find(|(name, _)| names_unknown(words, name)) {
        return Fault::Parameter { flag, said };
    }
    if sent.spoken.with_schema && is_about_schema(&words.all) {
        return Fault::Schema;
    }
    Fault::Lost(Missing::Rejected, said)
}

/// Whether an error says that it does not know or take this parameter.
pub fn names_unknown(words: &Words, name: &str) -> bool {
    let is_word =
        |text: &str| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name);
    let is_named = if words.param.is_empty() { is_word(&words.fields) } else { is_word(&words.param) };
    is_named && OF_UNKNOWNS.iter().any(|word| words.fields.contains(word))
}

/// Whether an error, in small letters, is about the answer's schema.
pub fn is_about_schema(text: &str) -> bool {
    OF_SCHEMAS.iter().any(|word| text.contains(word))
}

/// Whether the account has nothing left.
pub fn is_about_quota(status: u16, fields: &str) -> bool {
    let said = || OF_QUOTAS.iter().any(|word| fields.contains(word));
    match status {
        402 => true,
        403 => fields.contains("quota") || said(),
        401 | 404 => false,
        400..=499 => said(),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::openai::said::Secrets;

    fn failed(status: u16, body: &str, sent: &Sent) -> Failed {
        let (said, words) = Said::read(body.as_bytes(), &Secrets::default());
        meaning(StatusCode::from_u16(status).unwrap(), said, &words, sent)
    }

    fn error(code: &str, message: &str) -> String {
        serde_json::json!({"error": {"code": code, "message": message}}).to_string()
    }

    #[test]
    fn a_used_up_account_ends_the_run_and_a_limit_of_a_minute_does_not() {
        let used_up = [
            (402, error("", "")),
            (402, "Insufficient Balance".into()),
            (403, error("AllocationQuota.FreeTierOnly", "The free tier of the model has been exhausted.")),
            (429, error("insufficient_quota", "You exceeded your current quota")),
            (429, error("1113", "您的余额不足，请充值")),
            (400, error("billing_hard_limit_reached", "Billing hard limit has been reached")),
            (400, error("Arrearage", "Access denied")),
            (400, error("invalid_request_error", "Your credit balance is too low to access the API.")),
        ];
        for (status, body) in used_up {
            let failed = failed(status, &body, &Sent::default());
            assert!(
                matches!(failed.fault, Fault::Quota(code, _) if code == status),
                "{status} {body}: {failed:?}"
            );
            assert!(!failed.again);
        }
        let limits = [
            error("rate_limit_exceeded", "Rate limit reached for requests"),
            error(
                "Throttling.AllocationQuota",
                "Allocated quota exceeded, please increase your quota limit.",
            ),
            error("RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan"),
            String::new(),
        ];
        for body in limits {
            let failed = failed(429, &body, &Sent::default());
            assert!(matches!(failed.fault, Fault::Lost(Missing::RateLimited, _)) && failed.again, "{body}");
        }
        assert!(matches!(
            failed(401, &error("insufficient_quota", ""), &Sent::default()).fault,
            Fault::Key(401)
        ));
        assert!(matches!(
            failed(403, &error("model_access", "no"), &Sent::default()).fault,
            Fault::Forbidden(_)
        ));
    }

    #[test]
    fn what_an_endpoint_does_not_know_is_told_from_what_is_wrong_in_it() {
        let parameters = Parameters {
            max_tokens: Some(50),
            temperature: Some(0.2),
            seed: Some(1),
            ..Parameters::default()
        };
        let spoken = Spoken { with_schema: true, length_key: "max_tokens" };
        let fault = |message: &str| {
            let body = error("invalid_request_error", message);
            failed(400, &body, &Sent::of(&parameters, spoken)).fault
        };
        for message in [
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "litellm.UnsupportedParamsError: m does not support parameters: {'max_tokens': 50}",
            "Unrecognized request argument supplied: max_tokens",
        ] {
            assert!(matches!(fault(message), Fault::Word(_)), "{message}: {:?}", fault(message));
        }
        let temperature = "Unsupported value: 'temperature' does not support 0.2 with this model.";
        assert!(matches!(fault(temperature), Fault::Parameter { flag: "--temperature", .. }));
        assert!(fault(temperature).to_string().contains("leave the flag out"));
        assert!(matches!(fault("Unknown parameter: seed"), Fault::Parameter { flag: "--answer-seed", .. }));
        assert!(matches!(fault("response_format is not supported"), Fault::Schema));
        for message in [
            "max_tokens is too large: 50",
            "max_completion_tokens: unsupported",
            "top_p is not supported",
            "the image is too large",
        ] {
            assert!(matches!(fault(message), Fault::Lost(Missing::Rejected, _)), "{message}");
        }
    }
}
