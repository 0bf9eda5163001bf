//! Which files and bands a scene is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use raster::Source;
use tracing::{info, warn};

use crate::bands::{Content, are_plain, of_name, resolution_m};
use crate::stac::baseline_in;

const ENDINGS: [&str; 3] = ["tif", "tiff", "jp2"];
/// A product's bands lie five folders deep.
const DEEPEST: usize = 8;
/// More files than any product has.
const MOST_FILES: usize = 20_000;
const NATURAL: [&str; 3] = ["B04", "B03", "B02"];
const COLOURS: [&str; 3] = ["red", "green", "blue"];

/// A band of the scene to be.
#[derive(Debug, Clone)]
pub(super) struct Pick {
    /// Its file.
    pub path: PathBuf,
    /// The band in it, counted from 1.
    pub band: usize,
    /// Its name in the output.
    pub name: String,
    content: Option<Content>,
}

/// The bands that are taken, and what the files' names say.
#[derive(Debug)]
pub(super) struct Files {
    /// In the order of the output.
    pub picks: Vec<Pick>,
    /// A classification among the files.
    pub scl: Option<PathBuf>,
    /// The scene's name: the product's, or the first file's.
    pub item: String,
    /// Processing baseline in the product's name.
    pub baseline: Option<String>,
    /// Day or time of sensing in a name.
    pub sensed: Option<String>,
}

impl Files {
    /// Looks at files and folders, and picks the bands that are wanted: names or numbers, red, green and blue if none.
    ///
    /// # Errors
    /// If there are none, or it is not clear which are which.
    pub fn of(given: &[PathBuf], wanted: &[String]) -> anyhow::Result<Self> {
        let (mut bands, mut scl) = (Vec::new(), None);
        for path in given {
            if path.is_dir() {
                let found = in_folder(path)?;
                scl = scl.or_else(|| finest(&found, Content::Classes));
                bands.extend(of_folder(path, &found, wanted)?);
            } else if of_name(&stem(path)) == Some(Content::Classes) {
                scl = scl.or_else(|| Some(path.clone()));
            } else {
                bands.extend(of_file(path)?);
            }
        }
        ensure!(
            !bands.is_empty(),
            "{}: want bands of a scene, found a classification alone; give the band files too",
            given[0].display()
        );
        let picks = pick(&bands, wanted, &given[0])?;
        ensure!(
            picks.iter().map(|pick| &pick.name).collect::<BTreeSet<_>>().len() == picks.len(),
            "{}: want each band once, found {}; give others with --bands",
            given[0].display(),
            picks.iter().map(|pick| pick.name.as_str()).collect::<Vec<_>>().join(",")
        );
        let parts = telling_parts(&picks[0].path);
        let product = parts.iter().find(|part| part.contains("MSIL"));
        Ok(Self {
            item: stem(product.map_or(&given[0], |product| Path::new(product))),
            baseline: parts.iter().find_map(|part| baseline_in(part)),
            sensed: parts.iter().find_map(|part| time_in(part)),
            picks,
            scl,
        })
    }

    /// The files that bands are taken from, each once, in order.
    pub fn used(&self) -> impl Iterator<Item = &Path> {
        let mut seen = BTreeSet::new();
        self.picks.iter().map(|pick| pick.path.as_path()).filter(move |path| seen.insert(*path))
    }

    /// Their length together.
    pub fn n_bytes(&self) -> anyhow::Result<u64> {
        let length = |path: &Path| {
            path.metadata().map(|m| m.len()).with_context(|| format!("{}: cannot be read", path.display()))
        };
        self.used().map(length).sum()
    }
}

/// A file's name, and the names of product folders around it: other folders may be called after any day or place.
pub(super) fn telling_parts(path: &Path) -> Vec<String> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let parts: Vec<_> = path.iter().rev().map(|part| part.to_string_lossy().into_owned()).collect();
    let of_product =
        |part: &String| part.contains("MSIL") || part.starts_with("L2A_T") || part.starts_with("L1C_T");
    let (file, folders) =
        parts.split_first().map_or((None, &[][..]), |(file, folders)| (Some(file), folders));
    file.into_iter().chain(folders.iter().filter(|part| of_product(part))).cloned().collect()
}

fn stem(path: &Path) -> String {
    let named = path.file_name().map(Path::new).or(Some(path)).and_then(Path::file_stem);
    named.map_or_else(|| "scene".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// Files of a band each in a folder and the folders in it: what each holds, and its resolution where its name says it.
type Found = BTreeMap<PathBuf, (Content, Option<u32>)>;

fn in_folder(folder: &Path) -> anyhow::Result<Found> {
    let (mut found, mut n_seen) = (Found::new(), 0);
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((at, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&at).with_context(|| format!("{}: cannot be read", at.display()))? {
            let path = entry.with_context(|| format!("{}: cannot be read", at.display()))?.path();
            n_seen += 1;
            ensure!(
                n_seen <= MOST_FILES,
                "{}: want a scene's folder, found more than {MOST_FILES} files; name the band files",
                folder.display()
            );
            if path.is_dir() && depth < DEEPEST {
                folders.push((path, depth + 1));
                continue;
            }
            let ending =
                path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
            let name = stem(&path);
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if let (true, false, Some(content)) = (ENDINGS.contains(&ending.as_str()), hidden, of_name(&name))
            {
                found.insert(path, (content, resolution_m(&name)));
            }
        }
    }
    Ok(found)
}

/// The file of the finest resolution that holds something.
fn finest(found: &Found, content: Content) -> Option<PathBuf> {
    let of = found.iter().filter(|(_, (holds, _))| *holds == content);
    of.min_by_key(|(path, (_, metres))| (metres.unwrap_or(0), *path)).map(|(path, _)| path.clone())
}

/// The files of a folder that hold what is wanted, of the finest resolution that has all.
fn of_folder(folder: &Path, found: &Found, wanted: &[String]) -> anyhow::Result<Vec<Pick>> {
    let say = || {
        let names: Vec<_> =
            found.keys().map(|path| path.file_name().unwrap_or_default().to_string_lossy()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let holding = |content: Content| found.values().any(|(holds, _)| *holds == content);
    let contents: Vec<Content> = if wanted.is_empty() {
        let natural = NATURAL.map(Content::Band);
        let colours = COLOURS.map(Content::Colour);
        let sets = [&natural[..], &[Content::Picture], &colours[..]];
        let set = sets.into_iter().find(|set| set.iter().all(|content| holding(*content)));
        set.map(<[_]>::to_vec).with_context(|| {
            format!("{}: want files of the bands B04, B03, B02 or a picture (TCI), found {}; name the band files in order", folder.display(), say())
        })?
    } else {
        let one = |name: &String| {
            of_name(name).filter(|content| holding(*content)).with_context(|| {
                format!(
                    "{}: want a file of band {name}, found {}; give names of bands with --bands",
                    folder.display(),
                    say()
                )
            })
        };
        wanted.iter().map(one).collect::<anyhow::Result<_>>()?
    };
    let steps: BTreeSet<Option<u32>> = found.values().map(|(_, metres)| *metres).collect();
    let at = |metres: Option<u32>| -> Option<Vec<PathBuf>> {
        let file = |content: &Content| {
            found.iter().find(|(_, of)| **of == (*content, metres)).map(|(path, _)| path.clone())
        };
        contents.iter().map(file).collect()
    };
    let files = steps
        .into_iter()
        .find_map(at)
        .or_else(|| contents.iter().map(|content| finest(found, *content)).collect());
    let mut picks = Vec::new();
    for path in files.context("a file vanished")? {
        picks.extend(of_file(&path)?);
    }
    Ok(picks)
}

/// The bands of a file with what their names say, or its own where it has one band; its opacity is none.
fn of_file(path: &Path) -> anyhow::Result<Vec<Pick>> {
    let source = Source::open(path)?;
    let names = source.band_names();
    let bands = (1..=source.n_bands()).filter(|band| source.alpha() != Some(*band));
    let n_bands = bands.clone().count();
    let by_file = of_name(&stem(path));
    let pick = |(place, band): (usize, usize)| {
        let own = names[band - 1].clone();
        let content = match by_file {
            Some(Content::Picture) if n_bands == 3 => Some(Content::Colour(COLOURS[place])),
            Some(one) if n_bands == 1 => Some(one),
            _ => of_name(&own),
        };
        let name = if own.is_empty() && n_bands == 1 { stem(path) } else { own };
        Pick { path: path.to_owned(), band, name, content }
    };
    Ok(bands.enumerate().map(pick).collect())
}

/// The bands that are wanted, with their names in the output.
fn pick(bands: &[Pick], wanted: &[String], first: &Path) -> anyhow::Result<Vec<Pick>> {
    let mut picks = Vec::new();
    for text in wanted {
        if of_name(text) == Some(Content::Picture) {
            picks.extend(natural(bands, first)?);
            continue;
        }
        let found = match text.parse::<usize>() {
            Ok(n) => n.checked_sub(1).and_then(|index| bands.get(index)),
            Err(_) => named(bands, text),
        };
        picks.push(found.cloned().with_context(|| {
            format!(
                "{}: want a band {text}, found {}; give names or numbers of these with --bands",
                first.display(),
                listed(bands)
            )
        })?);
    }
    if wanted.is_empty() {
        picks = natural(bands, first)?;
    }
    let is_known = |pick: &Pick| matches!(pick.content, Some(Content::Band(_) | Content::Colour(_)));
    let colours = picks.len() == 3 && !picks.iter().any(is_known);
    let plain = are_plain(picks.iter().map(|pick| pick.name.as_str()));
    let name = |(place, pick): (usize, Pick)| {
        let name = match pick.content {
            _ if colours => COLOURS[place].to_owned(),
            Some(Content::Colour(colour)) => colour.to_owned(),
            Some(Content::Band(esa)) if !plain => esa.to_owned(),
            _ if pick.name.is_empty() => format!("band_{}", pick.band),
            _ => pick.name.clone(),
        };
        Pick { name, ..pick }
    };
    Ok(picks.into_iter().enumerate().map(name).collect())
}

/// The band of a name: its own, or one that says the same.
fn named<'a>(bands: &'a [Pick], text: &str) -> Option<&'a Pick> {
    if text.trim().is_empty() {
        return None;
    }
    let content = of_name(text);
    let own = bands.iter().find(|band| band.name.eq_ignore_ascii_case(text));
    own.or_else(|| bands.iter().find(|band| content.is_some() && same(band.content, content)))
}

/// Whether two names say the same: a colour of a picture is asked for as the band of that colour.
fn same(a: Option<Content>, b: Option<Content>) -> bool {
    let colour = |content| match content {
        Some(Content::Colour("red")) => Some(Content::Band("B04")),
        Some(Content::Colour("green")) => Some(Content::Band("B03")),
        Some(Content::Colour("blue")) => Some(Content::Band("B02")),
        other => other,
    };
    colour(a) == colour(b)
}

/// Red, green and blue.
fn natural(bands: &[Pick], first: &Path) -> anyhow::Result<Vec<Pick>> {
    let all = |names: [&str; 3]| -> Option<Vec<Pick>> {
        names.iter().map(|name| named(bands, name).cloned()).collect()
    };
    if let Some(picks) = all(NATURAL) {
        if bands.len() > 3 {
            info!("of the bands {} red, green and blue are taken; name others with --bands", listed(bands));
        }
        return Ok(picks);
    }
    if bands.len() == 3 {
        warn!(
            "{}: three bands whose names say nothing ({}) are taken as red, green, blue; say --bands 3,2,1 if blue comes first",
            first.display(),
            listed(bands)
        );
        return Ok(bands.to_vec());
    }
    bail!(
        "{}: want bands red, green and blue (B04, B03, B02), found {}; say which they are, by number or name: --bands 3,2,1 where they are the \
         third, second and first",
        first.display(),
        listed(bands)
    )
}

fn listed(bands: &[Pick]) -> String {
    let one = |(i, pick): (usize, &Pick)| match pick.name.as_str() {
        "" => format!("{} (no name)", i + 1),
        name => format!("{} ({name})", i + 1),
    };
    bands.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
}

/// A day in a name, with the time where it stands: `20230131T033959`, `2023-01-31`.
fn time_in(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    let dashed = upper.replace('-', "");
    let tokens = dashed.split(|c: char| !c.is_ascii_alphanumeric());
    tokens
        .filter_map(|token| {
            let (day, time) = token.split_once('T').unwrap_or((token, ""));
            let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
            if !digits(day, 8) || !(time.is_empty() || digits(time, 6)) || !matches!(&day[..2], "19" | "20") {
                return None;
            }
            let day = crate::flags::day(&format!("{}-{}-{}", &day[..4], &day[4..6], &day[6..])).ok()?;
            Some(if time.is_empty() {
                day
            } else {
                format!("{day}T{}:{}:{}Z", &time[..2], &time[2..4], &time[4..])
            })
        })
        .next()
}
