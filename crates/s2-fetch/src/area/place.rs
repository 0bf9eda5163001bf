//! A place by its name.

use std::path::Path;

use anyhow::bail;
use geo::Polygon;

use crate::area::file::{Feature, features};

const NEAR_NAMES: usize = 5;

/// The one place of a name; several features of one place that share all their texts are taken together. Texts are looked at before numbers.
///
/// # Errors
/// Says the names near the one that is not there, or the places among which it does not decide.
pub(crate) fn named(path: &Path, name: &str) -> anyhow::Result<Vec<Polygon>> {
    let wanted = name.trim().to_lowercase();
    let features = features(path)?;
    let by_text = found(path, name, &wanted, &features, false)?;
    let found = if by_text.is_empty() { found(path, name, &wanted, &features, true)? } else { by_text };
    if found.is_empty() {
        let others = features.into_iter().flat_map(|f| f.values).map(|said| said.text).collect();
        bail!(
            "{}: want a place named {name}, found none; near: {}",
            path.display(),
            near(&wanted, others).join(", ")
        );
    }
    Ok(found)
}

/// The polygons of the features that have the name among their texts, numbers included or not.
fn found(
    path: &Path,
    name: &str,
    wanted: &str,
    features: &[Feature],
    numbers: bool,
) -> anyhow::Result<Vec<Polygon>> {
    let texts = |feature: &Feature| -> Vec<String> {
        feature
            .values
            .iter()
            .filter(|said| numbers || !said.is_number)
            .map(|said| said.text.clone())
            .collect()
    };
    let with_texts = features.iter().map(|feature| (texts(feature), feature));
    let found: Vec<_> =
        with_texts.filter(|(texts, _)| texts.iter().any(|text| text.to_lowercase() == wanted)).collect();
    let Some((first, _)) = found.first() else { return Ok(Vec::new()) };
    if found.iter().any(|(texts, _)| texts != first) && !is_division(&found, wanted) {
        let said: Vec<_> = found.iter().take(NEAR_NAMES).map(|(texts, _)| texts.join(" / ")).collect();
        bail!(
            "{}: want one place named {name}, found {}: {}; use a name or code that only one has",
            path.display(),
            found.len(),
            said.join("; ")
        );
    }
    Ok(found.into_iter().flat_map(|(_, feature)| feature.polygons.clone()).collect())
}

/// Whether all features name the place at the same property, among others that differ below it: the counties of one province, say.
fn is_division(found: &[(Vec<String>, &Feature)], wanted: &str) -> bool {
    let place_of = |texts: &[String]| texts.iter().position(|t| t.to_lowercase() == wanted);
    let Some(place) = place_of(&found[0].0) else { return false };
    let same_above = |texts: &[String]| place_of(texts) == Some(place) && texts.len() == found[0].0.len();
    let has_parts = found[0].0.len() > place + 1;
    has_parts && found.iter().all(|(texts, _)| same_above(texts))
}

/// The names most like a wanted one: by the longest stretch of letters in common, then by likeness of length.
fn near(wanted: &str, mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    let common = |name: &str| {
        let (a, b): (Vec<char>, Vec<char>) =
            (wanted.chars().collect(), name.to_lowercase().chars().collect());
        let mut best = 0;
        for i in 0..a.len() {
            for j in 0..b.len() {
                best = best.max(a[i..].iter().zip(&b[j..]).take_while(|(x, y)| x == y).count());
            }
        }
        best
    };
    let length = |name: &str| name.chars().count().abs_diff(wanted.chars().count());
    names.sort_by_cached_key(|name| (std::cmp::Reverse(common(name)), length(name), name.clone()));
    names.truncate(NEAR_NAMES);
    names
}
