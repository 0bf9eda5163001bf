//! Planetary Computer's files are free but signed: a token for the collection goes into the query of each address.
//!
//! A token is a secret of an hour; it is asked for anew at each try and never logged.

use serde_json::Value;
use url::Url;

const CATALOGUE_HOST: &str = "planetarycomputer.microsoft.com";
const STORE: &str = ".blob.core.windows.net";

/// Where to ask for a token, if this file of this catalogue needs one.
pub(crate) fn token_url(catalogue: &Url, file: &Url, collection: &str) -> Option<Url> {
    let signed_host = catalogue.host_str() == Some(CATALOGUE_HOST) && catalogue.scheme() == "https";
    let stored = file.scheme() == "https" && file.host_str()?.ends_with(STORE) && file.query().is_none();
    if !signed_host || !stored {
        return None;
    }
    let mut url = catalogue.clone();
    url.set_query(None);
    url.path_segments_mut().ok()?.clear().extend(["api", "sas", "v1", "token", collection]);
    Some(url)
}

/// The address with the token of a signing service's answer.
pub(crate) fn with_token(file: &Url, answer: &[u8]) -> Option<Url> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let token = answer.get("token")?.as_str()?;
    let mut signed = file.clone();
    signed.set_query(Some(token));
    Some(signed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_planetary_computers_own_store_is_signed() {
        let url = |text: &str| Url::parse(text).unwrap();
        let (catalogue, other) =
            (url("https://planetarycomputer.microsoft.com/api/stac/v1"), url("https://example.org/"));
        let (file, elsewhere) =
            (url("https://s2.blob.core.windows.net/a/b.tif"), url("https://example.org/b.tif"));
        let asked = token_url(&catalogue, &file, "sentinel-2-l2a").unwrap();
        assert_eq!(asked.as_str(), "https://planetarycomputer.microsoft.com/api/sas/v1/token/sentinel-2-l2a");
        assert!(token_url(&catalogue, &elsewhere, "c").is_none() && token_url(&other, &file, "c").is_none());
        let signed = with_token(&file, br#"{"token": "se=2024&sig=a%2Fb"}"#).unwrap();
        assert_eq!(signed.as_str(), "https://s2.blob.core.windows.net/a/b.tif?se=2024&sig=a%2Fb");
        assert!(with_token(&file, b"{}").is_none() && with_token(&file, b"<html>").is_none());
    }
}
