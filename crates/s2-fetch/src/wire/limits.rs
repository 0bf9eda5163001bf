//! What the network may be asked for: connections, requests, bytes, and time.

/// Slower than this is no limit but a mistake, and would overflow a clock.
const SLOWEST_RATE: f64 = 0.001;

/// Limits of all fetches of a run together.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Network")]
pub(crate) struct Limits {
    /// Connections at once, over all files
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub connections: u16,
    /// Most requests a second
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub max_requests_per_s: Option<f64>,
    /// Most megabytes (1,000,000 bytes) a second, over all connections
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub max_mb_per_s: Option<f64>,
    /// Longest wait that a server may ask for
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub max_wait_s: u32,
    /// A connection that brings less than 1 KiB/s for this long counts as lost
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub stall_s: u32,
    /// Give up after this long; a rerun goes on where it stopped
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(u32).range(1..=2_592_000))]
    pub deadline_s: u32,
    /// Length of the parts in which a long file is fetched
    #[arg(long, value_name = "KIB", default_value_t = 8_192, value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    pub part_kib: u32,
    /// Signing service of a store whose catalogue needs one, with {collection} where its name goes [default: Planetary Computer's for its catalogue]
    #[arg(long, value_name = "URL")]
    pub sas_token_url: Option<String>,
}

fn rate(text: &str) -> Result<f64, String> {
    match stage::positive(text)? {
        rate if rate >= SLOWEST_RATE => Ok(rate),
        _ => Err(format!("want at least {SLOWEST_RATE}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        limits: Limits,
    }

    /// The limits without any flag.
    pub fn limits() -> Limits {
        <Program as clap::Parser>::parse_from(["s2-fetch"]).limits
    }

    #[test]
    fn limits_that_would_stop_everything_or_overflow_a_clock_are_refused() {
        for bad in [
            ["--connections", "0"],
            ["--connections", "65"],
            ["--max-requests-per-s", "0"],
            ["--max-mb-per-s", "1e-300"],
            ["--max-mb-per-s", "NaN"],
            ["--deadline-s", "0"],
            ["--deadline-s", "18446744073709551615"],
            ["--part-kib", "1"],
        ] {
            let arguments = ["s2-fetch", bad[0], bad[1]];
            assert!(<Program as clap::Parser>::try_parse_from(arguments).is_err(), "{bad:?}");
        }
    }
}
