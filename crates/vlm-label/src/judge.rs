//! Who answers: an endpoint, a recording of one, or the offline judge. Every judge answers the same questions.

use anyhow::ensure;
use serde_json::Value;
use stage::Ledger;

use crate::answer::{self, Missing};
use crate::local::Local;
use crate::openai::OpenAi;
use crate::picture::Picture;
use crate::prompt::{Form, Prompt};
use crate::tape::{Heard, Key, Tape};

/// What the caller will do with the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// One share a class of the prompt.
    Shares,
    /// One score from 0 to 100.
    Score,
    /// Which of two pictures is more developed.
    Choice,
}

impl Want {
    /// The word for it in a prompt's header.
    const fn word(self) -> &'static str {
        match self {
            Want::Shares => "shares",
            Want::Score => "score",
            Want::Choice => "choice",
        }
    }
}

/// One question about one picture, or about two.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What is asked.
    pub prompt: &'a Prompt,
    /// What it is about; the left one of two.
    pub picture: &'a Picture,
    /// The right one of two.
    pub right: Option<&'a Picture>,
    /// Which repeat, from 0.
    pub repeat: u32,
}

impl Question<'_> {
    /// What tells this question from others.
    pub fn key(&self) -> Key {
        let image = match self.right {
            None => self.picture.hash.clone(),
            Some(right) => format!("{}+{}", self.picture.hash, right.hash),
        };
        Key { prompt: self.prompt.hash.clone(), image, repeat: self.repeat }
    }

    /// What is shown, the left picture first.
    pub fn pictures(&self) -> impl Iterator<Item = &Picture> {
        std::iter::once(self.picture).chain(self.right)
    }
}

/// What is known of the call behind an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// The model as the endpoint returned it.
    pub model: Option<String>,
    /// What shaped the request, as a JSON object.
    pub parameters: Option<String>,
    /// Tokens of the question.
    pub n_tokens_in: Option<u32>,
    /// Tokens of the answer.
    pub n_tokens_out: Option<u32>,
    /// Seconds from the request to the answer.
    pub latency_s: Option<f64>,
}

/// A judge's answer: its text as it came, if any, and the numbers in it, or why there are none.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The answer as it came.
    pub raw: Option<String>,
    /// Shares in the prompt's order of classes, one score, or shares of left, right and same.
    pub values: Result<Vec<f64>, Missing>,
    /// The call behind it.
    pub call: Call,
}

impl Answer {
    /// Reads what was heard in the form that the prompt asks for.
    pub fn read(heard: &Heard, form: &Form) -> Self {
        let values = match (heard.missing, &heard.raw) {
            (Some(missing), _) => Err(missing),
            (None, None) => Err(Missing::Empty),
            (None, Some(Value::String(text))) => answer::parse(text, form),
            (None, Some(_)) => Err(Missing::NotText),
        };
        let raw = heard.raw.as_ref().map(|raw| raw.as_str().map_or_else(|| raw.to_string(), str::to_owned));
        Self { raw, values, call: heard.call.clone() }
    }
}

/// Who answers.
pub enum Judge {
    /// An endpoint that speaks OpenAI's chat completions.
    OpenAi(Box<OpenAi>),
    /// A recording.
    Replay(Tape),
    /// The offline judge; a repeat is one of its heads.
    Local(Box<Local>),
}

impl Judge {
    /// The judge's name in tables, the same for an endpoint and its recording.
    pub fn name(&self) -> &str {
        match self {
            Judge::OpenAi(endpoint) => endpoint.name(),
            Judge::Replay(tape) => tape.judge(),
            Judge::Local(_) => "local",
        }
    }

    /// How many answers each question gets when `asked` are asked for.
    pub fn repeats(&self, asked: u32) -> u32 {
        match self {
            Judge::OpenAi(_) | Judge::Replay(_) => asked,
            Judge::Local(local) => local.n_heads(),
        }
    }

    /// The name of one rater: judge, persona and repeat.
    pub fn rater(&self, prompt: &Prompt, repeat: u32) -> String {
        match self {
            Judge::OpenAi(_) | Judge::Replay(_) => format!("{}/{}/{repeat}", self.name(), prompt.id),
            Judge::Local(_) => format!("local/h{repeat}"),
        }
    }

    /// Whether questions are only taken in for now: all of them have to be known before the first is asked.
    pub fn gathers(&self) -> bool {
        matches!(self, Judge::OpenAi(endpoint) if endpoint.gathers())
    }

    /// Pixels that are worth holding to ask about all of them at once: each round of questions ends with a wait for its last answer.
    pub fn block_bytes(&self) -> usize {
        match self {
            Judge::OpenAi(_) => 512 << 20,
            Judge::Replay(_) | Judge::Local(_) => 0,
        }
    }

    /// Enters what the answers cost, and what the judge knows of this ground.
    pub fn enter(&self, ledger: &mut Ledger) {
        match self {
            Judge::OpenAi(endpoint) => endpoint.enter(ledger),
            Judge::Local(local) => local.enter(ledger),
            Judge::Replay(_) => {}
        }
    }

    /// From here on it is only tried out: answers that cannot be read end no run.
    pub fn try_out(&mut self) {
        match self {
            Judge::OpenAi(endpoint) => endpoint.try_out(),
            Judge::Local(local) => local.try_out(),
            Judge::Replay(_) => {}
        }
    }

    /// What it was trained on, if it says so.
    pub fn trained_on(&self) -> Option<&str> {
        match self {
            Judge::Local(local) => Some(local.trained_on()),
            Judge::OpenAi(_) | Judge::Replay(_) => None,
        }
    }

    /// Whether this judge can give what is wanted when shown this prompt.
    fn check(&self, prompt: &Prompt, want: Want) -> anyhow::Result<()> {
        match self {
            Judge::OpenAi(_) | Judge::Replay(_) => {
                let (wanted, got) = (want.word(), prompt.form.word());
                ensure!(wanted == got, "prompt {}: want `answer: {wanted}`, got `answer: {got}`", prompt.id);
            }
            Judge::Local(local) => local.check(prompt)?,
        }
        Ok(())
    }

    /// Answers in the order of the questions; `done` is called with the number of questions settled.
    ///
    /// # Errors
    /// A prompt that asks for something else than is wanted, before any call is made; later what makes
    /// going on pointless: a refused key, a spent budget, too many lost calls, a full disk.
    pub fn ask(
        &mut self,
        questions: &[Question<'_>],
        want: Want,
        done: &mut dyn FnMut(usize),
    ) -> anyhow::Result<Vec<Answer>> {
        for question in questions {
            self.check(question.prompt, want)?;
        }
        match self {
            Judge::OpenAi(endpoint) => endpoint.ask(questions, done),
            Judge::Replay(tape) => {
                done(questions.len());
                Ok(questions.iter().map(|question| recorded(tape, question)).collect())
            }
            Judge::Local(local) => local.ask(questions, want, done),
        }
    }
}

/// What a tape holds on a question.
pub fn recorded(tape: &Tape, question: &Question<'_>) -> Answer {
    match tape.get(&question.key()) {
        Some(heard) => Answer::read(heard, &question.prompt.form),
        None => Answer { raw: None, values: Err(Missing::NotRecorded), call: Call::default() },
    }
}
