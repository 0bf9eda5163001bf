//! Which addresses a catalogue may send us to.
//!
//! A catalogue on the web names only public web addresses; one on this machine (a file, or a server on loopback) is its owner's own and may
//! name files and private hosts too. An address of an object store (`s3:`, `az:`, `abfs:`) names a bucket, and no host: where that is looked
//! for, the provider's address or the user's own endpoint says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::fault::NoPublicAddress;

/// The policy that follows from where the catalogue lies.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    local: bool,
    own_host: Option<String>,
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
        }
    }

    /// The policy of a catalogue on the web, for tests that can only serve from this machine.
    #[cfg(test)]
    pub fn of_web(own_host: &str) -> Self {
        Self { local: false, own_host: Some(own_host.to_owned()) }
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

    /// A resolver that knows no private addresses, so that a public name cannot lead to a private host.
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
            let trusted = guard.local || guard.own_host.as_deref() == Some(host.as_str());
            let look_up = move || std::net::ToSocketAddrs::to_socket_addrs(&(host, 0));
            let found: Vec<SocketAddr> = tokio::task::spawn_blocking(look_up).await??.collect();
            let usable: Vec<_> = found.into_iter().filter(|a| trusted || is_public(a.ip())).collect();
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
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let ends = [".localhost", ".local", ".internal", ".lan", ".home.arpa"];
    name == "localhost" || !name.contains('.') || ends.iter().any(|end| name.ends_with(end))
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => match embedded_v4(ip) {
            Some(v4) => is_public_v4(v4),
            None => {
                let first = ip.segments()[0];
                let special = ip.is_loopback() || ip.is_unspecified() || ip.is_multicast();
                !special && first & 0xfe00 != 0xfc00 && first & 0xffc0 != 0xfe80
            }
        },
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let benchmark = a == 198 && (18..20).contains(&b);
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_multicast()
        || shared
        || benchmark
        || a == 0
        || a >= 240)
}

/// The IPv4 address inside an IPv6 one: mapped (`::ffff:a.b.c.d`) or translated (`64:ff9b::a.b.c.d`).
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, ..] = ip.segments();
    let [.., w, x, y, z] = ip.octets();
    let translated = (a, b) == (0x64, 0xff9b);
    ip.to_ipv4_mapped().or_else(|| translated.then(|| Ipv4Addr::new(w, x, y, z)))
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
    fn secrets_in_an_address_are_never_shown() {
        let text = shown(&url("https://user:word@example.org/a.tif?sig=secret#part"));
        assert_eq!(text, "https://example.org/a.tif");
        let guard = Guard::of(&url("https://example.org"));
        let refusal = guard.check(&url("http://10.0.0.1/a?sig=secret")).unwrap_err();
        assert!(!refusal.contains("secret"));
    }
}
