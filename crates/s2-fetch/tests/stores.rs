//! Object stores that nobody here wrote, and tokens that run out.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use base64::Engine;
use raster::Source;
use serde_json::json;
use sha2::{Digest, Sha256};
use support::*;

/// 190 kB of noise: three parts of 64 KiB.
const SIDE_PX: usize = 310;
const FLAGS: [&str; 6] = ["--assets", "B04", "--part-kib", "64", "--connections", "2"];

fn assert_fetched(mut command: Command, out: &Path, want: &[u16]) {
    let output = command.output().unwrap();
    assert!(!stderr(&output).contains(KEY), "{}", stderr(&output));
    ok(output);
    let want: Vec<_> = want.iter().map(|v| v - 1000).collect();
    assert!(Source::open(out).unwrap().read_band::<u16>(1).unwrap() == want);
}

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZg==";

#[test]
fn a_scene_comes_from_s3_signed_and_unsigned_and_a_private_one_only_signed() {
    let Some(programs) = test_servers() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("red.tif");
    let pixels = write_noise(&file, SIDE_PX, 5);
    let store = moto(&programs);
    let made_up =
        "AWS4-HMAC-SHA256 Credential=k/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x";
    let put = |path: &str, acl: &str, body: &[u8]| {
        let headers = [("authorization", made_up), ("content-type", "image/tiff"), ("x-amz-acl", acl)];
        assert_eq!(store.ask("PUT", path, &headers, body).0, 200, "{path}: {}", store.file("log"));
    };
    put("/imagery", "private", b"");
    put("/imagery/private/red.tif", "private", &fs::read(&file).unwrap());
    put("/imagery/open/red.tif", "public-read", &fs::read(&file).unwrap());
    for (name, key) in [("private", Some(KEY)), ("open", None), ("open", Some(KEY)), ("private", None)] {
        let root = catalogue_of(
            dir.path(),
            &format!("{name}{}", key.is_some()),
            &format!("s3://imagery/{name}/red.tif"),
            &file,
        );
        let out = dir.path().join(format!("out/{name}{}.tif", key.is_some()));
        let mut command = fetching(&root, &out, &FLAGS);
        command
            .env("AWS_ENDPOINT_URL", &store.address)
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_REGION", "us-east-1");
        if let Some(key) = key {
            command.env("AWS_ACCESS_KEY_ID", "k").env("AWS_SECRET_ACCESS_KEY", key);
        }
        if name == "private" && key.is_none() {
            let line = refused(command.output().unwrap());
            assert!(line.contains("s3://imagery/private/red.tif") && line.contains("403"), "{line}");
        } else {
            assert_fetched(command, &out, &pixels);
        }
    }
}

const ACCOUNT: &str = "atlas";

#[test]
fn a_scene_comes_from_azures_store() {
    let Some(programs) = test_servers() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("red.tif");
    let pixels = write_noise(&file, SIDE_PX, 6);
    let store = azurite(&programs, ACCOUNT, KEY);
    put_blob(&store, "imagery", "?restype=container", &[]);
    put_blob(&store, "imagery/2023/red.tif", "", &fs::read(&file).unwrap());
    let root = catalogue_of(dir.path(), "c", "az://imagery/2023/red.tif", &file);
    let out = dir.path().join("out/T48RVV.tif");
    let mut command = fetching(&root, &out, &FLAGS);
    command.env("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT).env("AZURE_STORAGE_ACCOUNT_KEY", KEY);
    command
        .env("AZURE_STORAGE_ENDPOINT", format!("{}/{ACCOUNT}", store.address))
        .env("AZURE_ALLOW_HTTP", "true");
    assert_fetched(command, &out, &pixels);
}

/// A request that makes a container or a blob, signed with the account's key.
fn put_blob(store: &Peer, path: &str, query: &str, body: &[u8]) {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let own = [("x-ms-blob-type", "BlockBlob"), ("x-ms-date", &date), ("x-ms-version", "2021-08-06")];
    let length = if body.is_empty() { String::new() } else { body.len().to_string() };
    let headers: String = own.iter().map(|(key, value)| format!("{key}:{value}\n")).collect();
    let parameters =
        query.strip_prefix('?').map(|q| format!("\n{}", q.replace('=', ":"))).unwrap_or_default();
    let text = format!("PUT\n\n\n{length}\n\n\n\n\n\n\n\n\n{headers}/{ACCOUNT}/{ACCOUNT}/{path}{parameters}");
    let coder = base64::engine::general_purpose::STANDARD;
    let signature = coder.encode(hmac_sha256(&coder.decode(KEY).unwrap(), text.as_bytes()));
    let authorization = format!("SharedKey {ACCOUNT}:{signature}");
    let headers = [&own[..], &[("authorization", &authorization)]].concat();
    let (status, answer) = store.ask("PUT", &format!("/{ACCOUNT}/{path}{query}"), &headers, body);
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&answer));
}

/// RFC 2104, for keys of at most a block.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|i| key.get(i).unwrap_or(&0) ^ with).collect() };
    let inner = Sha256::digest([pad(0x36), text.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

/// Bytes after which a token is refused.
const TOKEN_BYTES: usize = 100_000;

#[test]
fn a_token_that_runs_out_in_the_middle_of_a_file_is_renewed_and_the_file_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("red.tif");
    let pixels = write_noise(&file, SIDE_PX, 7);
    let bytes = fs::read(&file).unwrap();
    let n_served = Arc::new(AtomicUsize::new(0));
    let (served, length) = (Arc::clone(&n_served), bytes.len());
    let mut good_for = (0, 0);
    let server = Server::start(move |request, _| {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        if path.starts_with("/token/") {
            good_for = (good_for.0 + 1, TOKEN_BYTES);
            return Reply::ok(
                json!({"token": format!("sig={}", good_for.0), "msft:expiry": "2099-01-01T00:00:00Z"})
                    .to_string(),
            );
        }
        let reply = Reply::file(request, &bytes, "\"1\"");
        if query != format!("sig={}", good_for.0) || good_for.1 == 0 {
            return Reply::status(403, &[]);
        }
        good_for.1 = good_for.1.saturating_sub(reply.body.len());
        served.fetch_add(reply.body.len(), Ordering::Relaxed);
        reply
    });
    let root = catalogue_of(dir.path(), "c", &format!("{}/red.tif", server.address), &file);
    let out = dir.path().join("out/T48RVV.tif");
    let service = format!("{}/token/{{collection}}", server.address);
    assert_fetched(
        fetching(&root, &out, &[&FLAGS[..], &["--sas-token-url", &service]].concat()),
        &out,
        &pixels,
    );
    let n_tokens = server.n_requests("/token/sentinel-2-l2a");
    assert!((2..=4).contains(&n_tokens), "{n_tokens} tokens");
    let n_bytes = n_served.load(Ordering::Relaxed);
    assert!(
        n_bytes < length * 3 / 2,
        "{n_bytes} bytes for a file of {length}: it went on and did not start again"
    );
}
