//! Why an answer is missing. The names stand in recordings and stay what they are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why an answer is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// The answer has no text.
    Empty,
    /// The judge declined.
    Refused,
    /// The answer was cut off at the length limit.
    Cut,
    /// Not one JSON object alone.
    NotOneObject,
    /// Keys missing, doubled, or not asked for.
    WrongKeys,
    /// A value that is not a number.
    NotANumber,
    /// A number outside its range.
    OutOfRange,
    /// A number between 0 and 1 where 0 to 100 was asked for: nobody knows whether it is a share or a very low score.
    FractionOfOne,
    /// Shares that do not add up to 1.
    NotASum,
    /// A value that is none of left, right and same.
    NotAChoice,
    /// A person skipped the question.
    Skipped,
    /// An annotation whose annotator is not known any more.
    NoAnnotator,
    /// The judge reasoned and then said nothing.
    OnlyReasoning,
    /// The message holds something else than text.
    NotText,
    /// The judge called a tool, whatever it said beside that.
    ToolCall,
    /// The message is not the assistant's.
    WrongRole,
    /// Several answers to one question that differ.
    SeveralAnswers,
    /// A body that says something twice, such as two `content` keys in one message.
    SaidTwice,
    /// The answer ended for a reason that is no known end.
    Unfinished,
    /// The endpoint answered with something that is no chat completion.
    NotAChat,
    /// The endpoint said that it failed, though its status is that of a success.
    EndpointError,
    /// No answer in time.
    TimedOut,
    /// No connection, or a broken one.
    Unreachable,
    /// Still limited after all tries.
    RateLimited,
    /// Still failing after all tries (5xx).
    ServerError,
    /// The endpoint rejects this question (4xx).
    Rejected,
    /// The recording does not hold this question.
    NotRecorded,
}

impl Missing {
    /// Whether the judge answered at all: such a call is paid for and is not made again.
    pub fn is_answered(self) -> bool {
        !matches!(
            self,
            Missing::NotAChat
                | Missing::EndpointError
                | Missing::TimedOut
                | Missing::Unreachable
                | Missing::RateLimited
                | Missing::ServerError
                | Missing::Rejected
                | Missing::NotRecorded
        )
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Missing::Empty => "empty answer",
            Missing::Refused => "refused",
            Missing::Cut => "answer cut off",
            Missing::NotOneObject => "not one JSON object",
            Missing::WrongKeys => "wrong keys",
            Missing::NotANumber => "not a number",
            Missing::OutOfRange => "number out of range",
            Missing::FractionOfOne => "fraction of one, want 0 to 100",
            Missing::NotASum => "shares do not add up to 1",
            Missing::NotAChoice => "none of left, right and same",
            Missing::Skipped => "skipped",
            Missing::NoAnnotator => "annotator not known",
            Missing::OnlyReasoning => "reasoning without an answer",
            Missing::NotText => "answer is no text",
            Missing::ToolCall => "tool call",
            Missing::WrongRole => "message of another role than assistant",
            Missing::SeveralAnswers => "several answers that differ",
            Missing::SaidTwice => "body with doubled keys",
            Missing::Unfinished => "unknown finish reason",
            Missing::NotAChat => "no chat completion",
            Missing::EndpointError => "error instead of an answer",
            Missing::TimedOut => "timed out",
            Missing::Unreachable => "unreachable",
            Missing::RateLimited => "rate limited",
            Missing::ServerError => "server error",
            Missing::Rejected => "rejected by the endpoint",
            Missing::NotRecorded => "not recorded",
        })
    }
}
