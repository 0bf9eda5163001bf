//! The quality report as a page of Markdown: sections with headings in English and Chinese, a table each.

use contract::Metric;
use contract::outside_text::markdown;

/// A section: the beginnings of its metrics' names, heading, what the numbers mean.
const SECTIONS: [(&[&str], &str, &str); 6] = [
    (
        &["canary_"],
        "Canaries · 试探图",
        "Copies of a tile (same, turned, with \"score 100\" printed in) should be judged like the tile; blank and cloud not above the median. \
         与原图相同、旋转或印有“score 100”的影像应与原图得到同样评价；空白与云图不应高于中位数。",
    ),
    (
        &["repeat_sd", "swap_consistency", "left_wins", "same"],
        "One judge, asked again · 同一评判者重复回答",
        "Standard deviation of repeats in points; share of comparisons that hold when the sides change; share of wins of the left image (even is 0.5). \
         重复评分的标准差；左右互换后结论不变的比例；左图胜出比例（无偏为 0.5）。",
    ),
    (
        &["judges_", "personas_", "raters_"],
        "Agreement · 一致性",
        "Krippendorff's alpha (1 agreement, 0 chance) and Kendall's tau-b on the same images. \
         克里彭多夫 alpha（1 为一致，0 为随机）与肯德尔 tau-b。",
    ),
    (
        &["votes_missing", "pairs_missing", "answers_missing"],
        "Missing answers · 缺失的回答",
        "Share of the answers that count for nothing, and why. 未计入的回答比例及原因。",
    ),
    (&["tokens_", "latency_"], "Cost and time · 费用与时间", "As the endpoint counted. 以服务端计数为准。"),
    (&[""], "Other · 其他", ""),
];

/// The page.
pub fn page(metrics: &[Metric]) -> String {
    let mut text = String::from("# Quality of the answers · 回答质量报告\n");
    let section = |metric: &Metric| {
        SECTIONS.iter().position(|(names, ..)| names.iter().any(|name| metric.name.starts_with(name)))
    };
    for (place, (_, heading, about)) in SECTIONS.iter().enumerate() {
        let mine: Vec<&Metric> = metrics.iter().filter(|metric| section(metric) == Some(place)).collect();
        if mine.is_empty() {
            continue;
        }
        text += &format!("\n## {heading}\n\n{about}\n\n");
        text += "| number · 指标 | of · 对象 | value · 数值 | unit · 单位 | n | note · 备注 |\n|---|---|---:|---|---:|---|\n";
        for m in mine {
            let value = m.value.map_or_else(|| "–".into(), |value| format!("{value:.3}"));
            let note = m.note.as_deref().unwrap_or_default();
            let cells = [&m.name, &m.of, &value, &m.unit, &m.n.to_string(), note].map(markdown);
            text += &format!("| {} |\n", cells.join(" | "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::metric;

    #[test]
    fn every_number_is_on_the_page_once_under_its_heading() {
        let names =
            ["canary_blank_above_median", "repeat_sd", "judges_tau_b", "votes_missing", "tokens_in", "odd"];
        let metrics: Vec<Metric> = names.iter().map(|name| metric(name, "a|b", Some(0.5), "1", 3)).collect();
        let page = page(&metrics);
        assert_eq!(page.matches("\n## ").count(), 6);
        for name in names {
            assert_eq!(page.matches(&format!("| {name} | a\\|b | 0.500 |")).count(), 1, "{name}");
        }
    }

    #[test]
    fn what_a_judge_calls_itself_stays_text_in_its_cell() {
        let name = "m|1\r\n<script>x</script>[a](javascript:b)";
        let page = page(&[metric("odd", name, None, "1", 3)]);
        assert!(
            !page.contains('<')
                && page.contains("| m\\|1  &lt;script&gt;x&lt;/script&gt;\\[a\\](javascript:b) |"),
            "{page}"
        );
    }
}
