//! What judges said: kept in memory so that no question is asked twice, and in a file so that a
//! run can be replayed exactly or taken up again after a kill.
//!
//! The file (`--record`) has one JSON object a line and is the one file that grows in place: every
//! call is appended as it ends, so the order of lines is the order of answers. A line cut off by a
//! kill is dropped when the file is opened again. Calls without an answer (outages) are recorded
//! too, for the replay, but are asked again when a run is taken up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::answer::Missing;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The answer as it came.
    pub raw: Option<String>,
    /// Why it does not count, known before the text is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    judge: String,
    #[serde(flatten)]
    key: Key,
    #[serde(flatten)]
    heard: Heard,
}

/// All that one judge said.
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

    /// Opens or makes a recording to go on with.
    ///
    /// # Errors
    /// It cannot be read or written, is damaged, holds another judge, or another run is writing it.
    pub fn record(path: &Path, judge: &str) -> anyhow::Result<Self> {
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
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut tape = Self::blank(judge);
        for line in parse_lines(path, &text[..whole])? {
            let found = line.judge;
            ensure!(found == judge, "{}: want a recording of {judge}, got one of {found}", path.display());
            tape.heard.insert(line.key, line.heard);
        }
        tape.heard.retain(|_, heard| heard.missing.is_none_or(Missing::is_answered));
        file.set_len(whole as u64).map_err(contract::Error::io(path, "write"))?;
        file.seek(SeekFrom::End(0)).map_err(contract::Error::io(path, "write"))?;
        tape.file = Some((path.to_owned(), file));
        Ok(tape)
    }

    /// Reads a recording to replay it.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or holds no judge or several.
    pub fn replay(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).map_err(contract::Error::io(path, "read"))?;
        let lines = parse_lines(path, &text)?;
        let judges: BTreeSet<&String> = lines.iter().map(|line| &line.judge).collect();
        let judge = match judges.iter().collect::<Vec<_>>()[..] {
            [one] => one.to_string(),
            _ => bail!("{}: want a recording of one judge, got {}", path.display(), judges.len()),
        };
        let heard = lines.into_iter().map(|line| (line.key, line.heard)).collect();
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

    /// Keeps what was said, on disk if this is a recording.
    ///
    /// # Errors
    /// The recording cannot be written.
    pub fn put(&mut self, key: Key, heard: Heard) -> anyhow::Result<()> {
        if let Some((path, file)) = &mut self.file {
            let line = Line { judge: self.judge.clone(), key: key.clone(), heard: heard.clone() };
            let text = serde_json::to_string(&line)? + "\n";
            let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
            written.map_err(contract::Error::io(path, "record an answer"))?;
        }
        self.heard.insert(key, heard);
        Ok(())
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
        Heard { raw: Some(text.into()), missing: None }
    }

    #[test]
    fn a_recording_replays_what_was_said_and_is_taken_up_without_outages_or_cut_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/tape.jsonl");
        let mut tape = Tape::record(&path, "judge").unwrap();
        tape.put(key(0), said("a\nb")).unwrap();
        tape.put(key(1), Heard { raw: None, missing: Some(Missing::TimedOut) }).unwrap();
        drop(tape);
        let replay = Tape::replay(&path).unwrap();
        assert_eq!(replay.judge(), "judge");
        assert_eq!(replay.get(&key(0)), Some(&said("a\nb")));
        assert_eq!(replay.get(&key(1)).unwrap().missing, Some(Missing::TimedOut));

        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"judge\":\"judge\",\"pro");
        std::fs::write(&path, text).unwrap();
        let mut again = Tape::record(&path, "judge").unwrap();
        assert_eq!(again.get(&key(0)), Some(&said("a\nb")));
        assert_eq!(again.get(&key(1)), None);
        again.put(key(1), said("c")).unwrap();
        assert_eq!(Tape::replay(&path).unwrap().get(&key(1)), Some(&said("c")));
    }

    #[test]
    fn a_recording_of_another_judge_or_of_two_or_in_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tape.jsonl");
        let mut tape = Tape::record(&path, "one").unwrap();
        assert!(Tape::record(&path, "one").unwrap_err().to_string().contains("another process"));
        assert!(Tape::replay(&path).is_err());
        tape.put(key(0), said("a")).unwrap();
        drop(tape);
        assert!(Tape::record(&path, "two").unwrap_err().to_string().contains("got one of one"));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{}", text.replace("one", "two"))).unwrap();
        assert!(Tape::replay(&path).unwrap_err().to_string().contains("got 2"));
        std::fs::write(&path, "rubbish\n").unwrap();
        assert!(Tape::replay(&path).unwrap_err().to_string().contains("line 1"));
    }
}
