//! Many files through a network that fails by chance: what is finished is right to the last byte.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use raster::Source;
use serde_json::json;
use support::*;

const SEED: u64 = 3;
const N_SCENES: usize = 32;
/// Scenes of the storm that is only run by hand.
const N_SCENES_LONG: usize = 1000;
const SCENES_AT_ONCE: usize = 16;
const BANDS: [&str; 4] = ["B02", "B03", "B04", "B08"];
/// Every second scene has files of several parts (320 kB of noise, parts of 64 KiB); the others' fit into one.
const SIDES_PX: [usize; 2] = [400, 60];
/// Short parts, and little patience with a stalled connection.
const LIMITS: [&str; 6] = ["--part-kib", "64", "--stall-s", "1", "--connections", "4"];
/// Faults in a row that a file must outlive: one try fewer than the program has.
const FAULTS_A_FILE: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Late,
    Busy429,
    Busy503Date,
    Broken500,
    Reset,
    Truncated,
    ShortLength,
    LongBody,
    WholeFor206,
    WrongPlace,
    WrongTotal,
    Flipped,
    Changed,
    Portal,
    SlowLoris,
    Moved,
}

const FAULTS: [Fault; 16] = [
    Fault::Late,
    Fault::Busy429,
    Fault::Busy503Date,
    Fault::Broken500,
    Fault::Reset,
    Fault::Truncated,
    Fault::ShortLength,
    Fault::LongBody,
    Fault::WholeFor206,
    Fault::WrongPlace,
    Fault::WrongTotal,
    Fault::Flipped,
    Fault::Changed,
    Fault::Portal,
    Fault::SlowLoris,
    Fault::Moved,
];

/// A file of the server. One without a published length and hash may become another one at any moment, under another tag.
struct Stored {
    versions: [Vec<u8>; 2],
    current: usize,
    published: bool,
    budget: usize,
}

impl Stored {
    fn bytes(&self) -> &[u8] {
        &self.versions[self.current]
    }

    fn etag(&self) -> String {
        format!("\"version{}\"", self.current)
    }
}

struct Storm {
    files: HashMap<String, Stored>,
    chance: Chance,
    injected: BTreeMap<Fault, usize>,
}

impl Storm {
    fn answer(&mut self, request: &Request) -> Reply {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let Some(file) = self.files.get_mut(path) else { return Reply::status(404, &[]) };
        let wanted = *self.chance.pick(&FAULTS);
        let calm =
            file.budget == 0 || request.method == "HEAD" || query == "moved" || self.chance.below(3) == 0;
        if !calm && let Some(reply) = wanted.strike(request, file, &mut self.chance) {
            file.budget -= 1;
            *self.injected.entry(wanted).or_default() += 1;
            return reply;
        }
        Reply::file(request, file.bytes(), &file.etag())
    }
}

impl Fault {
    /// The faulty answer; none where this fault makes no sense.
    fn strike(self, request: &Request, file: &mut Stored, chance: &mut Chance) -> Option<Reply> {
        let good = Reply::file(request, file.bytes(), &file.etag());
        // A file that is another one since it was begun is refused without a body: that answer stays.
        if good.body.is_empty() {
            return None;
        }
        let ranged = good.status == 206;
        let (length, total) = (good.body.len(), file.bytes().len());
        let middle = chance.below(length);
        Some(match self {
            Self::Late => good.late(Duration::from_millis(200)),
            Self::Busy429 => Reply::status(429, &[("retry-after", "1")]),
            Self::Busy503Date => {
                let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(1));
                Reply::status(503, &[("retry-after", &soon)])
            }
            Self::Broken500 => Reply::status(500, &[]),
            Self::Reset => good.reset(middle),
            Self::Truncated => good.cut(middle),
            Self::ShortLength if file.published || ranged => {
                Reply { body: good.body[..middle].to_vec(), ..good }
            }
            Self::LongBody if file.published || ranged => {
                Reply { body: [&good.body[..], &[0; 9]].concat(), ..good }
            }
            Self::WholeFor206 if ranged => Reply::ok(file.bytes()).with("etag", &file.etag()),
            Self::WrongPlace if ranged && length < total => {
                let end = (middle + length).min(total).max(length);
                let start =
                    if request.range(total)?.start == end - length { end - length - 1 } else { end - length };
                let body = file.bytes().get(start..start + length)?.to_vec();
                let place = format!("bytes {start}-{}/{total}", start + length - 1);
                Reply { body, ..good }.with("content-range", &place)
            }
            Self::WrongTotal if ranged => {
                let range = request.range(total)?;
                good.with("content-range", &format!("bytes {}-{}/{}", range.start, range.end - 1, total + 1))
            }
            Self::Flipped if file.published => {
                let mut body = good.body.clone();
                body[middle] ^= 1 << chance.below(8);
                Reply { body, ..good }
            }
            Self::Changed if !file.published && file.current == 0 => {
                file.current = 1;
                Reply::file(request, file.bytes(), &file.etag())
            }
            Self::Portal => Reply::ok("<html>Sign in to go on</html>").with("content-type", "text/html"),
            Self::SlowLoris => good.slow(10, Duration::from_millis(100)),
            Self::Moved => Reply::status(302, &[("location", &format!("{}?moved", request.path))]),
            _ => return None,
        })
    }
}

/// What a scene's bands may hold in the end: one version, or either of two.
type Allowed = Vec<Vec<Vec<u16>>>;

/// The bytes of pixels that no version of their file has there; a mix of two versions counts too.
fn wrong_bytes(out: &Path, allowed: &Allowed) -> usize {
    let scene = Source::open(out).unwrap();
    let of_band = |(n, versions): (usize, &Vec<Vec<u16>>)| {
        let got = scene.read_band::<u16>(n + 1).unwrap();
        let wrong =
            |version: &Vec<u16>| 2 * got.iter().zip(version).filter(|(a, b)| **a != **b - 1000).count();
        versions.iter().map(wrong).min().unwrap()
    };
    allowed.iter().enumerate().map(of_band).sum()
}

#[test]
fn files_that_come_through_a_storm_of_faults_are_right_to_the_last_byte() {
    weather(N_SCENES);
}

#[test]
#[ignore = "takes minutes: cargo test --release --workspace --test storm -- --ignored"]
fn files_that_come_through_a_long_storm_are_right_to_the_last_byte() {
    weather(N_SCENES_LONG);
}

fn weather(n_scenes: usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut chance = Chance(SEED);
    let mut files = HashMap::new();
    let mut allowed: Vec<Allowed> = Vec::new();
    for scene in 0..n_scenes {
        let side_px = SIDES_PX[scene % 2];
        let mut bands = Vec::new();
        for (n, band) in BANDS.iter().enumerate() {
            let published = n % 2 == 0;
            let path = dir.path().join("file.tif");
            let versions = [0, 1].map(|_| {
                let pixels = write_noise(&path, side_px, chance.number());
                (std::fs::read(&path).unwrap(), pixels)
            });
            let [(a, pixels_a), (b, pixels_b)] = versions;
            let stored = Stored { versions: [a, b], current: 0, published, budget: FAULTS_A_FILE };
            files.insert(format!("/{scene}/{band}.tif"), stored);
            bands.push(if published { vec![pixels_a] } else { vec![pixels_a, pixels_b] });
        }
        allowed.push(bands);
    }
    let promises: Vec<_> = (0..n_scenes).map(|scene| promise(dir.path(), scene, &files)).collect();
    let storm = Arc::new(Mutex::new(Storm { files, chance, injected: BTreeMap::new() }));
    let answering = Arc::clone(&storm);
    let server = Server::start(move |request, _| answering.lock().unwrap().answer(request));
    let (next, n_wrong) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..SCENES_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let scene = next.fetch_add(1, Ordering::Relaxed);
                    let Some(promise) = promises.get(scene) else { return };
                    let out = one(&dir.path().join(scene.to_string()), &server.address, promise);
                    n_wrong.fetch_add(wrong_bytes(&out, &allowed[scene]), Ordering::Relaxed);
                }
            });
        }
    });
    let injected = storm.lock().unwrap().injected.clone();
    let (n_faults, n_files, n_wrong) =
        (injected.values().sum::<usize>(), n_scenes * BANDS.len(), n_wrong.into_inner());
    tell(&format!(
        "storm: {n_faults} faults injected, {n_files} files finished, {n_wrong} bytes wrong; {injected:?}"
    ));
    assert_eq!(n_wrong, 0);
    assert!(n_faults > n_files, "a storm has more faults than files, this one {n_faults} in {n_files}");
    assert_eq!(injected.len(), FAULTS.len(), "every kind of fault was met: {injected:?}");
}

/// The assets of a scene, without the server's address.
fn promise(folder: &Path, scene: usize, files: &HashMap<String, Stored>) -> serde_json::Value {
    let path = folder.join("file.tif");
    let mut assets = json!({});
    for band in BANDS {
        let href = format!("/{scene}/{band}.tif");
        let stored = &files[&href];
        std::fs::write(&path, stored.bytes()).unwrap();
        assets[band] = if stored.published { asset(&href, &path) } else { json!({"href": href}) };
    }
    assets
}

/// Fetches a scene and gives its path.
fn one(folder: &Path, address: &str, assets: &serde_json::Value) -> std::path::PathBuf {
    std::fs::create_dir(folder).unwrap();
    let mut assets = assets.clone();
    for band in BANDS {
        assets[band]["href"] = json!(format!("{address}{}", assets[band]["href"].as_str().unwrap()));
    }
    let root = catalogue(folder, &[item("one", "2022-01-01", 1.0, assets)]);
    let out = folder.join("raw/T48RVV.tif");
    let flags: Vec<&str> = ["--assets", "B02,B03,B04,B08"].into_iter().chain(LIMITS).collect();
    ok(fetch(root.to_str().unwrap(), &out, &flags));
    assert_eq!(std::fs::read_dir(folder.join("raw")).unwrap().count(), 2, "nothing else is left");
    out
}
