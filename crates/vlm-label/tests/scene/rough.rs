//! An endpoint on raw sockets that keeps a book of every question: asked, answered, paid; and misbehaves as told.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

use super::KEY;

/// What happens to one request.
#[derive(Clone, Debug)]
pub enum Deed {
    /// An answer of its own.
    Answer,
    /// An answer, late.
    Late(Duration),
    /// The answer breaks off in the middle.
    Half,
    /// The connection is cut before a word.
    Cut,
    /// A status with a header and a text.
    Status(u16, Option<(&'static str, String)>, String),
    /// A chat completion with this text.
    Say(&'static str),
    /// An answer, if no schema was named.
    NoSchema,
    /// An answer, if the length is not named by this word.
    NoWord(&'static str),
    /// An answer of its own with this for its usage (JSON).
    Usage(&'static str),
}

/// What the endpoint saw of one question.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// Requests.
    pub n_asked: usize,
    /// Whole answers.
    pub n_answered: usize,
}

#[derive(Default)]
pub struct Book {
    /// By image and the seed that tells repeats apart.
    pub questions: BTreeMap<(String, i64), Entry>,
    /// The bodies of all requests, without their images.
    pub bodies: Vec<Value>,
    pub n_tokens: u64,
}

pub struct Rough {
    pub base: String,
    book: Arc<Mutex<Book>>,
}

/// Tokens that each answer is said to take, of the question and of the answer.
pub const USAGE: (u64, u64) = (900, 20);

/// The shares that the endpoint gives for the `n`th question: of its own, so that a mix-up shows.
pub fn shares(n: usize) -> String {
    let urban = (n + 1) as f64 / 1000.0;
    json!({"uninhabited": 0.5 - urban, "rural": 0.5, "urban": urban}).to_string()
}

impl Rough {
    /// `deed` says what happens by (number of the question, how often it was asked before).
    pub fn start(deed: impl Fn(usize, usize) -> Deed + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        let (book, deed): (Arc<Mutex<Book>>, _) = (Arc::default(), Arc::new(deed));
        let shared = book.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (book, deed) = (shared.clone(), deed.clone());
                std::thread::spawn(move || talk(stream.unwrap(), &book, &*deed));
            }
        });
        Self { base, book }
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }
}

fn talk(stream: TcpStream, book: &Mutex<Book>, deed: &dyn Fn(usize, usize) -> Deed) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(body) = request(&mut reader) {
        let image = body["messages"][0]["content"][1]["image_url"]["url"].to_string();
        let question = (image, body["seed"].as_i64().unwrap_or(0));
        let (number, before) = {
            let mut book = book.lock().unwrap();
            let entry = book.questions.entry(question.clone()).or_default();
            entry.n_asked += 1;
            let before = entry.n_asked - 1;
            let mut shape = body.clone();
            shape["messages"] = Value::Null;
            book.bodies.push(shape);
            (number_of(&question), before)
        };
        let deed = match deed(number, before) {
            Deed::NoSchema if body["response_format"].is_null() => Deed::Answer,
            Deed::NoSchema => Deed::Status(400, None, "{\"error\": \"no such response_format\"}".into()),
            Deed::NoWord(word) if body[word].is_null() => Deed::Answer,
            Deed::NoWord(word) => Deed::Status(400, None, no_word(word)),
            deed => deed,
        };
        if !act(&stream, book, &question, number, deed) {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// A number of a question that does not depend on the order of asking: of 0 to 399.
pub fn number_of(question: &(String, i64)) -> usize {
    let sum = question.0.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    ((sum % 20) * 20 + question.1 as u64 % 20) as usize
}

fn request(reader: &mut impl BufRead) -> Option<Value> {
    let (mut length, mut trusted) = (0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let lower = line.to_lowercase();
        if let Some(n) = lower.strip_prefix("content-length:") {
            length = n.trim().parse().ok()?;
        }
        trusted |= line.ends_with(&format!("Bearer {KEY}"));
    }
    assert!(trusted, "want the key in every request");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

/// How an endpoint says that it does not know a parameter.
fn no_word(word: &str) -> String {
    let message = format!("Unsupported parameter: '{word}' is not supported with this model.");
    json!({"error": {"message": message, "param": word, "code": "unsupported_parameter"}}).to_string()
}

/// Whether the connection goes on.
fn act(stream: &TcpStream, book: &Mutex<Book>, question: &(String, i64), number: usize, deed: Deed) -> bool {
    let chat = |text: &str| {
        let message = json!({"role": "assistant", "content": text});
        json!({"model": "m-1", "choices": [{"message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": USAGE.0, "completion_tokens": USAGE.1}})
        .to_string()
    };
    let (status, header, body) = match deed {
        Deed::Cut | Deed::NoSchema | Deed::NoWord(_) => return false,
        Deed::Half => {
            let whole = respond(200, &None, &chat(&shares(number)));
            let _ = (&mut &*stream).write_all(&whole.as_bytes()[..whole.len() - 40]);
            return false;
        }
        Deed::Late(wait) => {
            std::thread::sleep(wait);
            (200, None, chat(&shares(number)))
        }
        Deed::Answer => (200, None, chat(&shares(number))),
        Deed::Say(text) => (200, None, chat(text)),
        Deed::Usage(usage) => {
            let mut body: Value = serde_json::from_str(&chat(&shares(number))).unwrap();
            body["usage"] = serde_json::from_str(usage).unwrap();
            (200, None, body.to_string())
        }
        Deed::Status(status, header, body) => (status, header, body),
    };
    if body.contains("\"choices\"") {
        // counted before it goes: what a killed program did not hear was paid for all the same
        let mut book = book.lock().unwrap();
        book.n_tokens += USAGE.0 + USAGE.1;
        if let Some(entry) = book.questions.get_mut(question) {
            entry.n_answered += 1;
        }
    }
    (&mut &*stream).write_all(respond(status, &header, &body).as_bytes()).is_ok()
}

fn respond(status: u16, header: &Option<(&'static str, String)>, body: &str) -> String {
    let header = header.as_ref().map_or(String::new(), |(name, value)| format!("{name}: {value}\r\n"));
    format!("HTTP/1.1 {status} So\r\nContent-Length: {}\r\n{header}\r\n{body}", body.len())
}
