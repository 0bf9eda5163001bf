//! An endpoint's files and batches: upload, create, find again, look at, download.
//!
//! Everything but the creation may be repeated freely. A creation whose outcome is unknown is not: the caller looks for the batch by
//! its name first.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_openai::config::{Config, OpenAIConfig};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method, Request};
use serde_json::{Value, json};

use super::super::refusal::{Fault, is_about_quota};
use super::super::said::{Said, Secrets};
use super::super::wire::Wire;

/// Metadata of a batch: which chunk it is.
const CHUNK: &str = "vlm_label_chunk";
const LONGEST_JSON_BYTES: usize = 16 << 20;
/// Answers to 50,000 questions of 10 KiB.
const LONGEST_FILE_BYTES: usize = 512 << 20;
const A_PAGE: usize = 100;
/// Pages of batches that are looked through.
const MOST_PAGES: usize = 100;
/// A transfer slower than this has failed.
const LEAST_BYTES_A_S: u64 = 100_000;
const BLOCK_BYTES: usize = 1 << 18;
/// Separates the parts of an upload; request files are JSON, where no line begins so.
const BOUNDARY: &str = "vlm-label-7f3a1c9e5b2d4860";

/// The part of an endpoint that knows files and batches.
#[derive(Clone)]
pub struct Remote {
    /// The transport.
    pub wire: Arc<Wire>,
    /// Address and key.
    pub config: OpenAIConfig,
}

/// A batch as the endpoint tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its id.
    pub id: String,
    /// Which chunk it is, if it is one of ours.
    pub chunk: Option<String>,
    /// Where it stands.
    pub stage: Stage,
    /// Files of answers and of errors.
    pub files: Vec<String>,
    /// What is said of why it failed.
    pub said: Said,
    /// Whether that is an account that has nothing left.
    is_unpaid: bool,
}

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not at its end.
    UnderWay,
    /// Ended: all that there is can be downloaded.
    Ended,
}

impl Batch {
    /// Whether it is worth waiting for, or downloading.
    pub fn is_of_use(&self) -> bool {
        self.stage == Stage::UnderWay || !self.files.is_empty()
    }

    /// What ends the run, if the whole batch failed for it.
    pub fn fault(&self) -> Option<Fault> {
        // the status of a batch that was not paid for
        self.is_unpaid.then(|| Fault::Quota(402, self.said.clone()))
    }

    fn of(body: &Value, secrets: &Secrets) -> Option<Self> {
        let id = |value: &Value| value.as_str().filter(|id| is_plain(id)).map(str::to_owned);
        let files: Vec<String> =
            ["output_file_id", "error_file_id"].iter().filter_map(|key| id(&body[key])).collect();
        // some endpoints say that a batch is completed before they name its file
        let n_completed = body["request_counts"]["completed"].as_u64().unwrap_or(0);
        let stage = match body["status"].as_str()? {
            "completed" if n_completed == 0 || !files.is_empty() => Stage::Ended,
            "failed" | "expired" | "cancelled" => Stage::Ended,
            _ => Stage::UnderWay,
        };
        let chunk = body["metadata"][CHUNK].as_str().map(str::to_owned);
        let (said, words, _) = Said::of_json(&json!({"error": body["errors"]["data"][0]}), secrets);
        let is_unpaid = files.is_empty() && is_about_quota(400, &words);
        Some(Self { id: id(&body["id"])?, chunk, stage, files, said, is_unpaid })
    }
}

impl Remote {
    /// Uploads a file of requests and gives its id.
    ///
    /// # Errors
    /// The file cannot be read, or the endpoint does not take it.
    pub async fn upload(&self, path: &Path) -> anyhow::Result<Result<String, Fault>> {
        let length = std::fs::metadata(path).map_err(contract::Error::io(path, "read"))?.len();
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--{BOUNDARY}\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"requests.jsonl\"\r\nContent-Type: application/jsonl\r\n\r\n"
        );
        let tail = format!("\r\n--{BOUNDARY}--\r\n");
        // opened once before the tries, so that a missing file is said plainly
        File::open(path).map_err(contract::Error::io(path, "read"))?;
        let build = || {
            let mut request = self.request(Method::POST, "/files", None);
            let all = length + (head.len() + tail.len()) as u64;
            let headers = request.headers_mut();
            let kind = format!("multipart/form-data; boundary={BOUNDARY}");
            headers.insert(CONTENT_TYPE, kind.parse().expect("the boundary is plain text"));
            headers.insert(CONTENT_LENGTH, all.into());
            *request.body_mut() = Some(streamed(head.clone(), path, tail.clone()));
            *request.timeout_mut() = Some(self.wire.timeout() + Duration::from_secs(all / LEAST_BYTES_A_S));
            request
        };
        Ok(self.json(build, true).await.and_then(|body| id_of(&body)))
    }

    /// Creates a batch; only tries once, since an unknown outcome may be a batch.
    ///
    /// # Errors
    /// The endpoint does not take it, or nobody knows.
    pub async fn create(&self, file: &str, chunk: &str) -> Result<String, Fault> {
        let body = json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h",
            "metadata": {CHUNK: chunk}});
        let build = || self.request(Method::POST, "/batches", Some(&body));
        id_of(&self.json(build, false).await?)
    }

    /// How a batch is.
    ///
    /// # Errors
    /// The endpoint does not say.
    pub async fn look(&self, id: &str) -> Result<Batch, Fault> {
        let body = self.json(|| self.request(Method::GET, &format!("/batches/{id}"), None), true).await?;
        Batch::of(&body, &self.wire.secrets).ok_or(Fault::NotBatches)
    }

    /// The batch of a chunk that is worth having, the newest first.
    ///
    /// # Errors
    /// The endpoint does not say.
    pub async fn find(&self, chunk: &str) -> Result<Option<Batch>, Fault> {
        let mut after = String::new();
        for _ in 0..MOST_PAGES {
            let path = format!("/batches?limit={A_PAGE}{after}");
            let page = self.json(|| self.request(Method::GET, &path, None), true).await?;
            let batches = page["data"].as_array().ok_or(Fault::NotBatches)?;
            let mut ours = batches.iter().filter_map(|batch| Batch::of(batch, &self.wire.secrets));
            if let Some(found) = ours.find(|batch| batch.chunk.as_deref() == Some(chunk) && batch.is_of_use())
            {
                return Ok(Some(found));
            }
            let last = batches.last().and_then(|batch| batch["id"].as_str()).filter(|id| is_plain(id));
            match last.filter(|_| page["has_more"].as_bool() == Some(true)) {
                Some(last) => after = format!("&after={last}"),
                None => break,
            }
        }
        Ok(None)
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// The endpoint does not give it.
    pub async fn download(&self, file: &str) -> Result<Vec<u8>, Fault> {
        let build = || {
            let mut request = self.request(Method::GET, &format!("/files/{file}/content"), None);
            let longest_s = LONGEST_FILE_BYTES as u64 / LEAST_BYTES_A_S;
            *request.timeout_mut() = Some(self.wire.timeout() + Duration::from_secs(longest_s));
            request
        };
        self.wire.plain(&build, true, LONGEST_FILE_BYTES).await
    }

    async fn json(&self, build: impl Fn() -> Request, again: bool) -> Result<Value, Fault> {
        let body = self.wire.plain(&build, again, LONGEST_JSON_BYTES).await?;
        serde_json::from_slice(&body).map_err(|_| Fault::NotBatches)
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Request {
        let url = self.config.url(path).parse().expect("the base was parsed, and ids are checked");
        let mut request = Request::new(method, url);
        request.headers_mut().extend(self.config.headers());
        *request.timeout_mut() = Some(self.wire.timeout());
        if let Some(body) = body {
            request.headers_mut().insert(CONTENT_TYPE, "application/json".parse().expect("plain text"));
            *request.body_mut() = Some(body.to_string().into());
        }
        request
    }
}

fn id_of(body: &Value) -> Result<String, Fault> {
    body["id"].as_str().filter(|id| is_plain(id)).map(str::to_owned).ok_or(Fault::NotBatches)
}

/// Whether an id may stand in an address.
fn is_plain(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=:".contains(&byte);
    !id.is_empty() && id.bytes().all(fits)
}

/// A body that is read from the disk as it goes.
fn streamed(head: String, path: &Path, tail: String) -> Body {
    let mut file = None;
    let path = path.to_owned();
    let block = move || {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        let file = match &mut file {
            Some(file) => file,
            none => none.insert(File::open(&path)?),
        };
        file.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        Ok(block)
    };
    let is_more = |block: &std::io::Result<Vec<u8>>| block.as_ref().map_or(true, |block| !block.is_empty());
    let blocks = std::iter::repeat_with(block).take_while(is_more);
    let ends = |text: String| std::iter::once(Ok::<_, std::io::Error>(text.into_bytes()));
    Body::wrap_stream(futures_util::stream::iter(ends(head).chain(blocks).chain(ends(tail))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_ended_when_its_answers_can_be_had() {
        let batch = |status: &str, file: Option<&str>, n_completed: u32| {
            Batch::of(
                &json!({"id": "b", "status": status, "output_file_id": file,
                "request_counts": {"completed": n_completed}, "metadata": {CHUNK: "c"}}),
                &Secrets::default(),
            )
            .unwrap()
        };
        for status in ["validating", "in_progress", "finalizing", "cancelling", "a new word"] {
            assert_eq!(batch(status, None, 0).stage, Stage::UnderWay, "{status}");
        }
        assert_eq!(batch("completed", None, 3).stage, Stage::UnderWay);
        assert_eq!(batch("completed", Some("f"), 3).stage, Stage::Ended);
        assert_eq!(batch("expired", Some("f"), 1).files, ["f"]);
        assert!(!batch("failed", None, 0).is_of_use());
        assert_eq!(Batch::of(&json!({"error": "no"}), &Secrets::default()), None);
    }

    #[test]
    fn a_batch_that_failed_for_an_empty_account_ends_the_run_and_one_that_failed_otherwise_does_not() {
        let failed = |code: &str| {
            let errors = json!({"data": [{"code": code, "message": "so it is"}]});
            Batch::of(&json!({"id": "b", "status": "failed", "errors": errors}), &Secrets::default()).unwrap()
        };
        let fault = failed("billing_hard_limit_reached").fault().unwrap().to_string();
        assert!(fault.contains("billing_hard_limit_reached") && fault.contains("so it is"), "{fault}");
        assert!(failed("token_limit_exceeded").fault().is_none());
        assert!(failed("token_limit_exceeded").said.to_string().contains("token_limit_exceeded"));
    }

    #[test]
    fn an_id_that_could_leave_its_place_in_an_address_is_none() {
        assert!(id_of(&json!({"id": "batch_6-x"})).is_ok());
        for id in ["", "../files", "a?b", "a b"] {
            assert!(id_of(&json!({"id": id})).is_err(), "{id}");
        }
    }
}
