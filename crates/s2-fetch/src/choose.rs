//! Which scene of a granule is fetched: a pure function of the candidates.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

use geo::MultiPolygon;

use crate::area::share_inside;
use crate::flags::{Months, Period};
use crate::stac::{Item, granule_key};

/// The rule, as it is printed.
pub(crate) const RULE: &str = "most valid pixels (whole percent), then least cloud, then newest, then id; \
                               of several processings of one sensing the newest";

/// The reason for a scene of which nothing says where it lies: neither a property nor its id.
const UNKNOWN_GRANULE: &str = "of no stated granule, to be named with --item";

/// What a scene must satisfy to be a candidate.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The granule in any spelling.
    pub granule: String,
    /// Ranges of days, one at least.
    pub periods: Vec<Period>,
    /// Months of the year, all where not said.
    pub months: Option<Months>,
    /// More cloud than this is out. A scene of unknown cloud stays in.
    pub max_cloud_share: f64,
    /// One scene by its id.
    pub item: Option<String>,
    /// Scenes that stay the choice whatever else there is, best first.
    pub locked: Vec<String>,
    /// The part of the granule that matters, in degrees: valid pixels are judged inside it.
    pub area: Option<MultiPolygon>,
}

/// The candidates in order, the scene to fetch first, and how many fell out for each reason.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    /// Candidates, best first; empty if there is none.
    pub ranked: Vec<Item>,
    /// Reasons and how many scenes each put out.
    pub skipped: Vec<(&'static str, usize)>,
}

/// Puts scenes in order by [`RULE`].
pub(crate) fn choose(items: Vec<Item>, wanted: &Wanted) -> Choice {
    let mut skipped = Vec::new();
    let mut keep = |items: Vec<Item>, reason, fits: &dyn Fn(&Item) -> bool| {
        let before = items.len();
        let kept: Vec<_> = items.into_iter().filter(fits).collect();
        if kept.len() < before {
            skipped.push((reason, before - kept.len()));
        }
        kept
    };
    let granule = granule_key(&wanted.granule);
    let named = |i: &Item| wanted.item.as_ref() == Some(&i.id);
    let items = keep(items, UNKNOWN_GRANULE, &|i| i.granule.is_some() || named(i));
    let items = keep(items, "another granule", &|i| i.granule.as_ref().is_none_or(|g| *g == granule));
    let items = within(items, wanted.area.as_ref());
    let (locked, items): (Vec<_>, Vec<_>) = items.into_iter().partition(|i| wanted.locked.contains(&i.id));
    let items = keep(items, "another item", &|i| wanted.item.as_ref().is_none_or(|id| *id == i.id));
    let items = keep(items, "outside the dates", &|i| wanted.periods.iter().any(|p| in_period(i, p)));
    let items =
        keep(items, "outside the months", &|i| wanted.months.as_ref().is_none_or(|m| in_months(i, m)));
    let beside = |i: &Item| wanted.area.is_some() && i.valid_share == Some(0.0);
    let items = keep(items, "no data in the area", &|i| !beside(i));
    let cloud = |i: &Item| i.cloud_share.is_none_or(|share| share <= wanted.max_cloud_share);
    let items = keep(items, "too much cloud", &cloud);
    let before = items.len();
    let mut ranked = newest_processings(items);
    if ranked.len() < before {
        skipped.push(("an older processing of the same sensing", before - ranked.len()));
    }
    ranked.sort_by(better);
    Choice { ranked: first(locked, &wanted.locked).into_iter().chain(ranked).collect(), skipped }
}

/// Locked scenes in the order of the lock, each once: two pages of a catalogue may both hold one.
fn first(mut items: Vec<Item>, locked: &[String]) -> Vec<Item> {
    let place = |item: &Item| locked.iter().position(|id| *id == item.id);
    items.sort_by_key(place);
    items.dedup_by(|a, b| a.id == b.id);
    items
}

/// Judges valid pixels by the share of the area that a scene's footprint covers.
fn within(mut items: Vec<Item>, area: Option<&MultiPolygon>) -> Vec<Item> {
    let Some(area) = area else { return items };
    for item in &mut items {
        if let Some(footprint) = &item.footprint {
            item.valid_share = Some(share_inside(area, footprint));
        }
    }
    items
}

/// Whether sensing and the range of days have a day in common.
fn in_period(item: &Item, period: &Period) -> bool {
    match days(item) {
        Some((first, last)) => first <= period.to.as_str() && last >= period.from.as_str(),
        None => false,
    }
}

fn in_months(item: &Item, months: &Months) -> bool {
    days(item).is_some_and(|(first, last)| months.meet(first, last))
}

/// First and last day of sensing.
fn days(item: &Item) -> Option<(&str, &str)> {
    Some((item.sensed_from.as_deref()?.get(..10)?, item.sensed_to.as_deref()?.get(..10)?))
}

fn newest_processings(items: Vec<Item>) -> Vec<Item> {
    let age = |i: &Item| (i.processed.clone(), i.baseline.clone(), i.id.clone());
    let mut newest: BTreeMap<String, Item> = BTreeMap::new();
    for item in items {
        let sensing = item.sensing.clone().unwrap_or_else(|| item.id.clone());
        match newest.get(&sensing) {
            Some(other) if age(other) >= age(&item) => {}
            _ => {
                newest.insert(sensing, item);
            }
        }
    }
    newest.into_values().collect()
}

/// The better scene first. A share that the catalogue does not state comes after every share that it states.
pub(crate) fn better(a: &Item, b: &Item) -> Ordering {
    let percent = |i: &Item| Reverse(i.valid_share.map(|share| (share * 100.0).round() as i64));
    let cloud = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    };
    percent(a)
        .cmp(&percent(b))
        .then_with(|| cloud(a.cloud_share, b.cloud_share))
        .then_with(|| b.sensed_from.cmp(&a.sensed_from))
        .then_with(|| a.id.cmp(&b.id))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::stac::tests::item;
    use serde_json::json;

    fn scene(id: &str, day: &str, empty_percent: f64, cloud_percent: f64) -> Item {
        item(
            json!({"id": id, "properties": {"s2:mgrs_tile": "48RVV", "datetime": format!("{day}T03:39:59Z"), "platform": id,
            "s2:nodata_pixel_percentage": empty_percent, "eo:cloud_cover": cloud_percent}, "assets": {}}),
        )
    }

    fn wanted() -> Wanted {
        let periods = vec![Period { from: "2020-01-01".into(), to: "2024-12-31".into() }];
        let granule = "T48RVV".into();
        Wanted {
            granule,
            periods,
            months: None,
            max_cloud_share: 1.0,
            item: None,
            locked: vec![],
            area: None,
        }
    }

    fn order(items: Vec<Item>, wanted: &Wanted) -> Vec<String> {
        choose(items, wanted).ranked.into_iter().map(|i| i.id).collect()
    }

    #[test]
    fn the_choice_does_not_depend_on_the_catalogues_order() {
        let mut items = vec![
            scene("half", "2023-01-01", 50.0, 0.0),
            scene("cloudy", "2023-01-11", 0.0, 30.0),
            scene("old", "2022-01-21", 0.0, 2.0),
            scene("new", "2023-01-21", 0.2, 2.0),
            scene("b", "2022-01-21", 0.0, 2.0),
        ];
        let best_first = ["new", "b", "old", "cloudy", "half"];
        for _ in 0..items.len() {
            items.rotate_left(1);
            assert_eq!(order(items.clone(), &wanted()), best_first);
        }
    }

    #[test]
    fn dates_cloud_granule_and_item_put_scenes_out_with_a_reason() {
        let mut other = scene("other", "2023-01-01", 0.0, 0.0);
        other.granule = Some("48RVU".into());
        let items = vec![
            other,
            scene("early", "2019-12-31", 0.0, 0.0),
            scene("first day", "2020-01-01", 0.0, 20.0),
            scene("last day", "2024-12-31", 0.0, 10.0),
            scene("cloudy", "2023-01-01", 0.0, 70.0),
        ];
        let few_clouds = Wanted { max_cloud_share: 0.5, ..wanted() };
        let choice = choose(items.clone(), &few_clouds);
        assert_eq!(choice.ranked.len(), 2);
        assert_eq!(choice.skipped, [("another granule", 1), ("outside the dates", 1), ("too much cloud", 1)]);
        let one = Wanted { item: Some("first day".into()), ..wanted() };
        assert_eq!(order(items, &one), ["first day"]);
    }

    #[test]
    fn a_scene_of_no_stated_granule_is_taken_when_it_is_named_and_counted_when_not() {
        let mut homeless = scene("homeless", "2023-01-01", 0.0, 0.0);
        homeless.granule = None;
        let choice = choose(vec![homeless.clone()], &wanted());
        assert_eq!(choice.skipped, [(UNKNOWN_GRANULE, 1)]);
        let named = Wanted { item: Some("homeless".into()), ..wanted() };
        assert_eq!(order(vec![homeless], &named), ["homeless"]);
    }

    #[test]
    fn of_two_processings_of_one_sensing_the_newest_stays() {
        let mut processed =
            [("old", "2021-01-02T00:00:00Z"), ("new", "2023-05-01T00:00:00Z")].map(|(id, when)| {
                let mut item = scene(id, "2021-01-01", 0.0, 5.0);
                (item.sensing, item.processed) = (Some("GS2A_20210101T033959_1".into()), Some(when.into()));
                item
            });
        assert_eq!(order(processed.to_vec(), &wanted()), ["new"]);
        processed.reverse();
        assert_eq!(order(processed.to_vec(), &wanted()), ["new"]);
    }

    #[test]
    fn unknown_shares_come_last_and_unknown_dates_are_out() {
        let mut unknown = scene("unknown", "2023-01-01", 0.0, 0.0);
        (unknown.valid_share, unknown.cloud_share) = (None, None);
        let known = scene("known", "2023-01-01", 60.0, 90.0);
        assert_eq!(order(vec![unknown.clone(), known], &wanted()), ["known", "unknown"]);
        unknown.sensed_from = None;
        assert!(choose(vec![unknown], &wanted()).ranked.is_empty());
    }
}
