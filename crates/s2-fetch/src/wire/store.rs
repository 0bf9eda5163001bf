//! Files of object stores: `s3://bucket/key`, `az://container/key`, `abfs(s)://container@account.dfs.core.windows.net/key`.
//!
//! The `object_store` crate signs and asks; tries, limits and proofs are those of every other file. Credentials come from the
//! environment (`AWS_*`, `AZURE_*`) as that crate reads them; without any, requests are not signed. Endpoints come from there too:
//! they are the user's choice, a catalogue cannot name one. TLS is always verified, whatever the environment says.

use std::collections::HashMap;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::path::Path;
use object_store::{ClientConfigKey, ClientOptions, GetOptions, HeaderMap, ObjectStore, RetryConfig};
use reqwest::{Client, StatusCode, redirect};
use url::Url;

use crate::fault::{Fault, Kind};
use crate::wire::answer::{Extent, Validator, extent};
use crate::wire::peer::USER_AGENT;

type Answer = (Extent, Option<Validator>, BoxStream<'static, Result<Bytes, Fault>>);

const AWS_CREDENTIALS: [AmazonS3ConfigKey; 4] = [
    AmazonS3ConfigKey::AccessKeyId,
    AmazonS3ConfigKey::WebIdentityTokenFile,
    AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
    AmazonS3ConfigKey::ContainerCredentialsFullUri,
];
const AZURE_CREDENTIALS: [AzureConfigKey; 6] = [
    AzureConfigKey::AccessKey,
    AzureConfigKey::SasKey,
    AzureConfigKey::Token,
    AzureConfigKey::ClientSecret,
    AzureConfigKey::FederatedTokenFile,
    AzureConfigKey::UseEmulator,
];
/// Where S3 says that a bucket lies, when asked in another region.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// The stores seen so far, by scheme, bucket and region.
#[derive(Debug)]
pub(crate) struct Stores {
    client: Client,
    open: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
    regions: Mutex<HashMap<String, String>>,
}

impl Stores {
    /// No store yet.
    pub fn new() -> anyhow::Result<Self> {
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(std::time::Duration::from_secs(30))
            .redirect(redirect::Policy::none())
            .referer(false)
            .build()?;
        Ok(Self { client, open: Mutex::default(), regions: Mutex::default() })
    }

    /// Asks for an object, or a range of its bytes.
    ///
    /// # Errors
    /// As over HTTP; in words of ours, since a store's own can hold secrets.
    pub async fn ask(
        &self,
        url: &Url,
        range: Option<&Range<u64>>,
        known: Option<&Validator>,
    ) -> Result<Answer, Fault> {
        match self.ask_once(url, range, known).await {
            Err((_, Some(region))) if self.moves_to(url, &region) => {
                self.ask_once(url, range, known).await.map_err(|(fault, _)| fault)
            }
            other => other.map_err(|(fault, _)| fault),
        }
    }

    async fn ask_once(
        &self,
        url: &Url,
        range: Option<&Range<u64>>,
        known: Option<&Validator>,
    ) -> Result<Answer, (Fault, Option<String>)> {
        let store = self.store(url).map_err(|fault| (fault, None))?;
        let path = Path::from_url_path(url.path())
            .map_err(|_| (Fault::last("want the name of an object, found something else"), None))?;
        let seen = Seen::default();
        let mut options = GetOptions { range: range.map(|r| r.clone().into()), ..GetOptions::default() };
        if let Some(Validator::Etag(tag)) = known {
            options.if_match = Some(tag.clone());
        }
        options.extensions.insert(seen.clone());
        let got = store.get_opts(&path, options).await;
        let head = seen.0.lock().unwrap_or_else(|e| e.into_inner()).take();
        let (status, headers) = match head {
            Some(Ok(head)) => head,
            Some(Err(fault)) => return Err((fault, None)),
            None => return Err((Fault::last("the store could not be asked; check the credentials"), None)),
        };
        let region = headers.get(BUCKET_REGION).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let extent = extent(status, &headers, range).map_err(|fault| (fault, region))?;
        // The store's own checks come on top of ours.
        let Ok(got) = got else {
            let kind = if extent.whole { Kind::NoParts } else { Kind::Passing };
            return Err((Fault::of(kind, "want the range that was asked for, found another answer"), None));
        };
        let validator = Validator::of(&headers);
        let body = got.into_stream().map_err(|_| Fault::passing("the connection broke")).boxed();
        Ok((extent, validator, body))
    }

    /// Whether asking again in the region that the store named can help.
    fn moves_to(&self, url: &Url, region: &str) -> bool {
        let plain = region.len() <= 32 && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let bucket = url.host_str().unwrap_or_default().to_owned();
        let mut regions = self.regions.lock().unwrap_or_else(|e| e.into_inner());
        plain && regions.insert(bucket, region.to_owned()).as_deref() != Some(region)
    }

    fn store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, Fault> {
        let bucket = url.host_str().unwrap_or_default();
        let region = self.regions.lock().unwrap_or_else(|e| e.into_inner()).get(bucket).cloned();
        let name = format!("{}://{}@{bucket}#{region:?}", url.scheme(), url.username());
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(store) = open.get(&name) {
            return Ok(Arc::clone(store));
        }
        let store = match url.scheme() {
            "s3" => self.s3(bucket, region),
            _ => self.azure(url.username(), bucket),
        }?;
        open.insert(name, Arc::clone(&store));
        Ok(store)
    }

    fn s3(&self, bucket: &str, region: Option<String>) -> Result<Arc<dyn ObjectStore>, Fault> {
        let bucket = plain_name(bucket, "the name of a bucket")?;
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        if AWS_CREDENTIALS.iter().all(|key| builder.get_config_value(key).is_none()) {
            builder = builder.with_skip_signature(true);
        }
        let store = builder.with_retry(no_retries()).with_http_connector(self.connector()).build();
        Ok(Arc::new(store.map_err(|_| unusable("AWS_*"))?))
    }

    /// `az://container/key` lies in the environment's account. `abfs://container@account…/key` names an account, which gets the
    /// environment's credentials only if it is the environment's own.
    fn azure(&self, user: &str, host: &str) -> Result<Arc<dyn ObjectStore>, Fault> {
        let ours = MicrosoftAzureBuilder::from_env();
        let (builder, container) = match (user, host.split_once('.')) {
            ("", _) => (ours, host),
            (container, Some((account, "dfs.core.windows.net" | "blob.core.windows.net"))) => {
                let account = plain_name(account, "the name of an account")?;
                let own = ours.get_config_value(&AzureConfigKey::AccountName).as_deref() == Some(account);
                (if own { ours } else { MicrosoftAzureBuilder::new().with_account(account) }, container)
            }
            _ => return Err(Fault::last("want an account of Azure's own, found another host")),
        };
        let container = plain_name(container, "the name of a container")?;
        let mut builder = builder.with_container_name(container);
        if AZURE_CREDENTIALS.iter().all(|key| absent(builder.get_config_value(key))) {
            builder = builder.with_skip_signature(true);
        }
        let store = builder.with_retry(no_retries()).with_http_connector(self.connector()).build();
        Ok(Arc::new(store.map_err(|_| unusable("AZURE_*"))?))
    }

    fn connector(&self) -> Connector {
        Connector(self.client.clone())
    }
}

fn absent(value: Option<String>) -> bool {
    value.is_none_or(|value| value == "false")
}

fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

fn unusable(variables: &str) -> Fault {
    Fault::last(format!("want usable settings of the store, found others; check the variables {variables}"))
}

/// A name that cannot become another host, folder or query.
fn plain_name<'a>(name: &'a str, what: &str) -> Result<&'a str, Fault> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.$".contains(&b);
    if (1..=63).contains(&name.len()) && name.bytes().all(plain) && !name.contains("..") && name != "." {
        return Ok(name);
    }
    Err(Fault::last(format!("want {what}, found something else")))
}

/// The head of the answer to one request, or why there is none; the service leaves it here.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Option<Heading>>>);

type Heading = Result<(StatusCode, HeaderMap), Fault>;

/// Gives stores our client instead of one made by the environment's options.
#[derive(Debug)]
struct Connector(Client);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allowed = options.get_config_value(&ClientConfigKey::AllowHttp);
        let http = allowed.is_some_and(|value| value == "true");
        Ok(HttpClient::new(Service { client: self.0.clone(), http }))
    }
}

#[derive(Debug)]
struct Service {
    client: Client,
    http: bool,
}

impl HttpService for Service {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let seen = request.extensions().get::<Seen>().cloned().unwrap_or_default();
            let leave = |head| *seen.0.lock().unwrap_or_else(|e| e.into_inner()) = Some(head);
            if !self.http && request.uri().scheme_str() != Some("https") {
                let fault =
                    Fault::last("want an https endpoint, found http; allow it with AWS_ALLOW_HTTP=true");
                leave(Err(fault));
                return Err(HttpError::new(HttpErrorKind::Unknown, std::io::Error::other("not https")));
            }
            let answer = HttpService::call(&self.client, request).await;
            leave(match &answer {
                Ok(response) => Ok((response.status(), response.headers().clone())),
                Err(error) => Err(Fault::caused(error, false)),
            });
            answer
        })
    }
}
