//! The report as a note of one page in Markdown: the numbers about all zones, the highest and the lowest zones.

use contract::Region;
use contract::outside_text::markdown;

use crate::table::Tables;

/// Zones listed at either end.
const ZONES_SHOWN: usize = 20;

/// The note.
pub fn note(title: &str, tables: &Tables, official: Option<&str>) -> String {
    let mut ranked: Vec<&Region> = tables.regions.iter().filter(|row| row.rank.is_some()).collect();
    ranked.sort_by_key(|row| row.rank);
    let mut lines = vec![
        format!("# {}, by zone", markdown(title)),
        String::new(),
        "| number | of | value | 95 % interval | n |".into(),
    ];
    lines.push("|---|---|---|---|---|".into());
    for metric in &tables.metrics {
        let value = metric.value.map_or("not reported".to_owned(), number);
        let interval = metric.low.zip(metric.high);
        let interval = interval.map_or(String::new(), |(low, high)| format!("{low:.3} to {high:.3}"));
        lines.push(format!(
            "| {} | {} | {value} | {interval} | {} |",
            metric.name,
            markdown(&metric.of),
            metric.n
        ));
    }
    let n_shown = ZONES_SHOWN.min(ranked.len());
    section(&mut lines, &format!("The {n_shown} highest"), &ranked[..n_shown], official);
    section(&mut lines, &format!("The {n_shown} lowest"), &ranked[ranked.len() - n_shown..], official);
    lines.push(String::new());
    lines.push("A score is a rank turned into a number, not money. Zones of one group cannot be told from its first.".into());
    lines.join("\n") + "\n"
}

fn section(lines: &mut Vec<String>, heading: &str, rows: &[&Region], official: Option<&str>) {
    lines.extend([String::new(), format!("## {heading}"), String::new()]);
    let (name, rule) =
        official.map_or((String::new(), ""), |name| (format!(" {} |", markdown(name)), "---|"));
    lines.push(format!("| place | places, 95 % | group | zone | part of | score | 95 % interval |{name}"));
    lines.push(format!("|---|---|---|---|---|---|---|{rule}"));
    lines.extend(rows.iter().map(|row| line(row, official.is_some())));
}

fn line(row: &Region, with_official: bool) -> String {
    let whole = |value: Option<u32>| value.map_or(String::new(), |value| value.to_string());
    let interval =
        row.low.zip(row.high).map_or(String::new(), |(low, high)| format!("{low:.3} to {high:.3}"));
    let official = if with_official {
        format!(" {} |", row.official.map_or(String::new(), number))
    } else {
        String::new()
    };
    format!(
        "| {} | {} to {} | {} | {} | {} | {:.3} | {interval} |{official}",
        whole(row.rank),
        whole(row.rank_low),
        whole(row.rank_high),
        whole(row.group),
        markdown(&row.name),
        markdown(row.part_of.as_deref().unwrap_or_default()),
        row.score.unwrap_or(f64::NAN),
    )
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_zones_stand_at_both_ends_and_those_without_a_place_at_none() {
        let row = |name: &str, rank: Option<u32>| Region {
            name: name.into(),
            rank,
            score: Some(0.5),
            ..Region::default()
        };
        let regions = vec![row("low", Some(2)), row("high", Some(1)), row("none", None)];
        let tables = Tables { regions, metrics: Vec::new(), targeting: Vec::new() };
        let text = note("Made", &tables, None);
        let order: Vec<_> =
            ["high", "low"].iter().filter_map(|name| text.find(&format!("| {name} |"))).collect();
        assert!(order.len() == 2 && order[0] < order[1] && !text.contains("none"), "{text}");
        assert_eq!(text.matches("| high |").count(), 2);
    }

    #[test]
    fn names_from_outside_stay_in_their_cell() {
        let row = Region {
            name: "a | b\n[x](javascript:alert(1))".into(),
            part_of: Some("<img src=x>".into()),
            rank: Some(1),
            score: Some(0.5),
            ..Region::default()
        };
        let tables = Tables { regions: vec![row], metrics: Vec::new(), targeting: Vec::new() };
        let text = note("<b>", &tables, Some("GDP | head"));
        assert!(text.contains("| a \\| b \\[x\\](javascript:alert(1)) | &lt;img src=x&gt; |"), "{text}");
        assert!(text.starts_with("# &lt;b&gt;, by zone\n") && text.contains(" GDP \\| head |"), "{text}");
        assert!(!text.contains('<'), "{text}");
    }
}
