//! Catalogues and files made by somebody who means harm, through the program.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::*;

const BAND: [&str; 2] = ["--assets", "B04"];
const SECRET: &str = "S3CR3TT0KEN";

/// Address space of the program while it reads bombs; each asks for several times as much.
const MEMORY_CAP_KIB: usize = 3 << 20;

fn root_over(dir: &Path, assets: Value) -> String {
    catalogue(dir, &[item("one", "2022-01-01", 1.0, assets)]).to_str().unwrap().to_owned()
}

/// All files and folders below a folder.
fn tree(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { tree(&path) } else { BTreeSet::from([path]) }).collect()
}

/// A classic TIFF of one image with these tags (number, type 3 short or 4 long, value) and a few bytes of "pixels" at offset 8.
fn tiff(tags: &[(u16, u16, u32)], next_directory: u32) -> Vec<u8> {
    let mut bytes = b"II*\0\x10\0\0\0not zlib".to_vec();
    bytes.extend((tags.len() as u16).to_le_bytes());
    for (number, kind, value) in tags {
        bytes.extend(number.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(next_directory.to_le_bytes());
    bytes
}

/// One strip (or tile) of `height` x `width` pixels of 16 bits in `bands` bands.
fn image(height: u32, width: u32, bands: u32, block: Option<u32>) -> Vec<u8> {
    let mut tags =
        vec![(256, 4, width), (257, 4, height), (258, 3, 16), (259, 3, 8), (262, 3, 1), (277, 3, bands)];
    match block {
        Some(side) => tags.extend([(322, 4, side), (323, 4, side), (324, 4, 8), (325, 4, 8)]),
        None => tags.extend([(273, 4, 8), (278, 4, height), (279, 4, 8)]),
    }
    tags.sort_unstable();
    tiff(&tags, 0)
}

#[test]
fn bombs_are_refused_by_name_and_within_memory() {
    let dir = tempfile::tempdir().unwrap();
    let bombs: [(&str, Vec<u8>); 9] = [
        ("a strip of 7 GB", image(60_000, 60_000, 1, None)),
        ("a strip of 2^62 bytes", image(1 << 31, 1 << 30, 1, None)),
        ("a tile of 8 GB", image(100_000, 100_000, 1, Some(65_536))),
        ("65,535 bands", image(1_000, 1_000, 65_535, None)),
        ("a directory that names itself", tiff(&[(256, 4, 10), (257, 4, 10)], 16)),
        ("no directory at all", b"II*\0\xff\xff\xff\xff".to_vec()),
        ("a VRT in a TIFF's name", vrt(&dir.path().join("secret.tif")).into_bytes()),
        ("a VRT over the network", vrt(Path::new("/vsicurl/http://127.0.0.1:1/x.tif")).into_bytes()),
        (
            "a Web Coverage Service in a TIFF's name",
            b"<WCS_GDAL><ServiceURL>http://127.0.0.1:1/?</ServiceURL></WCS_GDAL>".to_vec(),
        ),
    ];
    write_band(&dir.path().join("secret.tif"), 2000);
    std::thread::scope(|scope| {
        for (n, (what, bytes)) in bombs.into_iter().enumerate() {
            let dir = dir.path().join(n.to_string());
            scope.spawn(move || drop_bomb(&dir, what, bytes));
        }
    });
}

fn drop_bomb(dir: &Path, what: &str, bytes: Vec<u8>) {
    fs::create_dir(dir).unwrap();
    let path = dir.join("bomb.tif");
    fs::write(&path, &bytes).unwrap();
    let server = Server::start(move |request, _| Reply::file(request, &bytes, "\"1\""));
    let assets = json!({"B04": asset(&format!("{}/bomb.tif", server.address), &path)});
    let out = dir.join("raw/T48RVV.tif");
    let line = refused(capped(&root_over(dir, assets), &out));
    assert!(line.contains("bomb.tif"), "{what}: {line}");
    assert!(!out.exists(), "{what}");
}

fn vrt(source: &Path) -> String {
    format!(
        "<VRTDataset rasterXSize=\"{WIDTH}\" rasterYSize=\"{HEIGHT}\"><SRS>EPSG:32648</SRS>\
         <GeoTransform>300000,10,0,3500000,0,-10</GeoTransform><VRTRasterBand dataType=\"UInt16\" band=\"1\"><SimpleSource>\
         <SourceFilename relativeToVRT=\"0\">{}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>",
        source.display()
    )
}

/// Fetches with a limit on memory.
fn capped(catalogue: &str, out: &Path) -> Output {
    let plain = fetching(catalogue, out, &BAND);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {MEMORY_CAP_KIB}; exec \"$0\" \"$@\"")]);
    command.arg(plain.get_program()).args(plain.get_args()).output().unwrap()
}

#[test]
fn no_name_from_a_catalogue_leaves_the_output_folder() {
    let pieces = [
        "../",
        "..\\",
        "/tmp/",
        "/etc/passwd",
        "a",
        "B04",
        "\0",
        "\n",
        "\t",
        ".",
        "..",
        "CON",
        "é",
        "%2e%2e%2f",
        "~",
        "$(id)",
        " ",
        "\u{202e}",
    ];
    let mut chance = Chance(9);
    let mut ids: Vec<String> =
        (0..40).map(|_| (0..1 + chance.below(5)).map(|_| *chance.pick(&pieces)).collect()).collect();
    ids.extend(["x".repeat(300), "../".repeat(100), "Scene".into(), "scene".into(), String::new()]);
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("in");
    fs::create_dir(&inside).unwrap();
    write_band(&inside.join("red.tif"), 2000);
    for id in &ids {
        let hostile = item(
            id,
            "2022-01-01",
            1.0,
            json!({id.as_str(): {"href": "../../nothing"}, "B04": asset("red.tif", &inside.join("red.tif"))}),
        );
        let root = catalogue(&inside, &[hostile]);
        let (before, out) = (tree(dir.path()), dir.path().join("out/raw/T48RVV.tif"));
        let output = fetch(root.to_str().unwrap(), &out, &BAND);
        let left: Vec<_> = tree(dir.path()).difference(&before).cloned().collect();
        if output.status.success() {
            assert_eq!(left, [out.with_extension("scene.parquet"), out.clone()], "{id:?}");
            let rows: Vec<contract::Scene> = contract::read(&out.with_extension("scene.parquet")).unwrap();
            assert_eq!(&rows[0].item, id);
            fs::remove_dir_all(dir.path().join("out")).unwrap();
        } else {
            refused(output);
            assert!(left.is_empty(), "{id:?}: {left:?}");
        }
    }
    println!("{} hostile ids", ids.len());
}

/// `granules.tsv` is read by Make, which hands what it says to a shell.
#[test]
fn a_plan_pins_no_id_that_a_shell_could_read_as_more() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("granules.tsv");
    write_band(&dir.path().join("red.tif"), 2000);
    let granule = dir.path().join("wanted.tsv");
    fs::write(&granule, "T48RVV\n").unwrap();
    let plan = |id: &str, pin: &[&str]| {
        let assets = json!({"B04": asset("red.tif", &dir.path().join("red.tif"))});
        let root = catalogue(dir.path(), &[item(id, "2022-01-01", 1.0, assets)]);
        let area = ["plan", "--granules", granule.to_str().unwrap(), "--assets", "B04", "--catalogue"];
        let dates = ["--from", "2020-01-01", "--to", "2022-12-31", "--out", list.to_str().unwrap()];
        let flags: Vec<&str> = area.into_iter().chain([root.to_str().unwrap()]).chain(dates).collect();
        Command::new(env!("CARGO_BIN_EXE_s2-fetch")).args(flags).args(pin).output().unwrap()
    };
    for id in ["$(touch x)", "a;b", "a b", "a\tb", "a\nT48RVV\tb", "-x", "é", "`id`", "a$x", "a'b"] {
        let line = refused(plan(id, &["--pin"]));
        assert!(line.contains("to pin, found item"), "{id:?}: {line}");
        assert!(!list.exists(), "{id:?}");
    }
    assert!(plan("$(touch x)", &[]).status.success());
    assert_eq!(fs::read_to_string(&list).unwrap(), "# granule\titem\nT48RVV\n");
    assert!(plan("S2A_MSIL2A.x-1", &["--pin"]).status.success());
    assert!(fs::read_to_string(&list).unwrap().ends_with("T48RVV\tS2A_MSIL2A.x-1\n"));
}

#[test]
fn a_catalogue_on_the_web_sends_nobody_to_files_and_private_hosts() {
    let hosts = [
        "http://127.0.0.1:9/x.tif",
        "http://localhost/x.tif",
        "http://[::1]/x.tif",
        "http://[::ffff:10.0.0.1]/x.tif",
        "http://[::ffff:0:127.0.0.1]/x.tif",
        "http://[::127.0.0.1]/x.tif",
        "http://[2002:a9fe:a9fe::1]/x.tif",
        "http://[fec0::1]/x.tif",
        "http://192.0.0.170/x.tif",
        "http://10.0.0.1/x.tif",
        "http://192.168.1.1/x.tif",
        "http://172.16.0.1/x.tif",
        "http://169.254.169.254/latest/meta-data/iam",
        "http://2130706433/x.tif",
        "http://0x7f.1/x.tif",
        "http://127.1/x.tif",
        "http://0/x.tif",
        "//10.0.0.1/x.tif",
        "\\\\10.0.0.1\\x.tif",
        "http://stac.example.org@10.0.0.1/x.tif",
        "http://metadata.google.internal/x.tif",
        "http://intranet/x.tif",
    ];
    let files = [
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "ftp://stac.example.org/x.tif",
        "data:,x",
        "gopher://10.0.0.1/",
        "/vsicurl/http://10.0.0.1/x.tif",
        "/etc/passwd",
    ];
    let mut n_cases = 0;
    for href in hosts.iter().chain(&files) {
        for way in ["asset", "item", "redirect"] {
            let seen = visit(way, href);
            assert!(seen.iter().all(|host| host == "stac.example.org"), "{way} {href}: {seen:?}");
            n_cases += 1;
        }
    }
    assert_eq!(n_cases, 87);
}

/// Lets the program, behind a proxy that stands for the web, read a catalogue that names an address; gives all hosts that it asked for.
fn visit(way: &str, href: &str) -> BTreeSet<String> {
    let dir = tempfile::tempdir().unwrap();
    let (way, href) = (way.to_owned(), href.to_owned());
    let proxy = Server::start(move |request, _| {
        let item_at = |href: &str| item("one", "2022-01-01", 1.0, json!({"B04": {"href": href}})).to_string();
        match request.path.strip_prefix("http://stac.example.org").unwrap_or("") {
            "/catalog.json" => {
                let link = if way == "item" { &href } else { "item.json" };
                Reply::ok(json!({"type": "Catalog", "id": "c", "stac_version": "1.0.0", "description": "", "links": [{"rel": "item", "href": link}]}).to_string())
            }
            "/item.json" => Reply::ok(item_at(if way == "asset" { &href } else { "/moved.tif" })),
            "/moved.tif" if way == "redirect" => Reply::status(302, &[("location", &href)]),
            _ => Reply::status(404, &[]),
        }
    });
    let out = dir.path().join("T48RVV.tif");
    let mut command = fetching("http://stac.example.org/catalog.json", &out, &BAND);
    let output = command
        .env("http_proxy", &proxy.address)
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .output()
        .unwrap();
    let line = refused(output);
    assert!(!line.contains("root:"), "{line}");
    assert!(tree(dir.path()).is_empty());
    let seen = proxy.seen.lock().unwrap();
    assert!(!seen.is_empty(), "the program goes through the proxy");
    seen.iter()
        .map(|r| r.path.split('/').nth(2).unwrap_or("").split(':').next().unwrap().to_owned())
        .collect()
}

#[test]
fn no_failure_writes_a_secret_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let red = dir.path().join("red.tif");
    write_band(&red, 2000);
    let good = fs::read(&red).unwrap();
    let moved = format!("/gone.tif?sig={SECRET}");
    let server = Server::start(move |request, before| match request.path.split('?').next().unwrap() {
        "/good.tif" => Reply::file(request, &good, "\"1\""),
        "/status.tif" => Reply::status([500, 404][before.min(1)], &[("retry-after", "0")]),
        "/moved.tif" => Reply::status(302, &[("location", &moved)]),
        "/circle.tif" => Reply::status(302, &[("location", &request.path)]),
        "/denied.tif" => Reply::status(403, &[]),
        "/cut.tif" if before < 9 => Reply::file(request, &good, "\"1\"").cut(100),
        "/page.tif" => Reply::ok(format!("<html>{SECRET}</html>")),
        "/late.tif" => Reply::status(429, &[("retry-after", "86400")]),
        "/token/c" => Reply::ok(format!("{{\"token\": \"sig={SECRET}\", \"msft:expiry\": \"{SECRET}\"}}")),
        _ => Reply::status(404, &[]),
    });
    let names = ["good", "status", "moved", "circle", "denied", "cut", "page", "late"];
    let user = server.address.replace("http://", &format!("http://user:{SECRET}@"));
    let bases = [server.address.clone(), user, "http://127.0.0.1:9".to_owned()];
    std::thread::scope(|scope| {
        for name in names {
            for (n, base) in bases.iter().enumerate() {
                let dir = dir.path().join(format!("{name}{n}"));
                scope.spawn(move || {
                    assert_silent(&dir, &format!("{base}/{name}.tif"), name == "good" && n < 2)
                });
            }
        }
    });
}

/// Fetches with secrets in the address and the environment, and looks for them in all that the program says and writes.
fn assert_silent(dir: &Path, address: &str, works: bool) {
    fs::create_dir(dir).unwrap();
    let href = format!("{address}?sp=r&sig={SECRET}&se=2030#{SECRET}");
    let root = root_over(dir, json!({"B04": {"href": href}}));
    let out = dir.join("out/T48RVV.tif");
    let mut command = fetching(&root, &out, &BAND);
    command.arg("--ledger").arg(dir.join("out/ledger.json")).env("RUST_LOG", "trace");
    command.env("AWS_SECRET_ACCESS_KEY", SECRET).env("AZURE_STORAGE_ACCOUNT_KEY", SECRET);
    let output = command.output().unwrap();
    assert_eq!(output.status.success(), works, "{}", stderr(&output));
    assert!(!stderr(&output).contains(SECRET), "{address}: {}", stderr(&output));
    assert!(!String::from_utf8_lossy(&output.stdout).contains(SECRET));
    let files = if dir.join("out").exists() { tree(&dir.join("out")) } else { BTreeSet::new() };
    assert!(!works || files.len() == 3, "{files:?}");
    for file in files {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes()), "{}", file.display());
    }
}

/// Words that programs use for switching the check of certificates off.
const UNSAFE_WORDS: [&str; 6] = ["insecure", "no-verify", "no-check", "skip", "verify", "danger"];

#[test]
fn no_flag_turns_the_check_of_certificates_off() {
    let help = |command: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_s2-fetch")).args(command).arg("--help").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let flags: Vec<String> = [help(&["fetch"]), help(&["plan"]), help(&[])]
        .iter()
        .flat_map(|text| text.split_whitespace())
        .filter(|word| word.starts_with("--"))
        .map(str::to_owned)
        .collect();
    assert!(flags.iter().any(|flag| flag == "--catalogue"), "{flags:?}");
    for flag in &flags {
        assert!(!UNSAFE_WORDS.iter().any(|word| flag.contains(word)), "{flag}");
    }
}
