//! Addresses that are no hosts of the public internet: IANA's registries of special-purpose addresses, and what holds an IPv4 address inside.
//!
//! Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its successors). A few ranges that are in use (AS112,
//! multicast relays) are refused with the rest: no catalogue lies there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first address of a range and the bits that all of it share.
const V4: [([u8; 4], u32); 19] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    // What a virtual machine on Azure asks about itself.
    ([168, 63, 129, 16], 32),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 31, 196, 0], 24),
    ([192, 52, 193, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([192, 175, 48, 0], 24),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // Multicast, and all that is reserved.
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// Special ranges inside 2000::/3, the only part of IPv6 that is given out: protocols (Teredo, benchmarks, ORCHID), documentation, 6to4, AS112.
const V6: [([u16; 3], u32); 5] = [
    ([0x2001, 0, 0], 23),
    ([0x2001, 0xdb8, 0], 32),
    ([0x2002, 0, 0], 16),
    ([0x2620, 0x4f, 0x8000], 48),
    ([0x3fff, 0, 0], 20),
];

/// Whether an address that is written as such may be asked for.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            let bits = |[a, b, c]: [u16; 3]| (u64::from(a) << 32) | (u64::from(b) << 16) | u64::from(c);
            let special = V6.iter().any(|(first, n)| (bits([a, b, c]) ^ bits(*first)) >> (48 - n) == 0);
            a & 0xe000 == 0x2000 && !special
        }
    }
}

/// Whether an address that a name leads to may be asked for. On a network of IPv6 alone an IPv4 host is found as 64:ff9b::a.b.c.d (RFC 6052).
pub(crate) fn leads_to_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V6(v6) => translated(v6).map_or_else(|| is_public(ip), is_public_v4),
        IpAddr::V4(v4) => is_public_v4(v4),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let differ = |first: [u8; 4]| u64::from(ip.to_bits() ^ Ipv4Addr::from(first).to_bits());
    !V4.iter().any(|(first, n)| differ(*first) >> (32 - n) == 0)
}

fn translated(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, ..] = ip.segments();
    let [.., w, x, y, z] = ip.octets();
    ([a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0]).then(|| Ipv4Addr::new(w, x, y, z))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The first and the last addresses of the ranges that are refused, and those of known services.
    const SPECIAL: [&str; 12] = [
        "0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 100.100.100.200",
        "127.0.0.0 127.0.0.1 127.255.255.255 169.254.0.0 169.254.169.254 169.254.255.255 172.16.0.0",
        "172.31.255.255 192.0.0.0 192.0.0.7 192.0.0.8 192.0.0.9 192.0.0.10 192.0.0.170 192.0.0.171",
        "192.0.0.192 192.0.0.255 192.0.2.0 192.0.2.255 192.31.196.0 192.31.196.255 192.52.193.0",
        "192.52.193.255 192.88.99.0 192.88.99.1 192.88.99.255 192.168.0.0 192.168.255.255 192.175.48.0",
        "192.175.48.255 198.18.0.0 198.19.255.255 198.51.100.0 198.51.100.255 203.0.113.0 203.0.113.255",
        "224.0.0.0 224.0.0.251 233.252.0.1 239.255.255.255 240.0.0.0 255.255.255.254 255.255.255.255 168.63.129.16",
        ":: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 ::ffff:0:8.8.8.8",
        "64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1:: 64:ff9b:1:ffff::7f00:1 100:: 100::ffff:ffff:ffff:ffff 100:0:0:1::1",
        "2001:: 2001:0:7f00:1:: 2001:1::1 2001:1::2 2001:2::1 2001:3::1 2001:4:112::1 2001:5::1 2001:10::1 2001:20::1",
        "2001:30::1 2001:1ff:ffff::1 2001:db8:: 2001:db8:ffff::1 2002:: 2002:7f00:1::1 2002:808:808::1 2002:ffff:ffff::1",
        "2620:4f:8000::1 3fff:: 3fff:fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 ff0e::1",
    ];

    /// Hosts of the public internet, and neighbours of the ranges.
    const PUBLIC: [&str; 5] = [
        "1.0.0.0 1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255",
        "128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0 192.88.98.255",
        "192.88.100.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255 203.0.114.0 223.255.255.255 168.63.129.15",
        "2001:200::1 2001:4860:4860::8888 2001:db7:ffff::1 2001:db9::1 2003::1 2606:4700::1111 2620:4f:7fff::1 2a00:1450::1 3ffe::1",
        "2600:1f18::1",
    ];

    fn addresses<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = IpAddr> + 'a {
        lines.iter().flat_map(|line| line.split(' ')).map(|ip| ip.parse().unwrap())
    }

    #[test]
    fn no_special_address_is_public_and_no_public_one_is_special() {
        assert!(
            addresses(&SPECIAL).all(|ip| !is_public(ip)),
            "{:?}",
            addresses(&SPECIAL).find(|ip| is_public(*ip))
        );
        for ip in addresses(&PUBLIC) {
            assert!(is_public(ip) && leads_to_public(ip), "{ip}");
        }
        assert_eq!((addresses(&SPECIAL).count(), addresses(&PUBLIC).count()), (94, 36));
        let by_name: Vec<_> = addresses(&SPECIAL).filter(|ip| leads_to_public(*ip)).collect();
        assert_eq!(
            by_name,
            ["64:ff9b::808:808".parse::<IpAddr>().unwrap()],
            "what a resolver makes of a public IPv4 address"
        );
    }
}
