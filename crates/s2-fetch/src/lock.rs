//! The lock: which scene answers which question, so that the same scene comes again although the catalogue has newer ones.
//!
//! A text file of one line a granule, sorted: granule, items (best first, with spaces between), collection, and a hash of the question. A person
//! who changes the question means it: then the scene is chosen again, and the line replaced. Only the catalogue's changes are locked out.
//!
//! Many processes may share one lock: each rewrites the whole file while it holds the hidden file beside it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use contract::GranuleId;

const HEADER: &str = "# granule\titems\tcollection\tquestion\n";

/// A line of the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Locked {
    /// The scenes that were chosen, the best first.
    pub items: Vec<String>,
    /// The collection that they are of.
    pub collection: String,
    /// Hash of the question that they answer.
    pub question: String,
}

/// The locked scenes of a granule, if there are any.
///
/// # Errors
/// Names the line that is no lock.
pub(crate) fn read(path: &Path, granule: &GranuleId) -> anyhow::Result<Option<Locked>> {
    Ok(lines(path)?.remove(granule))
}

/// Writes the line of a granule, and leaves the others.
///
/// # Errors
/// If the lock cannot be read or written, or an item's id has white space.
pub(crate) fn keep(path: &Path, granule: &GranuleId, locked: Locked) -> anyhow::Result<()> {
    let odd = |text: &str| text.is_empty() || text.contains(char::is_whitespace);
    if let Some(odd) = locked.items.iter().chain([&locked.collection]).find(|text| odd(text)) {
        bail!("want an id without white space, found {odd:?}; this scene cannot be locked");
    }
    let _held = hold(path)?;
    let mut all = lines(path)?;
    if all.get(granule) == Some(&locked) {
        return Ok(());
    }
    all.insert(granule.clone(), locked);
    let mut text = HEADER.to_owned();
    for (granule, line) in &all {
        text += &format!("{granule}\t{}\t{}\t{}\n", line.items.join(" "), line.collection, line.question);
    }
    Ok(contract::file::write(path, text.as_bytes())?)
}

/// Waits until no other process rewrites the lock. The hidden file stays: to remove it would let two in.
fn hold(path: &Path) -> anyhow::Result<std::fs::File> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(contract::Error::io(folder, "make the folder"))?;
    let name = path.file_name().with_context(|| format!("{}: want the name of a file", path.display()))?;
    let guard: PathBuf = folder.join(format!(".{}.held", name.to_string_lossy()));
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(&guard);
    let file = open.map_err(contract::Error::io(&guard, "write"))?;
    file.lock().map_err(contract::Error::io(&guard, "lock"))?;
    Ok(file)
}

fn lines(path: &Path) -> anyhow::Result<BTreeMap<GranuleId, Locked>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => bail!(contract::Error::io(path, "read")(error)),
    };
    let mut all = BTreeMap::new();
    for (n, line) in (1..).zip(text.lines()).filter(|(_, l)| !l.starts_with('#') && !l.is_empty()) {
        let (granule, locked) = parse(line).with_context(|| {
            format!("{}: line {n}: want granule, items, collection and question, found something else; mend or remove it", path.display())
        })?;
        all.insert(granule, locked);
    }
    Ok(all)
}

fn parse(line: &str) -> Option<(GranuleId, Locked)> {
    let [granule, items, collection, question] =
        <[&str; 4]>::try_from(line.split('\t').collect::<Vec<_>>()).ok()?;
    let items: Vec<_> = items.split(' ').map(str::to_owned).collect();
    let whole = items.iter().all(|i| !i.is_empty()) && !collection.is_empty() && !question.is_empty();
    let locked = Locked { items, collection: collection.to_owned(), question: question.to_owned() };
    whole.then_some((granule.parse().ok()?, locked))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn locked(items: &[&str]) -> Locked {
        Locked {
            items: items.iter().map(|i| (*i).into()).collect(),
            collection: "c".into(),
            question: "q".into(),
        }
    }

    #[test]
    fn many_writers_lose_no_line_and_the_file_is_sorted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("raw/scenes.lock");
        std::thread::scope(|scope| {
            for n in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for m in 0..5 {
                        let granule = format!("T{:02}RVV", n * 5 + m + 1).parse().unwrap();
                        keep(path, &granule, locked(&["a", "b"])).unwrap();
                    }
                });
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        let names: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(names.len(), 40);
        assert!(names.is_sorted());
        assert_eq!(read(&path, &"T07RVV".parse().unwrap()).unwrap(), Some(locked(&["a", "b"])));
        assert_eq!(read(&path, &"T60RVV".parse().unwrap()).unwrap(), None);
    }

    #[test]
    fn a_line_that_is_no_lock_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scenes.lock");
        for wrong in ["T48RVV", "T48RVV\ta\tc\t", "T48RVV\ta  b\tc\tq", "../x\ta\tc\tq", "<<<<<<< HEAD"] {
            std::fs::write(&path, format!("# head\n{wrong}\n")).unwrap();
            let error = read(&path, &"T48RVV".parse().unwrap()).unwrap_err().to_string();
            assert!(error.contains("line 2"), "{wrong}: {error}");
        }
        assert!(keep(&dir.path().join("new.lock"), &"T48RVV".parse().unwrap(), locked(&["a\tb"])).is_err());
    }
}
