//! What a run of `fetch` would do, or did, for people and for scripts: nothing secret, no address.

use serde_json::{Value, json};

use crate::cost::Cost;
use crate::fetch::Fetch;
use crate::output::Fetched;
use crate::stac::Item;

/// Says what a dry run found.
pub(crate) fn print_dry(flags: &Fetch, used: &[Item], cost: Cost) {
    let seconds = flags.at_mb_per_s.map(|rate| cost.n_bytes as f64 / 1e6 / rate);
    let items: Vec<_> = used.iter().map(|item| item.id.as_str()).collect();
    if flags.json {
        let summary = json!({
            "granule": flags.granule.as_str(), "items": items, "dry_run": true, "n_files": cost.n_files, "n_bytes": cost.n_bytes,
            "bytes_known_share": cost.known_share(), "seconds": seconds,
        });
        println!("{summary}");
        return;
    }
    println!("granule  {}", flags.granule);
    println!("items    {}", items.join(" "));
    println!("files    {}", cost.n_files);
    println!("bytes    {}", cost.words());
    if let (Some(seconds), Some(rate)) = (seconds, flags.at_mb_per_s) {
        println!("time     {seconds:.0} s at {rate} MB/s");
    }
}

/// The bytes of a run.
pub(crate) fn bytes(fetched: &[Fetched<'_>]) -> Value {
    let files = || fetched.iter().flat_map(|f| f.files.iter().chain(&f.scl));
    json!({
        "n_files": files().count(),
        "bytes_travelled": files().map(|f| f.travelled_bytes).sum::<u64>(),
        "bytes_needed": files().map(|f| f.n_bytes).sum::<u64>(),
        "bytes_of_files": files().map(|f| f.length_bytes).sum::<u64>(),
    })
}

/// Prints what a run did as one JSON object.
///
/// # Errors
/// If the scene cannot be read back.
pub(crate) fn print(flags: &Fetch, used: &[Item], bytes: &Value, seconds: f64) -> anyhow::Result<()> {
    let best = &used[0];
    let mut summary = json!({
        "granule": flags.granule.as_str(),
        "item": best.id,
        "items": used.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(),
        "sensed": best.sensed(),
        "baseline": best.baseline,
        "valid_share": best.valid_share,
        "cloud_share": best.cloud_share,
        "out": flags.out.display().to_string(),
        "sha256": contract::sha256_of(&flags.out)?,
        "seconds": (seconds * 1e3).round() / 1e3,
    });
    if let (Some(all), Some(bytes)) = (summary.as_object_mut(), bytes.as_object()) {
        all.extend(bytes.clone());
    }
    println!("{summary}");
    Ok(())
}
