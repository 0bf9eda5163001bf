mod server;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use raster::{Affine, BandOut, CogOptions, Crs, Grid, Source, write_cog};
use tempfile::TempDir;

use super::limits::tests::limits;
use super::*;
use server::{Reply, Request, Server, honest};

const PART_BYTES: u64 = 64 << 10;

/// Small parts, and short patience.
fn quick() -> Limits {
    Limits { part_kib: (PART_BYTES >> 10) as u32, stall_s: 1, ..limits() }
}

/// A scene of noise, which does not pack: about 1.4 MB.
fn scene(seed: u64) -> Vec<u8> {
    scene_of(seed, 720)
}

fn scene_of(seed: u64, side: usize) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let transform = Affine { west: 300_000.0, north: 3_500_040.0, pixel_width: 10.0, pixel_height: 10.0 };
    let grid = Grid { height: side, width: side, transform, crs: Crs::from_epsg(32648).unwrap() };
    let mut state = seed;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as u16
    };
    let pixels: Vec<u16> = (0..side * side).map(|_| noise()).collect();
    let path = dir.path().join("scene.tif");
    let band = BandOut { name: "B04", unit: "dn", pixels: &pixels };
    write_cog(&path, &grid, &[band], &CogOptions::default()).unwrap();
    std::fs::read(path).unwrap()
}

fn wire(server: &Server, limits: &Limits) -> Wire {
    Wire::to(server.url("/catalogue"), limits).unwrap()
}

async fn fetch(server: &Server, dir: &TempDir, limits: &Limits, promise: &Promise) -> anyhow::Result<Proven> {
    wire(server, limits).raster(&server.url("/a.tif"), &dir.path().join("a"), promise, "c", None).await
}

fn n_files(dir: &TempDir) -> usize {
    std::fs::read_dir(dir.path()).unwrap().count()
}

fn asked_bytes(server: &Server, total: usize) -> u64 {
    let length = |r: &Request| r.range.as_ref().map_or(total as u64, |r| r.end.min(total as u64) - r.start);
    server.seen().iter().map(length).sum()
}

#[tokio::test]
async fn a_long_file_comes_in_parts_each_byte_once_and_goes_when_it_is_used() {
    let (bytes, dir) = (scene(1), tempfile::tempdir().unwrap());
    let body = bytes.clone();
    let server = Server::start(move |request, _| honest(request, &body, "\"v1\""));
    let proven = fetch(&server, &dir, &quick(), &Promise::default()).await.unwrap();
    assert!(std::fs::read(proven.path()).unwrap() == bytes);
    let n_parts = (bytes.len() as u64).div_ceil(PART_BYTES) as usize;
    assert!(n_parts > 10, "{n_parts} parts");
    assert_eq!(server.seen().len(), n_parts);
    assert_eq!((proven.travelled_bytes, proven.length_bytes), (bytes.len() as u64, bytes.len() as u64));
    assert_eq!(asked_bytes(&server, bytes.len()), bytes.len() as u64);
    proven.discard();
    assert_eq!(n_files(&dir), 0);
}

#[tokio::test]
async fn a_file_that_was_fetched_but_not_used_is_only_asked_for_its_tag_again() {
    let (bytes, dir) = (scene(1), tempfile::tempdir().unwrap());
    let body = bytes.clone();
    for (ranges, n_again) in [(true, 1), (false, 1)] {
        let body = body.clone();
        let server = Server::start(move |request, _| {
            let range = request.range.clone().filter(|_| ranges);
            honest(&Request { range, ..request.clone() }, &body, "\"v1\"")
        });
        drop(fetch(&server, &dir, &quick(), &Promise::default()).await.unwrap());
        server.forget();
        let proven = fetch(&server, &dir, &quick(), &Promise::default()).await.unwrap();
        assert!(std::fs::read(proven.path()).unwrap() == bytes);
        assert_eq!((server.seen().len(), proven.travelled_bytes), (n_again, 0));
        proven.discard();
    }
}

#[tokio::test]
async fn a_run_that_broke_off_is_taken_up_where_it_stopped() {
    let (bytes, dir) = (scene(2), tempfile::tempdir().unwrap());
    let body = bytes.clone();
    let gone = Arc::new(AtomicU64::new(7));
    let left = Arc::clone(&gone);
    let server = Server::start(move |request, _| {
        let open = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if open { honest(request, &body, "\"v1\"") } else { Reply::status(404) }
    });
    let error = fetch(&server, &dir, &quick(), &Promise::default()).await.unwrap_err();
    let error = stage::one_line(&error);
    assert!(error.contains("404"), "{error}");
    assert_eq!(n_files(&dir), 2, "the part file and its journal stay");
    let journal = std::fs::read_to_string(dir.path().join(".a.parts")).unwrap();
    let n_done = journal.lines().count() as u64 - 1;
    assert!((1..=7).contains(&n_done), "{n_done}");
    gone.store(1000, Ordering::SeqCst);
    server.forget();
    // A part that the disk was still taking when the first run ended keeps the file's lock so long.
    let proven = loop {
        match fetch(&server, &dir, &quick(), &Promise::default()).await {
            Err(error) if stage::one_line(&error).contains("another process") => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            ended => break ended.unwrap(),
        }
    };
    assert!(std::fs::read(proven.path()).unwrap() == bytes);
    // The log may still get a request that the first run dropped: of a part that is missing.
    let starts: BTreeSet<_> = server.seen().iter().map(|r| r.range.clone().unwrap().start).collect();
    assert_eq!(starts.len() as u64, (bytes.len() as u64).div_ceil(PART_BYTES) - n_done);
    assert_eq!(proven.travelled_bytes, bytes.len() as u64 - n_done * PART_BYTES);
    assert!(server.seen().iter().all(|r| r.if_match.as_deref() == Some("\"v1\"")));
}

#[tokio::test]
async fn a_file_that_changes_on_the_way_or_between_two_runs_is_never_mixed() {
    let (old, new) = (scene(3), scene(4));
    for obeys in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let bodies = (old.clone(), new.clone());
        let server = Server::start(move |request, before| {
            // A server that does not obey the condition sends parts of the new file.
            let if_match = request.if_match.clone().filter(|_| obeys);
            let request = Request { if_match, ..request.clone() };
            if before < 6 {
                honest(&request, &bodies.0, "\"old\"")
            } else {
                honest(&request, &bodies.1, "\"new\"")
            }
        });
        let proven = fetch(&server, &dir, &quick(), &Promise::default()).await.unwrap();
        assert!(std::fs::read(proven.path()).unwrap() == new, "obeys {obeys}");
    }
}

/// One misdeed at a time, at requests 2 to 4 of a file in parts.
#[tokio::test]
async fn whatever_a_server_does_in_the_middle_the_file_is_right_in_the_end() {
    type Misdeed = fn(Reply) -> Reply;
    let misdeeds: [(&str, Misdeed); 10] = [
        ("reset", |r| Reply { cut: Some(1000), ..r }),
        ("busy", |_| Reply::status(503).header("retry-after", 0)),
        ("too many", |_| Reply::status(429).header("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")),
        ("another range", |r| r.header("content-range", "bytes 0-65535/1000000")),
        ("no range", |r| Reply { headers: vec![("etag".into(), "\"v1\"".into())], ..r }),
        ("short", |r| Reply { body: r.body[..r.body.len() / 2].to_vec(), ..r }),
        ("long", |r| Reply {
            body: [r.body.clone(), r.body].concat(),
            headers: r.headers,
            ..Reply::status(206)
        }),
        ("packed", |r| r.header("content-encoding", "gzip")),
        ("drip", |r| Reply { drip: Some(Duration::from_millis(500)), ..r }),
        ("no tag", |r| Reply { headers: r.headers.into_iter().filter(|(n, _)| n != "etag").collect(), ..r }),
    ];
    let bytes = scene(5);
    let mut n_right = 0;
    for (name, misdeed) in misdeeds {
        let (dir, body) = (tempfile::tempdir().unwrap(), bytes.clone());
        let server = Server::start(move |request, before| {
            let reply = honest(request, &body, "\"v1\"");
            if (2..5).contains(&before) { misdeed(reply) } else { reply }
        });
        let proven = fetch(&server, &dir, &quick(), &Promise::default()).await;
        let proven = proven.unwrap_or_else(|e| panic!("{name}: {e:#}"));
        assert!(std::fs::read(proven.path()).unwrap() == bytes, "{name}");
        n_right += 1;
    }
    assert_eq!(n_right, 10);
}

#[tokio::test]
async fn a_server_without_ranges_or_tags_sends_one_stream() {
    let (bytes, body) = (scene(6), scene(6));
    for whole_at in [0, 3] {
        let (dir, body) = (tempfile::tempdir().unwrap(), body.clone());
        let server = Server::start(move |request, before| {
            let range = request.range.clone().filter(|_| before < whole_at);
            honest(&Request { range, ..request.clone() }, &body, "\"v1\"")
        });
        let proven = fetch(&server, &dir, &quick(), &Promise::default()).await.unwrap();
        assert!(std::fs::read(proven.path()).unwrap() == bytes);
        if whole_at == 0 {
            assert_eq!(server.seen().len(), 1, "the first answer is the file");
        }
    }
    let (dir, body) = (tempfile::tempdir().unwrap(), bytes.clone());
    let server = Server::start(move |request, _| {
        let mut reply = honest(request, &body, "");
        reply.headers.retain(|(name, _)| name != "etag");
        reply
    });
    let proven = fetch(&server, &dir, &quick(), &Promise::default()).await.unwrap();
    assert!(std::fs::read(proven.path()).unwrap() == bytes);
    assert_eq!(server.seen().last().unwrap().range, None, "nothing ties parts together");
}

#[tokio::test]
async fn a_length_that_breaks_the_promise_or_is_absurd_is_refused_before_it_travels() {
    for (said, size) in [(1_000_000_000_000_000_000u64, None), (4000, Some(3000))] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(move |_, _| {
            Reply { body: vec![0; 65_536], cut: Some(100), ..Reply::status(206) }
                .header("content-range", format!("bytes 0-{}/{said}", 65_535.min(said - 1)))
                .header("content-length", 65_536.min(said))
                .header("etag", "\"v1\"")
        });
        let promise = Promise { size, sha256: None };
        let error = fetch(&server, &dir, &quick(), &promise).await.unwrap_err();
        let error = stage::one_line(&error);
        assert!(error.contains("bytes, found"), "{error}");
        assert_eq!(n_files(&dir), 0);
    }
}

#[tokio::test]
async fn a_token_that_runs_out_in_mid_file_is_renewed_and_the_file_goes_on() {
    let (bytes, dir) = (scene(7), tempfile::tempdir().unwrap());
    let body = bytes.clone();
    let n_tokens = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&n_tokens);
    let server = Server::start(move |request, before| {
        if request.path == "/token/c" {
            let n = count.fetch_add(1, Ordering::SeqCst) + 1;
            let token = format!(r#"{{"token": "sig=SECRET{n}", "msft:expiry": "1994-11-06T09:49:37Z"}}"#);
            return Reply { body: token.into_bytes(), ..Reply::status(200) }
                .header("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        }
        let good = if before < 8 { "sig=SECRET1" } else { "sig=SECRET2" };
        if request.query == good { honest(request, &body, "\"v1\"") } else { Reply::status(403) }
    });
    let service = format!("{}/token/{{collection}}", server.address);
    let limits = Limits { sas_token_url: Some(service), ..quick() };
    let proven = fetch(&server, &dir, &limits, &Promise::default()).await.unwrap();
    assert!(std::fs::read(proven.path()).unwrap() == bytes);
    assert_eq!(proven.travelled_bytes, bytes.len() as u64, "nothing travels twice");
    assert_eq!(n_tokens.load(Ordering::SeqCst), 2, "renewed once, whoever noticed");
    let journal = std::fs::read_to_string(dir.path().join(".a.parts")).unwrap();
    assert!(!journal.contains("SECRET"), "{journal}");
}

#[tokio::test]
async fn of_a_small_window_only_its_blocks_travel_and_they_are_the_files_own() {
    let (bytes, dir) = (scene_of(8, 2000), tempfile::tempdir().unwrap());
    let body = bytes.clone();
    let server = Server::start(move |request, _| honest(request, &body, "\"v1\""));
    let path = dir.path().join("whole.tif");
    std::fs::write(&path, &bytes).unwrap();
    let whole = Source::open(&path).unwrap();
    let b = raster::bounds_deg(&whole.grid().window(300, 310, 40, 50)).unwrap();
    let url = server.url("/a.tif");
    let get = async |degrees| {
        let wire = wire(&server, &quick());
        wire.raster(&url, &dir.path().join("a"), &Promise::default(), "c", Some(degrees)).await
    };
    let proven = get([b.west, b.south, b.east, b.north]).await.unwrap();
    let w = proven.window.unwrap();
    assert!(w.row <= 300 && w.col <= 310 && w.row + w.height >= 340 && w.col + w.width >= 360, "{w:?}");
    assert!(w.height < 80 && w.width < 80, "{w:?}");
    let pixels = |source: &Source| source.read_window::<u16>(1, w.row, w.col, w.height, w.width).unwrap();
    assert_eq!(pixels(&Source::open(proven.path()).unwrap()), pixels(&whole));
    assert!(proven.n_bytes < proven.length_bytes / 3, "{} of {}", proven.n_bytes, proven.length_bytes);
    assert!(proven.travelled_bytes <= proven.n_bytes + 1);
    proven.discard();
    assert_eq!(n_files(&dir), 1);
    // Nearly all of it: the whole file, with the window that may be read.
    let b = raster::bounds_deg(whole.grid()).unwrap();
    let proven = get([b.west, b.south, b.east, b.north]).await.unwrap();
    assert_eq!(proven.window, Some(Window::of(whole.grid())));
    assert!(std::fs::read(proven.path()).unwrap() == bytes);
}

#[tokio::test]
async fn no_more_connections_are_used_than_allowed_and_a_bandwidth_is_kept() {
    let (bytes, dir) = (scene(9), tempfile::tempdir().unwrap());
    let (open, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (body, seen) = (bytes.clone(), Arc::clone(&most));
    let server = Server::start(move |request, _| {
        let n = open.fetch_add(1, Ordering::SeqCst) + 1;
        seen.fetch_max(n, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        open.fetch_sub(1, Ordering::SeqCst);
        honest(request, &body, "\"v1\"")
    });
    let limits = Limits { connections: 3, ..quick() };
    fetch(&server, &dir, &limits, &Promise::default()).await.unwrap().discard();
    assert_eq!(most.load(Ordering::SeqCst), 3);
    let limits = Limits { max_mb_per_s: Some(2.0), ..limits };
    let start = std::time::Instant::now();
    fetch(&server, &dir, &limits, &Promise::default()).await.unwrap();
    let least_s = (bytes.len() as f64 - 3.0 * PART_BYTES as f64) / 2e6;
    assert!(start.elapsed().as_secs_f64() >= least_s, "{:?}, want {least_s} s", start.elapsed());
}

#[tokio::test]
async fn the_deadline_ends_a_fetch_that_would_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(move |_, _| Reply::status(503).header("retry-after", 60));
    let limits = Limits { deadline_s: 1, ..quick() };
    let error = fetch(&server, &dir, &limits, &Promise::default()).await.unwrap_err();
    let error = stage::one_line(&error);
    assert!(error.contains("--deadline-s") && n_files(&dir) == 0, "{error}");
}

#[tokio::test]
async fn a_redirect_to_a_private_host_or_a_file_is_refused_at_once() {
    for location in [
        "http://10.0.0.1/x?sig=SECRET",
        "http://169.254.169.254/latest",
        "http://localhost:1/x",
        "file:///etc/passwd",
        "s3://bucket/key",
    ] {
        let server = Server::start(move |_, _| Reply::status(302).header("location", location));
        let url = server.url("/item.json");
        let wire = Wire::with(url.clone(), Guard::of_web("127.0.0.1"), &quick()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let document = wire.document(&url, None).await.unwrap_err().to_string();
        let file = wire.raster(&url, &dir.path().join("a"), &Promise::default(), "c", None).await;
        for error in [document, file.unwrap_err().to_string()] {
            let refused =
                ["a private one", "answers 302", "no web address"].iter().any(|t| error.contains(t));
            assert!(refused && !error.contains("SECRET") && !error.contains("tries"), "{location}: {error}");
        }
    }
}
