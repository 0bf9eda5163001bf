//! An endpoint with files and batches on loopback, which ends them as told.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use super::{KEY, SHARES, chat};

/// How a batch ends: its status, and which of its requests are answered, by their place.
pub type End = fn(usize, usize) -> Fate;

#[derive(Clone, Copy, PartialEq)]
pub enum Fate {
    Answered,
    /// The batch is over before this one's turn.
    Expired,
    /// Turned down, with this status.
    Error(u16),
    /// Answered, and said to have taken no tokens.
    Uncounted,
    /// Turned down for the old word for the length, if it is there.
    NoWord,
    /// Turned down for an account that has nothing left.
    Unpaid,
    /// An error with the status of a success.
    Failed,
}

impl Fate {
    /// The line of one request in the files of answers and of errors.
    fn line(self, id: &str, request: &Value) -> Value {
        let line = |status: u16, body: Value| json!({"custom_id": id, "response": {"status_code": status, "body": body}});
        let mut body: Value = serde_json::from_str(&chat(SHARES)).unwrap();
        let old_word = !request["body"]["max_tokens"].is_null();
        match self {
            Fate::NoWord if old_word => {
                let message = "Unsupported parameter: 'max_tokens' is not supported with this model.";
                line(400, json!({"error": {"message": message, "param": "max_tokens"}}))
            }
            Fate::Answered | Fate::NoWord => line(200, body),
            Fate::Uncounted => {
                body["usage"] = json!({"prompt_tokens": 0, "completion_tokens": 0});
                line(200, body)
            }
            Fate::Error(code) => line(code, json!({"error": KEY})),
            Fate::Unpaid => {
                line(429, json!({"error": {"code": "insufficient_quota", "message": "none left"}}))
            }
            Fate::Failed => line(200, json!({"error": {"code": 502, "message": "provider"}})),
            Fate::Expired => json!({"custom_id": id, "response": null, "error": {"code": "batch_expired"}}),
        }
    }
}

#[derive(Default)]
pub struct Office {
    pub files: BTreeMap<String, Vec<u8>>,
    pub batches: Vec<Value>,
    /// Bytes of every upload.
    pub uploads: Vec<usize>,
    /// How often each question was answered, and so paid for.
    pub paid: BTreeMap<String, usize>,
    pub looks: BTreeMap<String, usize>,
    /// Whether every request had the key.
    pub trusted: bool,
    pub faults: usize,
}

pub struct Endpoint {
    pub base: String,
    pub office: Arc<Mutex<Office>>,
}

impl Endpoint {
    /// Batches end as `end` says of (number of the batch, place of the request). Every `fault`th request breaks off unanswered,
    /// after the deed.
    pub fn start(end: End, fault: usize) -> Self {
        let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").unwrap());
        let base = format!("http://{}/v1", server.server_addr().to_ip().unwrap());
        let office = Arc::new(Mutex::new(Office { trusted: true, ..Office::default() }));
        let shared = office.clone();
        std::thread::spawn(move || {
            while let Ok(mut request) = server.recv() {
                let mut body = Vec::new();
                let _ = request.as_reader().read_to_end(&mut body);
                let mut office = shared.lock().unwrap();
                let key = format!("Bearer {KEY}");
                office.trusted &= request.headers().iter().any(|header| header.value.as_str() == key);
                let (status, reply) = office.serve(request.method().as_str(), request.url(), &body, end);
                office.faults += 1;
                let breaks = fault > 0 && office.faults.is_multiple_of(fault);
                drop(office);
                let status = if breaks { 502 } else { status };
                let _ = request.respond(tiny_http::Response::from_data(reply).with_status_code(status));
            }
        });
        Self { base, office }
    }

    pub fn office(&self) -> MutexGuard<'_, Office> {
        self.office.lock().unwrap()
    }
}

impl Office {
    fn serve(&mut self, method: &str, url: &str, body: &[u8], end: End) -> (u16, Vec<u8>) {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        let reply = match (method, &parts[..]) {
            ("POST", ["files"]) => self.upload(body),
            ("GET", ["files", id, "content"]) => match self.files.get(*id) {
                Some(bytes) => return (200, bytes.clone()),
                None => return (404, b"no file".to_vec()),
            },
            ("POST", ["batches"]) => self.create(&serde_json::from_slice(body).unwrap(), end),
            ("GET", ["batches"]) => self.list(query),
            ("GET", ["batches", id]) => self.look(id),
            _ => return (404, b"no such place".to_vec()),
        };
        (200, reply.to_string().into_bytes())
    }

    fn upload(&mut self, body: &[u8]) -> Value {
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("name=\"purpose\"\r\n\r\nbatch\r\n"));
        let (_, rest) = text.split_once("application/jsonl\r\n\r\n").unwrap();
        let (content, _) = rest.rsplit_once("\r\n--").unwrap();
        let id = format!("file-{}", self.files.len());
        self.uploads.push(content.len());
        self.files.insert(id.clone(), content.as_bytes().to_vec());
        json!({"id": id, "object": "file"})
    }

    /// All is answered, and paid for, at once; the batch is said to have ended at the second look.
    fn create(&mut self, body: &Value, end: End) -> Value {
        assert_eq!(
            (body["endpoint"].as_str(), body["completion_window"].as_str()),
            (Some("/v1/chat/completions"), Some("24h"))
        );
        let number = self.batches.len();
        let requests = self.files[body["input_file_id"].as_str().unwrap()].clone();
        let (mut answers, mut errors, mut n_expired) = (String::new(), String::new(), 0);
        for (place, line) in String::from_utf8(requests).unwrap().lines().enumerate() {
            let line: Value = serde_json::from_str(line).unwrap();
            let id = line["custom_id"].as_str().unwrap();
            assert!(line["body"]["messages"][0]["content"][1]["image_url"]["url"].is_string());
            let fate = end(number, place);
            let answer = fate.line(id, &line);
            n_expired += usize::from(fate == Fate::Expired);
            if answer["response"]["body"]["choices"].is_array() {
                *self.paid.entry(id.to_owned()).or_default() += 1;
                answers += &format!("{answer}\n");
            } else {
                errors += &format!("{answer}\n");
            }
        }
        let mut file = |kind: &str, text: String| {
            let id = format!("{kind}-{number}");
            (!text.is_empty()).then(|| self.files.insert(id.clone(), text.into_bytes())).map(|_| id)
        };
        let (answers, errors) = (file("answers", answers), file("errors", errors));
        let status = if n_expired > 0 { "expired" } else { "completed" };
        let batch = json!({"id": format!("batch_{number}"), "object": "batch", "status": status,
            "output_file_id": answers, "error_file_id": errors, "metadata": body["metadata"]});
        self.batches.push(batch.clone());
        batch
    }

    fn look(&mut self, id: &str) -> Value {
        let looks = self.looks.entry(id.to_owned()).or_default();
        *looks += 1;
        let mut batch = self.batches.iter().find(|batch| batch["id"] == id).unwrap().clone();
        if *looks < 2 {
            batch["status"] = json!("in_progress");
            batch["output_file_id"] = Value::Null;
        }
        batch
    }

    /// One batch a page, the newest first.
    fn list(&self, query: &str) -> Value {
        let after = query.split("after=").nth(1);
        let mut newest =
            self.batches.iter().rev().skip_while(|batch| after.is_some_and(|id| batch["id"] != id));
        if after.is_some() {
            newest.next();
        }
        let page: Vec<&Value> = newest.by_ref().take(1).collect();
        json!({"object": "list", "data": page, "has_more": newest.next().is_some()})
    }
}
