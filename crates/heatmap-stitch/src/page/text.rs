//! Numbers and paragraphs of a page.

/// A count with commas, as `30,720`.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share in per cent with one decimal.
pub fn share(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A number with three decimals, or fewer where it is large.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// A paragraph broken at spaces to `width` columns, each line after `indent` spaces. Runs of spaces inside a line stay.
pub fn indented(text: &str, indent: usize, width: usize) -> Vec<String> {
    let pad = " ".repeat(indent);
    let room = width.saturating_sub(indent).max(1);
    let mut lines = Vec::new();
    let mut rest = text.trim_end();
    while rest.chars().count() > room {
        let limit = rest.char_indices().nth(room).map_or(rest.len(), |(at, _)| at);
        let text_begins = rest.len() - rest.trim_start().len();
        let mut spaces = rest.rmatch_indices(' ').map(|(at, _)| at);
        let at = spaces.find(|&at| text_begins < at && at <= limit).unwrap_or(limit);
        lines.push(format!("{pad}{}", rest[..at].trim_end()));
        rest = rest[at..].trim_start();
    }
    if !rest.is_empty() {
        lines.push(format!("{pad}{rest}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_a_comma_every_three_digits() {
        assert_eq!(
            [0, 999, 1000, 30_720, 1_234_567].map(count),
            ["0", "999", "1,000", "30,720", "1,234,567"]
        );
    }

    #[test]
    fn broken_lines_fit_and_lose_no_word() {
        let text = "the score is a place in an order of ground types, not money; höchstens ein Anhaltspunkt";
        for width in 12..40 {
            let lines = indented(text, 4, width);
            assert!(lines.iter().all(|line| line.chars().count() <= width.max(16)), "{width}: {lines:?}");
            let words: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
            assert!(width < 20 || words == text.split_whitespace().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_word_wider_than_the_page_is_cut() {
        assert_eq!(indented("abcdef", 0, 4), ["abcd", "ef"]);
    }
}
