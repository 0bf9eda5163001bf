//! Tables of text that other people's programs wrote: CSV and its kin, in the encodings and with the separators that offices use.
//!
//! Encodings: UTF-8 with or without a byte order mark, UTF-16 with one, GB18030 (and so GBK and GB 2312). Separators: comma, semicolon or
//! tab, whichever gives the columns asked for. A quote opens a field only at the field's start, and closes it only before a separator, an end
//! of line or the end; anything else is refused with its line, since a guess would melt rows into one. Lines without a letter are passed over.
//! Left out: what a field means; other encodings, which are refused with what to do.

use csv::{ReaderBuilder, StringRecord};
use encoding_rs::{Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE};

/// Why a text is no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes are text of no encoding known here.
    #[error(
        "want text in UTF-8, UTF-16 with a byte order mark or GB18030, found {0}; save it as CSV in UTF-8"
    )]
    Encoding(&'static str),
    /// A field in quotes that does not end as one.
    #[error(
        "line {line}: want a quoted field that ends with a quote before the separator, found {got}; double the quotes inside of it"
    )]
    Quote {
        /// Where the field begins, counted from 1.
        line: u64,
        /// What was found.
        got: &'static str,
    },
    /// No line with a column.
    #[error("want a first line with names of columns, found none")]
    Empty,
    /// A column that is not there.
    #[error("want column {want}, found {found}")]
    NoColumn {
        /// The name asked for.
        want: String,
        /// The names found, shortened.
        found: String,
    },
    /// Two columns of the name asked for.
    #[error("want one column {0}, found two; rename one")]
    TwoColumns(String),
    /// A row with more or fewer fields than the first line has names.
    #[error(
        "line {line}: want {want} fields, as the first line has, found {found}; mend or delete that line"
    )]
    Fields {
        /// The line, counted from 1.
        line: u64,
        /// Names in the first line.
        want: usize,
        /// Fields in the row.
        found: usize,
    },
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The line on which it begins, counted from 1.
    pub line: u64,
    fields: StringRecord,
}

impl Row {
    /// A field; empty beyond the last.
    pub fn get(&self, column: usize) -> &str {
        self.fields.get(column).unwrap_or_default()
    }

    /// All fields.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter()
    }
}

/// A table of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelimitedText {
    /// Names of the columns, without blanks around them.
    pub head: Vec<String>,
    /// Rows, each of as many fields as there are names.
    pub rows: Vec<Row>,
    /// What stands between fields: `,`, `;` or a tab.
    pub separator: char,
    /// The name of the encoding.
    pub encoding: &'static str,
}

impl DelimitedText {
    /// The place of a column.
    ///
    /// # Errors
    /// [`Fault::NoColumn`] or [`Fault::TwoColumns`].
    pub fn column(&self, name: &str) -> Result<usize, Fault> {
        column(&self.head, name)
    }
}

const SEPARATORS: [char; 3] = [',', ';', '\t'];

/// Reads a table with the columns `wanted`.
///
/// # Errors
/// See [`Fault`].
pub fn parse(bytes: &[u8], wanted: &[&str]) -> Result<DelimitedText, Fault> {
    let (text, encoding) = decoded(bytes)?;
    let (text, first_line, told) = without_separator_line(&text);
    let separator = match told {
        Some(told) => told,
        None => separator(text, wanted)?,
    };
    check_quotes(text, separator, first_line)?;
    let mut records = records(text, separator, first_line);
    let head: Vec<String> = match records.next() {
        Some(head) => head.fields.iter().map(|name| name.trim().to_owned()).collect(),
        None => return Err(Fault::Empty),
    };
    for name in wanted {
        column(&head, name)?;
    }
    let mut rows = Vec::new();
    for mut row in records {
        if row.fields.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        let surplus = row.fields.iter().skip(head.len()).all(|field| field.trim().is_empty());
        if row.fields.len() < head.len() || !surplus {
            return Err(Fault::Fields { line: row.line, want: head.len(), found: row.fields.len() });
        }
        row.fields.truncate(head.len());
        rows.push(row);
    }
    Ok(DelimitedText { head, rows, separator, encoding })
}

/// The text and the name of its encoding.
fn decoded(bytes: &[u8]) -> Result<(String, &'static str), Fault> {
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return Err(Fault::Encoding("a workbook or an archive"));
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(Fault::Encoding("a file packed by gzip"));
    }
    let whole = |encoding: &'static Encoding, bytes| {
        let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
        text.map(|text| (text.into_owned(), encoding.name()))
    };
    if let Some((marked, mark)) = Encoding::for_bom(bytes) {
        let is_text = |found: &(String, &str)| !found.0.contains('\0');
        return whole(marked, &bytes[mark..]).filter(is_text).ok_or(Fault::Encoding(match marked {
            marked if marked == UTF_16LE || marked == UTF_16BE => "damaged UTF-16",
            _ => "damaged UTF-8",
        }));
    }
    if bytes.contains(&0) {
        return Err(Fault::Encoding("zero bytes, as in UTF-16 without a byte order mark"));
    }
    if let Some(found) = whole(UTF_8, bytes) {
        return Ok(found);
    }
    // GB18030 gives a meaning to nearly all pairs of bytes. Chinese text is of pairs of high bytes; letters with accents of a European
    // encoding stand alone between low ones.
    let found = whole(GB18030, bytes).filter(|_| high_pairs_prevail(bytes));
    found.ok_or(Fault::Encoding("bytes of another encoding"))
}

/// Whether most runs of high bytes are of an even length, as in GB 2312.
fn high_pairs_prevail(bytes: &[u8]) -> bool {
    let runs = bytes.split(|byte| *byte < 0x80).filter(|run| !run.is_empty());
    let (even, odd) = runs.fold((0, 0), |(even, odd), run| match run.len() % 2 {
        0 => (even + 1, odd),
        _ => (even, odd + 1),
    });
    even > odd
}

/// Excel's `sep=;` before the names of columns: the text after it, the line where that begins, the separator.
fn without_separator_line(text: &str) -> (&str, u64, Option<char>) {
    let told = SEPARATORS.iter().find_map(|separator| {
        let rest = text.strip_prefix("sep=")?.strip_prefix(*separator)?;
        let rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(['\n', '\r']))?;
        Some((rest, *separator))
    });
    told.map_or((text, 1, None), |(rest, separator)| (rest, 2, Some(separator)))
}

/// The separator that gives the columns asked for; where none or several do, the one that gives most columns.
fn separator(text: &str, wanted: &[&str]) -> Result<char, Fault> {
    let head = |separator: char| {
        let head = records(text, separator, 1).next()?;
        let names: Vec<String> = head.fields.iter().map(|name| name.trim().to_owned()).collect();
        let fits = wanted.iter().all(|name| column(&names, name).is_ok());
        Some((fits, names.len(), separator))
    };
    // Of equals the earlier one stays.
    let better = |best: (bool, usize, char), next: (bool, usize, char)| {
        if (next.0, next.1) > (best.0, best.1) { next } else { best }
    };
    SEPARATORS.into_iter().filter_map(head).reduce(better).map(|best| best.2).ok_or(Fault::Empty)
}

/// The records that are not empty lines. `first_line` is the number of the text's first line.
fn records(text: &str, separator: char, first_line: u64) -> impl Iterator<Item = Row> {
    let reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator as u8)
        .from_reader(text.as_bytes());
    let mut lines = Lines { rest: text, at: 0, line: first_line };
    // Text in memory is always read.
    reader.into_records().filter_map(Result::ok).map(move |fields| {
        let at = fields.position().map_or(0, csv::Position::byte);
        Row { line: lines.line_at(at as usize), fields }
    })
}

/// Counts lines, whether they end as in Unix, Windows or old Macs.
struct Lines<'a> {
    rest: &'a str,
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of a record that begins at a byte, blank lines before it left behind.
    fn line_at(&mut self, byte: usize) -> u64 {
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let bytes = self.rest.as_bytes();
        let blank = bytes.get(byte..).unwrap_or_default().iter().take_while(|byte| is_end(byte)).count();
        let to = byte + blank;
        while self.at < to {
            let ends = match bytes[self.at] {
                b'\n' => true,
                b'\r' => bytes.get(self.at + 1) != Some(&b'\n'),
                _ => false,
            };
            self.line += u64::from(ends);
            self.at += 1;
        }
        self.line
    }
}

/// Refuses quoted fields that do not end as such: the parser would take what follows, other rows too, into the field.
fn check_quotes(text: &str, separator: char, first_line: u64) -> Result<(), Fault> {
    #[derive(PartialEq)]
    enum In {
        Start,
        Plain,
        Quotes,
        Closed,
    }
    let mut lines = Lines { rest: text, at: 0, line: first_line };
    let (mut state, mut opened) = (In::Start, 0);
    for (at, letter) in text.bytes().enumerate() {
        let ends = letter == separator as u8 || letter == b'\n' || letter == b'\r';
        state = match (state, letter) {
            (In::Start, b'"') => {
                opened = at;
                In::Quotes
            }
            (In::Quotes, b'"') => In::Closed,
            (In::Quotes, _) | (In::Closed, b'"') => In::Quotes,
            (_, _) if ends => In::Start,
            (In::Closed, _) => {
                return Err(Fault::Quote { line: lines.line_at(opened), got: "text after one" });
            }
            _ => In::Plain,
        };
    }
    match state {
        In::Quotes => Err(Fault::Quote { line: lines.line_at(opened), got: "the end of the file" }),
        _ => Ok(()),
    }
}

fn column(head: &[String], name: &str) -> Result<usize, Fault> {
    const NAMES_SHOWN: usize = 20;
    let mut places = (0..head.len()).filter(|at| head[*at] == name.trim());
    match (places.next(), places.next()) {
        (Some(place), None) => Ok(place),
        (Some(_), Some(_)) => Err(Fault::TwoColumns(name.to_owned())),
        _ => {
            let mut found = head.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
            if head.len() > NAMES_SHOWN {
                found += &format!(" and {} more", head.len() - NAMES_SHOWN);
            }
            Err(Fault::NoColumn { want: name.to_owned(), found })
        }
    }
}

#[cfg(test)]
#[path = "delimited_text_tests.rs"]
mod tests;
