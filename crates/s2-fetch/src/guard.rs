//! Which addresses a catalogue may send us to.
//!
//! A catalogue on the web names only public web addresses; one on this machine (a file, or a server on loopback) is its owner's own and may
//! name files and private hosts too. An address of an object store (`s3:`, `az:`, `abfs:`) names a bucket, and no host: where that is looked
//! for, the provider's address or the user's own endpoint says.
//!
//! Names are looked up before they are asked for, and again on the way: behind a proxy, which looks up by itself, only the first holds.
//! Left out: a name that only the proxy can look up; it passes.

mod special;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::fault::NoPublicAddress;
use crate::guard::special::{is_public, leads_to_public};

/// The policy that follows from where the catalogue lies.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    local: bool,
    own_host: Option<String>,
    /// Names that addresses have held so far, and whether they may be asked for.
    names: Arc<Mutex<HashMap<String, bool>>>,
}

impl Guard {
    /// The policy for what a catalogue at this address names.
    pub fn of(catalogue: &Url) -> Self {
        let loopback = match catalogue.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        Self {
            local: catalogue.scheme() == "file" || loopback,
            own_host: catalogue.host_str().map(str::to_owned),
            names: Arc::default(),
        }
    }

    /// The policy of a catalogue on the web, for tests that can only serve from this machine.
    #[cfg(test)]
    pub fn of_web(own_host: &str) -> Self {
        Self { local: false, own_host: Some(own_host.to_owned()), names: Arc::default() }
    }

    /// Lets an address pass or says why not.
    ///
    /// # Errors
    /// The reason, without the address's query.
    pub fn check(&self, url: &Url) -> Result<(), String> {
        let refuse =
            |why: &str| Err(format!("{}: {why}; only a catalogue on this machine may name it", shown(url)));
        match url.scheme() {
            "file" if self.local => return Ok(()),
            "file" => return refuse("want a public web address, found a file"),
            "http" | "https" => {}
            "s3" | "az" | "abfs" | "abfss" => return Ok(()),
            _ => return refuse("want a web address or one of an object store"),
        }
        if self.local || url.host_str().map(str::to_owned) == self.own_host {
            return Ok(());
        }
        let public = match url.host() {
            Some(Host::Domain(name)) => !is_private_name(name),
            Some(Host::Ipv4(ip)) => is_public(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => is_public(IpAddr::V6(ip)),
            None => false,
        };
        if public { Ok(()) } else { refuse("want a public host, found a private one") }
    }

    /// As [`Guard::check`], and holds the addresses that the host's name leads to, to the same. Waits for the look-up.
    ///
    /// # Errors
    /// As there.
    pub fn check_found(&self, url: &Url) -> Result<(), String> {
        self.check_with(url, |name| Some((name, 0).to_socket_addrs().ok()?.map(|a| a.ip()).collect()))
    }

    fn check_with(&self, url: &Url, look_up: impl Fn(&str) -> Option<Vec<IpAddr>>) -> Result<(), String> {
        self.check(url)?;
        let web = matches!(url.scheme(), "http" | "https");
        let Some(Host::Domain(name)) = url.host().filter(|_| web && !self.local) else { return Ok(()) };
        if self.own_host.as_deref() == Some(name) {
            return Ok(());
        }
        let known = self.names().get(name).copied();
        // A proxy takes any of the addresses: all must be public.
        let found = || look_up(name).is_none_or(|found| found.into_iter().all(leads_to_public));
        let public = known.unwrap_or_else(found);
        self.names().insert(name.to_owned(), public);
        if public {
            return Ok(());
        }
        let why = "want a name that leads to public hosts alone, found a private one";
        Err(format!("{}: {why}; only a catalogue on this machine may name it", shown(url)))
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A resolver that knows no private addresses, so that a public name cannot lead to a private host. A name that no address has held is the
    /// user's own choice: a proxy's, or a signing service's.
    pub fn resolver(&self) -> Arc<PublicOnly> {
        Arc::new(PublicOnly(self.clone()))
    }
}

/// See [`Guard::resolver`].
#[derive(Debug)]
pub(crate) struct PublicOnly(Guard);

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let own = guard.local || guard.own_host.as_deref() == Some(host.as_str());
            let trusted = own || !guard.names().contains_key(&host);
            let look_up = move || (host, 0).to_socket_addrs();
            let found: Vec<SocketAddr> = tokio::task::spawn_blocking(look_up).await??.collect();
            let usable: Vec<_> = found.into_iter().filter(|a| trusted || leads_to_public(a.ip())).collect();
            if usable.is_empty() {
                return Err(NoPublicAddress.into());
            }
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

/// An address as it may be shown: without user, query and fragment, which can hold secrets. Before a store's host stands a container, and no user.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only for addresses that cannot have a user.
    if matches!(url.scheme(), "http" | "https") {
        let _ = url.set_username("");
    }
    let _ = url.set_password(None);
    if url.scheme() == "file" { url.path().to_owned() } else { url.to_string() }
}

fn is_private_name(name: &str) -> bool {
    const ENDS: [&str; 10] = [
        "localhost",
        "local",
        "localdomain",
        "internal",
        "intranet",
        "private",
        "corp",
        "lan",
        "home",
        "home.arpa",
    ];
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let ends = |end: &&str| name.strip_suffix(*end).is_some_and(|rest| rest.ends_with('.'));
    !name.contains('.') || ENDS.iter().any(ends)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_catalogue_on_the_web_names_only_public_web_addresses() {
        let guard = Guard::of(&url("https://planetarycomputer.microsoft.com/api/stac/v1"));
        for good in [
            "https://sentinel2l2a01.blob.core.windows.net/a.tif",
            "http://1.1.1.1/a",
            "https://[2606:4700::1111]/",
            "s3://bucket/key",
        ] {
            assert!(guard.check(&url(good)).is_ok(), "{good}");
        }
        let bad = [
            "file:///etc/passwd",
            "gs://bucket/key",
            "ftp://example.org/x",
            "http://localhost/x",
            "http://localhost./x",
            "http://127.0.0.1/x",
            "http://2130706433/x",
            "http://0x7f.1/x",
            "http://10.1.2.3/x",
            "http://192.168.0.1/x",
            "http://172.16.5.5/x",
            "http://169.254.169.254/latest/meta-data",
            "http://100.64.0.1/x",
            "http://0.0.0.0/x",
            "http://[::1]/x",
            "http://[fe80::1]/x",
            "http://[fd00::1]/x",
            "http://[::ffff:10.0.0.1]/x",
            "http://[64:ff9b::a00:1]/x",
            "http://017700000001/x",
            "http://0177.0.0.0x1/x",
            "http://127.1/x",
            "http://127.0.0.1./x",
            "http://１２７.0.0.1/x",
            "http://169.254.43518/x",
            "http://0xA9FEA9FE/x",
            "http://[::ffff:8.8.8.8]/x",
            "http://metadata.google.internal/x",
            "http://intranet/x",
            "http://printer.local/x",
        ];
        for bad in bad {
            assert!(guard.check(&url(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_catalogue_on_this_machine_may_name_anything_that_can_be_fetched() {
        for local in ["file:///data/catalog.json", "http://127.0.0.1:8080/", "http://localhost/"] {
            let guard = Guard::of(&url(local));
            for good in ["file:///data/b.tif", "http://10.0.0.1/x", "https://example.org/x"] {
                assert!(guard.check(&url(good)).is_ok());
            }
            assert!(guard.check(&url("ftp://example.org/x")).is_err());
        }
    }

    #[test]
    fn a_public_name_that_leads_to_a_private_host_is_refused_before_it_is_asked_for() {
        let guard = Guard::of(&url("https://example.org"));
        let check = |href: &str, found: Option<Vec<&str>>| {
            let found = found.map(|f| f.into_iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>());
            guard.check_with(&url(href), |_| found.clone())
        };
        assert!(check("http://a.example.net/x", Some(vec!["93.184.216.34"])).is_ok());
        // On a network of IPv6 alone the resolver puts IPv4 into this range.
        assert!(check("http://b.example.net/x", Some(vec!["64:ff9b::5db8:d822"])).is_ok());
        assert!(check("http://c.example.net/x", None).is_ok(), "only the proxy may know it");
        for private in ["10.0.0.1", "::1", "64:ff9b::a00:1", "2002:a00:1::1"] {
            let name = format!("http://n{}.example.net/x?sig=secret", private.len());
            let refusal = check(&name, Some(vec!["93.184.216.34", private])).unwrap_err();
            assert!(refusal.contains("private") && !refusal.contains("secret"), "{refusal}");
            assert!(check(&name, None).is_err(), "it is remembered");
        }
        let local = Guard::of(&url("file:///catalog.json"));
        let private = |_: &str| Some(vec![IpAddr::from([10, 0, 0, 1])]);
        assert!(local.check_with(&url("http://d.example.net/x"), private).is_ok());
    }

    #[test]
    fn secrets_in_an_address_are_never_shown() {
        let text = shown(&url("https://user:word@example.org/a.tif?sig=secret#part"));
        assert_eq!(text, "https://example.org/a.tif");
        let guard = Guard::of(&url("https://example.org"));
        let refusal = guard.check(&url("http://10.0.0.1/a?sig=secret")).unwrap_err();
        assert!(!refusal.contains("secret"));
    }
}
