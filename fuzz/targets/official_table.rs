//! A table of official statistics from any bytes: refused, or rows of as many fields as there are columns, which write and read back as
//! themselves; codes and numbers of its first two columns never panic, and a number printed reads back as itself.
#![no_main]

#[path = "../../crates/contract/src/delimited_text.rs"]
#[allow(dead_code)]
mod delimited_text;
#[path = "../../crates/region-report/src/codes.rs"]
#[allow(dead_code)]
mod codes;
#[path = "../../crates/region-report/src/numerals.rs"]
#[allow(dead_code)]
mod numerals;

use libfuzzer_sys::fuzz_target;
use numerals::Decimal;

fuzz_target!(|bytes: &[u8]| {
    let Ok(table) = delimited_text::parse(bytes, &[]) else { return };
    assert!(table.rows.iter().all(|row| row.fields().count() == table.head.len()));
    assert!(table.rows.is_sorted_by(|a, b| a.line < b.line));
    let quoted = |field: &str| format!("\"{}\"", field.replace('"', "\"\""));
    let line = |fields: Vec<String>| fields.join(",") + "\n";
    let mut printed = line(table.head.iter().map(|name| quoted(name)).collect());
    for row in &table.rows {
        printed += &line(row.fields().map(quoted).collect());
    }
    // Names of columns that hold separators may make another one look better.
    if !table.head.iter().any(|name| name.contains([',', ';', '\t', '"', '\n', '\r'])) {
        let again = delimited_text::parse(printed.as_bytes(), &[]).expect("what was read is read when printed");
        assert_eq!(again.head, table.head);
        assert!(again.rows.iter().zip(&table.rows).all(|(a, b)| a.fields().eq(b.fields())));
        assert_eq!(again.rows.len(), table.rows.len());
    }
    let column = |at: usize| table.rows.iter().map(|row| row.get(at)).collect::<Vec<&str>>();
    let (keys, texts) = (column(0), column(1));
    let zones = ["510101", "01001", "7"];
    if let Ok(joined) = codes::join(&zones, &keys) {
        assert_eq!(joined.zone_of.len(), keys.len());
        assert!(joined.zone_of.iter().flatten().all(|zone| zones.contains(&zone.as_str())));
    }
    for decimal in [None, Some(Decimal::Point), Some(Decimal::Comma)] {
        let Ok(numbers) = numerals::numbers(&texts, decimal, table.separator == ',') else { continue };
        for number in numbers.into_iter().flatten() {
            let text = number.to_string();
            assert_eq!(numerals::numbers(&[&text], Some(Decimal::Point), false), Ok(vec![Some(number)]));
        }
    }
});
