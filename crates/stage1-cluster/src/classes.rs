//! The class of a tile: the likeliest of its label.

use contract::{GranuleId, Label, TileId};
use std::collections::BTreeMap;

/// The likeliest class of every tile that has an answered label. Several judges count alike; of equally likely classes
/// the one that the label lists first wins.
pub fn likeliest(labels: &[Label]) -> BTreeMap<(GranuleId, TileId), String> {
    let mut sums: BTreeMap<(GranuleId, TileId), Vec<(&str, f64)>> = BTreeMap::new();
    for label in labels {
        let Some(probability) = label.probability else { continue };
        let classes = sums.entry((label.granule.clone(), label.tile)).or_default();
        match classes.iter_mut().find(|(class, _)| *class == label.class) {
            Some((_, sum)) => *sum += probability,
            None => classes.push((&label.class, probability)),
        }
    }
    sums.into_iter().filter_map(|(tile, classes)| Some((tile, best(classes)?.0.to_owned()))).collect()
}

fn best(classes: Vec<(&str, f64)>) -> Option<(&str, f64)> {
    classes.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn label(class: &str, probability: Option<f64>, judge: &str) -> Label {
        Label {
            granule: "g".parse().unwrap(),
            tile: TileId { row: 0, col: 0 },
            class: class.into(),
            probability,
            sd: None,
            n_answers: 1,
            n_missing: 0,
            judge: judge.into(),
            prompt_hash: String::new(),
            missing: None,
        }
    }

    #[test]
    fn judges_count_alike_and_missing_labels_count_nothing() {
        let labels = [
            label("rural", Some(0.6), "a"),
            label("urban", Some(0.4), "a"),
            label("rural", Some(0.1), "b"),
            label("urban", Some(0.9), "b"),
            label("rural", None, "c"),
        ];
        assert_eq!(likeliest(&labels).values().collect::<Vec<_>>(), ["urban"]);
        assert!(likeliest(&[label("rural", None, "c")]).is_empty());
    }

    #[test]
    fn of_equal_classes_the_first_wins() {
        let labels = [label("rural", Some(0.5), "a"), label("urban", Some(0.5), "a")];
        assert_eq!(likeliest(&labels).values().collect::<Vec<_>>(), ["rural"]);
    }
}
