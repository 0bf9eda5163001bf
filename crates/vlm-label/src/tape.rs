//! What judges said: kept in memory so that no question is asked twice, and in a file so that a
//! run can be replayed exactly or taken up again after a kill.
//!
//! The file (`--record`) has one JSON object a line and is the one file that grows in place: every
//! call is appended as it ends, so the order of lines is the order of answers. No answer counts
//! before it is on the disk. A line cut off by a kill is dropped when the file is opened again. Calls
//! without an answer (outages) are recorded too, for the replay, but are asked again when a run is taken up.
//! Questions asked with other parameters (temperature, schema …) are other questions: they stay in the
//! file and out of the run. Lines of before parameters were recorded were asked with none.
//! `raw` is the answer's text, or its content as it came where that is no text. Where there is more to an answer than a
//! text, `choices` holds it as it came and is read anew each time: a later version can read what an earlier one could not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::Missing;
use crate::judge::Call;
use crate::openai::envelope::read_choices;

/// One question: hash of the prompt, hash of the image, which repeat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// SHA-256 of the prompt file.
    pub prompt: String,
    /// SHA-256 of the picture.
    pub image: String,
    /// Which repeat, from 0.
    pub repeat: u32,
}

/// How a call ended: text, or a reason why there is none that can be read (text may still be there).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// The answer's text, or its content as it came.
    pub raw: Option<Value>,
    /// Why it does not count, known before the text is read.
    pub missing: Option<Missing>,
    /// The choices of the chat completion as they came, where there is more to them than a text.
    pub choices: Option<Value>,
    /// The call behind it.
    pub call: Call,
}

#[derive(Serialize, Deserialize)]
struct Line {
    judge: String,
    #[serde(flatten)]
    key: Key,
    raw: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Missing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    choices: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n_tokens_in: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n_tokens_out: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_s: Option<f64>,
}

impl Line {
    fn of(judge: &str, key: Key, heard: Heard) -> anyhow::Result<Self> {
        let Heard { raw, missing, choices, call } = heard;
        let Call { model, parameters, n_tokens_in, n_tokens_out, latency_s } = call;
        let parameters = parameters.map(|text| serde_json::from_str(&text)).transpose()?;
        Ok(Self {
            judge: judge.to_owned(),
            key,
            raw,
            missing,
            choices,
            parameters,
            model,
            n_tokens_in,
            n_tokens_out,
            latency_s,
        })
    }

    /// What shaped the request; nothing did before it was recorded.
    fn shape(&self) -> String {
        self.parameters.as_ref().map_or_else(|| NO_PARAMETERS.to_owned(), Value::to_string)
    }

    fn heard(self) -> (Key, Heard) {
        let parameters = Some(self.shape());
        let Self { key, raw, missing, choices, model, n_tokens_in, n_tokens_out, latency_s, .. } = self;
        let (raw, missing) = match &choices {
            Some(choices) => read_choices(choices),
            None => (raw, missing),
        };
        let call = Call { model, parameters, n_tokens_in, n_tokens_out, latency_s };
        (key, Heard { raw, missing, choices, call })
    }
}

const NO_PARAMETERS: &str = "{}";

/// All that one judge said to questions of one shape.
#[derive(Debug)]
pub struct Tape {
    judge: String,
    heard: BTreeMap<Key, Heard>,
    file: Option<(PathBuf, File)>,
}

impl Tape {
    /// An empty tape that is kept in memory only.
    pub fn blank(judge: &str) -> Self {
        Self { judge: judge.to_owned(), heard: BTreeMap::new(), file: None }
    }

    /// Opens or makes a recording to go on with, of questions of one shape (parameters, as JSON).
    ///
    /// # Errors
    /// It cannot be read or written, is damaged, holds another judge, or another run is writing it.
    pub fn record(path: &Path, judge: &str, shape: &str) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(contract::Error::io(folder, "make the folder"))?;
        }
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open.map_err(contract::Error::io(path, "write"))?;
        if file.try_lock().is_err() {
            bail!("{}: another process is recording here; wait for it or stop it", path.display());
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(contract::Error::io(path, "read"))?;
        let mut tape = Self::blank(judge);
        let whole = tape.take_up(path, &text, shape)?;
        file.set_len(whole as u64).map_err(contract::Error::io(path, "write"))?;
        file.seek(SeekFrom::End(0)).map_err(contract::Error::io(path, "write"))?;
        tape.file = Some((path.to_owned(), file));
        Ok(tape)
    }

    /// What [`Tape::record`] would go on with, without touching it; a recording that is not there is empty.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or holds another judge.
    pub fn peek(path: &Path, judge: &str, shape: &str) -> anyhow::Result<Self> {
        let mut tape = Self::blank(judge);
        match std::fs::read_to_string(path) {
            Ok(text) => drop(tape.take_up(path, &text, shape)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(contract::Error::io(path, "read")(error).into()),
        }
        Ok(tape)
    }

    /// Takes the answers out of a recording's text, and gives the length of its whole lines.
    fn take_up(&mut self, path: &Path, text: &str, shape: &str) -> anyhow::Result<usize> {
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        for line in parse_lines(path, &text[..whole])? {
            let (judge, found) = (&self.judge, &line.judge);
            ensure!(found == judge, "{}: want a recording of {judge}, got one of {found}", path.display());
            if line.shape() != shape {
                continue;
            }
            let (key, heard) = line.heard();
            if heard.missing.is_none_or(Missing::is_answered) {
                self.heard.insert(key, heard);
            }
        }
        Ok(whole)
    }

    /// Reads a recording to replay it; of several shapes of questions, `shape` says which.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or holds no judge, or several, or several shapes and none of them is wanted.
    pub fn replay(path: &Path, shape: Option<&str>) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).map_err(contract::Error::io(path, "read"))?;
        let lines = parse_lines(path, &text)?;
        let judges: BTreeSet<&String> = lines.iter().map(|line| &line.judge).collect();
        let judge = match judges.iter().collect::<Vec<_>>()[..] {
            [one] => one.to_string(),
            _ => bail!("{}: want a recording of one judge, got {}", path.display(), judges.len()),
        };
        let shapes: BTreeSet<String> = lines.iter().map(Line::shape).collect();
        let shape = match shape {
            Some(shape) => shape,
            None if shapes.len() == 1 => NO_PARAMETERS,
            None => bail!(
                "{}: want the flags of one of its {} kinds of questions, got none; they are {}",
                path.display(),
                shapes.len(),
                shapes.into_iter().collect::<Vec<_>>().join(" and ")
            ),
        };
        let all = shapes.len() == 1;
        let heard = lines.into_iter().filter(|line| all || line.shape() == shape).map(Line::heard).collect();
        Ok(Self { judge, heard, file: None })
    }

    /// The judge's name.
    pub fn judge(&self) -> &str {
        &self.judge
    }

    /// What was said to a question.
    pub fn get(&self, key: &Key) -> Option<&Heard> {
        self.heard.get(key)
    }

    /// Keeps what was said, on disk if this is a recording: all of it with one wait for the disk.
    ///
    /// # Errors
    /// The recording cannot be written.
    pub fn put_all(&mut self, heard: Vec<(Key, Heard)>) -> anyhow::Result<()> {
        if let Some((path, file)) = self.file.as_mut().filter(|_| !heard.is_empty()) {
            let mut text = String::new();
            for (key, heard) in &heard {
                let line = Line::of(&self.judge, key.clone(), heard.clone())?;
                text += &serde_json::to_string(&line)?;
                text.push('\n');
            }
            let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
            written.map_err(contract::Error::io(path, "record an answer"))?;
        }
        self.heard.extend(heard);
        Ok(())
    }

    /// What was said, in the order of questions.
    pub fn all(&self) -> impl Iterator<Item = &Heard> {
        self.heard.values()
    }
}

fn parse_lines(path: &Path, text: &str) -> anyhow::Result<Vec<Line>> {
    let parse = |(index, line): (usize, &str)| {
        serde_json::from_str(line)
            .with_context(|| format!("{}: line {}: want a recorded answer", path.display(), index + 1))
    };
    text.lines().enumerate().map(parse).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(repeat: u32) -> Key {
        Key { prompt: "p".into(), image: "i".into(), repeat }
    }

    fn said(text: &str) -> Heard {
        Heard { raw: Some(text.into()), ..Heard::default() }
    }

    #[test]
    fn a_recording_replays_what_was_said_and_is_taken_up_without_outages_or_cut_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/tape.jsonl");
        let mut tape = Tape::record(&path, "judge", "{}").unwrap();
        tape.put_all(vec![(key(0), said("a\nb"))]).unwrap();
        tape.put_all(vec![(key(1), Heard { missing: Some(Missing::TimedOut), ..Heard::default() })]).unwrap();
        drop(tape);
        let replay = Tape::replay(&path, None).unwrap();
        assert_eq!(replay.judge(), "judge");
        assert_eq!(replay.get(&key(0)).unwrap().raw, said("a\nb").raw);
        assert_eq!(replay.get(&key(1)).unwrap().missing, Some(Missing::TimedOut));

        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"judge\":\"judge\",\"pro");
        std::fs::write(&path, text).unwrap();
        let mut again = Tape::record(&path, "judge", "{}").unwrap();
        assert_eq!(again.get(&key(0)).unwrap().raw, said("a\nb").raw);
        assert_eq!(again.get(&key(1)), None);
        again.put_all(vec![(key(1), said("c"))]).unwrap();
        assert_eq!(Tape::replay(&path, None).unwrap().get(&key(1)).unwrap().raw, said("c").raw);
    }

    #[test]
    fn a_recording_of_another_judge_or_of_two_or_in_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tape.jsonl");
        let mut tape = Tape::record(&path, "one", "{}").unwrap();
        assert!(Tape::record(&path, "one", "{}").unwrap_err().to_string().contains("another process"));
        assert!(Tape::replay(&path, None).is_err());
        tape.put_all(vec![(key(0), said("a"))]).unwrap();
        drop(tape);
        assert!(Tape::record(&path, "two", "{}").unwrap_err().to_string().contains("got one of one"));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{}", text.replace("one", "two"))).unwrap();
        assert!(Tape::replay(&path, None).unwrap_err().to_string().contains("got 2"));
        std::fs::write(&path, "rubbish\n").unwrap();
        assert!(Tape::replay(&path, None).unwrap_err().to_string().contains("line 1"));
    }

    fn asked_with(parameters: &str, text: &str) -> Heard {
        let call = Call {
            parameters: Some(parameters.into()),
            model: Some("m-1".into()),
            n_tokens_in: Some(7),
            n_tokens_out: Some(2),
            latency_s: Some(0.25),
        };
        Heard { call, ..said(text) }
    }

    #[test]
    fn another_temperature_is_another_question_and_what_a_call_took_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tape.jsonl");
        let (cold, warm) = (r#"{"temperature":0.0}"#, r#"{"temperature":0.7}"#);
        for (shape, text) in [(cold, "a"), (warm, "b")] {
            let mut tape = Tape::record(&path, "judge", shape).unwrap();
            assert_eq!(tape.get(&key(0)), None);
            tape.put_all(vec![(key(0), asked_with(shape, text))]).unwrap();
        }
        let again = Tape::record(&path, "judge", cold).unwrap();
        assert_eq!(again.get(&key(0)), Some(&asked_with(cold, "a")));
        assert!(Tape::replay(&path, None).unwrap_err().to_string().contains("2 kinds of questions"));
        assert_eq!(Tape::replay(&path, Some(warm)).unwrap().get(&key(0)), Some(&asked_with(warm, "b")));
    }

    #[test]
    fn an_answer_that_was_no_text_is_kept_as_it_came_and_read_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tape.jsonl");
        let content = serde_json::json!([{"type": "hologram", "light": 7}, {"type": "text", "text": "a"}]);
        let choices = serde_json::json!([{"message": {"content": content}}]);
        let heard = Heard { missing: Some(Missing::NotText), raw: Some(content.clone()), ..Heard::default() };
        let mut tape = Tape::record(&path, "judge", "{}").unwrap();
        tape.put_all(vec![(key(0), Heard { choices: Some(choices), ..heard })]).unwrap();
        drop(tape);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(&format!("\"raw\":{content}")), "{text}");
        let again = Tape::record(&path, "judge", "{}").unwrap();
        assert_eq!(again.get(&key(0)).unwrap().missing, Some(Missing::NotText), "paid, and not asked again");
        drop(again);
        // what today's version cannot read, tomorrow's may
        std::fs::write(&path, text.replace("hologram", "thinking")).unwrap();
        let read = Tape::replay(&path, None).unwrap().get(&key(0)).cloned().unwrap();
        assert_eq!((read.raw, read.missing), (Some("a".into()), None));
    }

    #[test]
    fn a_line_of_before_parameters_were_recorded_was_asked_with_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tape.jsonl");
        let line = r#"{"judge":"judge","prompt":"p","image":"i","repeat":0,"raw":"a"}"#;
        std::fs::write(&path, format!("{line}\n")).unwrap();
        assert_eq!(Tape::replay(&path, None).unwrap().get(&key(0)).unwrap().raw, said("a").raw);
        assert!(Tape::record(&path, "judge", "{}").unwrap().get(&key(0)).is_some());
        assert!(Tape::peek(&path, "judge", r#"{"temperature":0.7}"#).unwrap().get(&key(0)).is_none());
    }
}
