#![allow(clippy::unwrap_used)]

use super::*;

fn fields(text: &DelimitedText) -> Vec<Vec<&str>> {
    text.rows.iter().map(|row| row.fields().collect()).collect()
}

#[test]
fn a_quote_inside_a_field_is_a_letter_and_every_row_stays_a_row() {
    let text =
        "zone,note,gdp\n1,town 5\" pipe,10\n2,\"a \"\"b\"\", c\",20\n3,\"two\r\nlines\",30\n4,\"\",40\n";
    let table = parse(text.as_bytes(), &["zone", "gdp"]).unwrap();
    assert_eq!(
        fields(&table),
        [
            ["1", "town 5\" pipe", "10"],
            ["2", "a \"b\", c", "20"],
            ["3", "two\r\nlines", "30"],
            ["4", "", "40"]
        ]
    );
    assert_eq!(table.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 3, 4, 6]);
}

#[test]
fn a_quoted_field_that_does_not_end_is_refused_with_its_line() {
    let error = |text: &str| parse(text.as_bytes(), &["a"]).unwrap_err();
    let end = Fault::Quote { line: 3, got: "the end of the file" };
    assert_eq!(error("a,b\n1,2\n3,\"open\n4,5\n"), end);
    let text = Fault::Quote { line: 3, got: "text after one" };
    assert_eq!(error("a,b\n1,2\n\"5\" pipe,6\n\"7\",8\n"), text);
    assert_eq!(error("a,b\r1,2\r\"5\"x,6\r"), text, "old Macs end lines with CR");
    assert_eq!(error("a,b\n1,2\n3,\"5 pipe\n4,\"6\"\n"), text, "the quote of the next row");
}

#[test]
fn rows_longer_or_shorter_than_the_first_line_are_refused_and_separators_at_the_end_are_not() {
    let error = |text: &str| parse(text.as_bytes(), &["a"]).unwrap_err();
    assert_eq!(error("a,b\n\n1,2\n1\n"), Fault::Fields { line: 4, want: 2, found: 1 });
    assert_eq!(error("a,b\n1,2,3\n"), Fault::Fields { line: 2, want: 2, found: 3 });
    let table = parse(b"a,b\n1,2,,\n,,,\n\n3,4\n", &["a"]).unwrap();
    assert_eq!(fields(&table), [["1", "2"], ["3", "4"]]);
}

#[test]
fn the_separator_is_the_one_that_gives_the_columns_asked_for() {
    let found = |text: &str, wanted: &[&str]| parse(text.as_bytes(), wanted).unwrap().separator;
    assert_eq!(found("zone;gdp\n1;2\n", &["zone", "gdp"]), ';');
    assert_eq!(found("zone\tgdp\n1\t2\n", &["zone"]), '\t');
    assert_eq!(found("zone;GDP, per head, of all\n1;2\n", &["zone", "GDP, per head, of all"]), ';');
    assert_eq!(found("\"a;b;c\",gdp\n1,2\n", &["gdp"]), ',');
    assert_eq!(found("sep=;\r\nzone;gdp\r\n1;2\r\n", &["zone"]), ';');
    assert_eq!(found("zone\n1\n", &["zone"]), ',');
}

#[test]
fn a_column_that_is_absent_or_twice_there_is_named() {
    let said = |text: &str| parse(text.as_bytes(), &["gdp"]).unwrap_err().to_string();
    assert_eq!(said("zone, GDP \n1,2\n"), "want column gdp, found zone, GDP");
    assert_eq!(said("gdp,gdp\n1,2\n"), "want one column gdp, found two; rename one");
    assert_eq!(said("\n\n"), "want a first line with names of columns, found none");
    let many = (0..30).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",");
    assert!(said(&many).ends_with("c19 and 10 more"), "{}", said(&many));
    assert!(parse(" gdp ,x\n1,2\n".as_bytes(), &["gdp"]).is_ok(), "blanks around a name are none of it");
}

#[test]
fn the_encodings_of_offices_give_the_same_table() {
    let text = "代码,地区\n510104,锦江区\n510105,青羊区\n";
    let utf16 = |big: bool| {
        let unit = move |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        format!("\u{feff}{text}").encode_utf16().flat_map(unit).collect::<Vec<u8>>()
    };
    let cases = [
        (text.as_bytes().to_vec(), "UTF-8"),
        ([b"\xef\xbb\xbf", text.as_bytes()].concat(), "UTF-8"),
        (GB18030.encode(text).0.into_owned(), "gb18030"),
        (utf16(false), "UTF-16LE"),
        (utf16(true), "UTF-16BE"),
    ];
    for (bytes, encoding) in cases {
        let table = parse(&bytes, &["代码", "地区"]).unwrap();
        assert_eq!(table.encoding, encoding);
        assert_eq!(fields(&table), [["510104", "锦江区"], ["510105", "青羊区"]], "{encoding}");
    }
}

#[test]
fn what_is_no_text_of_a_known_encoding_is_refused_with_what_to_do() {
    let said = |bytes: &[u8]| parse(bytes, &["a"]).unwrap_err().to_string();
    assert!(said(b"a,b\n1,Qu\xe9bec\n2,Montr\xe9al\n").contains("another encoding; save it as CSV in UTF-8"));
    assert!(said(b"a\0,\0b\0").contains("zero bytes"));
    assert!(said(b"PK\x03\x04....").contains("a workbook"));
    assert!(said(b"\x1f\x8b\x08").contains("packed by gzip"));
    assert!(said(b"\xef\xbb\xbfa,b\n\xff\n").contains("damaged UTF-8"));
    assert!(said(b"\xff\xfea\0,\0\x00\xd8").contains("damaged UTF-16"));
    assert!(said(b"\xff\xfea\0,\0\0\0").contains("damaged UTF-16"), "a zero is no letter");
}

/// Whatever bytes come, the table is refused or has as many fields in each row as it has columns, and writes and reads back as itself.
#[test]
fn changed_bytes_never_panic_and_what_is_read_reads_back() {
    let seeds: [&[u8]; 4] = [
        b"zone,\"note, long\",gdp\r\n1,\"a \"\"b\"\"\",2\r\n\r\n3,x,4\r\n",
        b"\xff\xfea\0;\0b\0\n\x001\0;\0",
        "sep=;\n代码;人口\n5101;1 234\n".as_bytes(),
        b"a\tb\r1\t\"x\ry\"\r",
    ];
    let marks = [b'"', b',', b';', b'\t', b'\n', b'\r', 0, 0x80, 0xe9, b'x'];
    let mut n_read = 0;
    for seed in seeds {
        for at in 0..=seed.len() {
            for mark in marks {
                for cut in [0, 1, 2] {
                    let end = (at + cut).min(seed.len());
                    let bytes = [&seed[..at], &[mark], &seed[end..]].concat();
                    let Ok(table) = parse(&bytes, &[]) else { continue };
                    assert!(table.rows.iter().all(|row| row.fields().count() == table.head.len()));
                    assert!(table.rows.is_sorted_by(|a, b| a.line < b.line));
                    n_read += 1;
                }
            }
        }
    }
    assert!(n_read > 500, "{n_read} were read");
}
