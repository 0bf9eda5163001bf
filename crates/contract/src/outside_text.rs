//! Text from outside (names of zones, answers of judges, captions) on its way into Markdown, HTML and CSV, so that it stays text there.
//!
//! Left out: URLs and scripts, into which no text from outside may go.

/// Text inside a line or a cell of a Markdown table: marks that would end the cell, make a link, a picture, code or HTML are escaped, line
/// ends become spaces.
pub fn markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\\' | '|' | '`' | '[' | ']' | '*' | '~' | '$' => safe.extend(['\\', letter]),
            // Inside a word an underscore is a letter; on either side of one it is emphasis.
            '_' if !safe.ends_with(char::is_alphanumeric) => safe.push_str("\\_"),
            letter if letter.is_control() || is_line_end(letter) => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    without_bare_links(&safe)
}

/// Ends of lines that are no control characters.
fn is_line_end(letter: char) -> bool {
    matches!(letter, '\u{2028}' | '\u{2029}')
}

/// Programs make links of bare addresses too: the colon of `https://` and the dot of `www.` are written as entities.
fn without_bare_links(text: &str) -> String {
    text.replace("://", "&#58;//").replace("www.", "www&#46;").replace("WWW.", "WWW&#46;")
}

/// Text inside an element or an attribute of HTML.
pub fn html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

/// A cell of text in CSV. Spreadsheets compute cells that begin with `=`, `+`, `-`, `@`, a tab or a carriage return (also after blanks, and
/// the full-width signs): these get an apostrophe in front, which a spreadsheet takes as "this is text". Numbers are not text:
/// give them as they are. Quoted where commas, quotes or line ends want it (RFC 4180).
pub fn csv_text(text: &str) -> String {
    const COMPUTED: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];
    let begins = |text: &str| text.starts_with(COMPUTED);
    let is_formula = begins(text) || begins(text.trim_start());
    let marked = if is_formula { format!("'{text}") } else { text.to_owned() };
    csv_quoted(marked)
}

/// A cell of CSV as it is, quoted where commas, semicolons, tabs, quotes or line ends want it (RFC 4180).
pub fn csv_quoted(cell: String) -> String {
    if cell.contains(['"', ',', ';', '\t', '\n', '\r']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_stay_one_cell_of_a_markdown_table() {
        assert_eq!(markdown("成都 (Chengdu) St. John's No. 3, 5-a"), "成都 (Chengdu) St. John's No. 3, 5-a");
        assert_eq!(markdown("openai:gpt_4/expert.en"), "openai:gpt_4/expert.en");
        assert_eq!(markdown("a | b\r\nc"), "a \\| b  c");
        assert_eq!(
            markdown("<img src=x onerror=alert(1)>&lt;"),
            "&lt;img src=x onerror=alert(1)&gt;&amp;lt;"
        );
        assert_eq!(markdown("![x](javascript:alert(1))"), "!\\[x\\](javascript:alert(1))");
        assert_eq!(markdown("https://a.b www.c.d"), "https&#58;//a.b www&#46;c.d");
        assert_eq!(markdown("a\\| `b` _c_ **d**"), "a\\\\\\| \\`b\\` \\_c_ \\*\\*d\\*\\*");
        assert_eq!(markdown("a\u{2028}b\u{0}c"), "a b c");
    }

    #[test]
    fn html_keeps_no_mark_that_opens_or_closes_anything() {
        assert_eq!(
            html("<a href=\"x\" title='y'>&</a>"),
            "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;&lt;/a&gt;"
        );
        assert_eq!(html("成都 a-b"), "成都 a-b");
    }

    #[test]
    fn cells_that_a_spreadsheet_would_compute_begin_with_an_apostrophe() {
        for text in ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "\u{a0}=1", "＝1"] {
            let cell = csv_text(text);
            assert!(cell.trim_start_matches('"').starts_with('\''), "{text:?} gives {cell:?}");
        }
        assert_eq!(csv_text("=HYPERLINK(\"a\",\"b\")"), "\"'=HYPERLINK(\"\"a\"\",\"\"b\"\")\"");
        for text in ["", "510104", "a=b", "3-4", "成都", "x@y"] {
            assert_eq!(csv_text(text), text);
        }
        assert_eq!(csv_text("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
