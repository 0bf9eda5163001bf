//! Servers that nobody here wrote, each a child process on a free port of loopback that ends with its value.
//!
//! `scripts/test-servers` sets them up; `make test` runs it and names their folder in `TEST_SERVERS`, and then a server that is missing
//! fails the test. Without that name the user's cache is looked at, and a missing server is one printed line.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const START_S: u64 = 60;

/// A line on the terminal, also of a test that passes.
pub fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The folder of the servers' programs; none if the test may be skipped.
pub fn test_servers() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("TEST_SERVERS").map(PathBuf::from) {
        assert!(folder.join("rustac").exists(), "{}: no servers; run scripts/test-servers", folder.display());
        return Some(folder);
    }
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
    let folder = cache.join("prosperity-atlas/test-servers");
    if folder.join("ready").exists() {
        return Some(folder.join("bin"));
    }
    tell("skipped: no test servers; run scripts/test-servers");
    None
}

/// A running server.
pub struct Peer {
    pub address: String,
    pub port: u16,
    /// Its own folder: settings, logs, data.
    pub folder: TempDir,
    child: Child,
}

impl Peer {
    /// Starts what `command` says for a free port and a folder, and waits until it answers.
    fn start(command: impl Fn(u16, &Path) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = dying_with_us(&command(port, folder.path()));
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut peer = Self { address: format!("http://127.0.0.1:{port}"), port, folder, child };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = peer.child.try_wait().unwrap();
            let late = begun.elapsed() > Duration::from_secs(START_S);
            assert!(ended.is_none() && !late, "{command:?}: {ended:?}: {}", peer.file("log"));
            std::thread::sleep(Duration::from_millis(20));
        }
        peer
    }

    /// A text file of its folder.
    pub fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// The status and the body of a request.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n", self.port);
        for (key, value) in headers {
            head.push_str(&format!("{key}: {value}\r\n"));
        }
        stream.write_all(format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let head_end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(answer.len());
        let status =
            String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        (status, answer.split_off((head_end + 4).min(answer.len())))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same command as a process that the kernel ends with the thread that started it, even if that one is killed.
fn dying_with_us(command: &Command) -> Command {
    let mut tied = Command::new("setpriv");
    tied.args(["--pdeathsig", "KILL"]).arg(command.get_program()).args(command.get_args());
    tied
}

/// A STAC API over items and collections in files.
pub fn rustac(programs: &Path, files: &[PathBuf]) -> Peer {
    Peer::start(|port, _| {
        let mut command = Command::new(programs.join("rustac"));
        command.args(["serve", "--create-collections", "--addr", &format!("127.0.0.1:{port}")]).args(files);
        command
    })
}

/// A file server over a folder. `more` are further settings, such as `limit_rate 1m;`. Its `access.log` holds a line a request:
/// method, path, status, bytes of the body, range.
pub fn nginx(programs: &Path, root: &Path, more: &str) -> Peer {
    Peer::start(|port, folder| {
        let settings = format!(
            "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log; events {{}}\n\
             http {{ log_format bytes '$request_method $uri $status $body_bytes_sent $http_range'; access_log {0}/access.log bytes;\n\
             client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
             default_type application/octet-stream;\n\
             server {{ listen 127.0.0.1:{port}; root {1}; {more} }} }}\n",
            folder.display(),
            root.display()
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(programs.join("nginx"));
        command.arg("-e").arg(folder.join("error.log")).arg("-p").arg(folder).arg("-c").arg(file);
        command
    })
}

/// Amazon's S3.
pub fn moto(programs: &Path) -> Peer {
    Peer::start(|port, _| {
        let mut command = Command::new(programs.join("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command
    })
}

/// The same behind a certificate that it made itself.
pub fn moto_with_tls(programs: &Path) -> Peer {
    Peer::start(|port, _| {
        let mut command = Command::new(programs.join("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string(), "-s"]);
        command
    })
}

/// Azure's blob store with one account.
pub fn azurite(programs: &Path, account: &str, key: &str) -> Peer {
    Peer::start(|port, folder| {
        let mut command = Command::new("env");
        command.arg(format!("AZURITE_ACCOUNTS={account}:{key}")).arg(programs.join("node"));
        command.arg(programs.join("azurite-blob")).arg("--location").arg(folder);
        command.args(["--blobHost", "127.0.0.1", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]);
        command.args(["--blobPort", &port.to_string()]);
        command
    })
}
