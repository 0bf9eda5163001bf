#![allow(clippy::unwrap_used)]

use super::*;
use encoding_rs::GB18030;

const ZONES: [&str; 3] = ["510101", "510102", "510103"];

fn asked<'a>(value: &'a str, year: Option<&'a Year>) -> Asked<'a> {
    Asked {
        path: Path::new("economy.csv"),
        key: "code",
        value,
        year,
        decimal: None,
        repeats: Repeats::Refuse,
    }
}

fn read(text: &str) -> anyhow::Result<Official> {
    asked("gdp", None).of(text.as_bytes(), &ZONES)
}

fn refused(text: &str) -> String {
    stage::one_line(&read(text).unwrap_err())
}

fn numbers_of(official: &Official) -> Vec<(&str, f64)> {
    official.by_zone.iter().map(|(zone, number)| (zone.as_str(), *number)).collect()
}

#[test]
fn each_zone_gets_its_own_number_whatever_quotes_stand_in_notes() {
    let found =
        read("code,note,gdp\n510101,town 5\" pipe,10\n510102,\"a, \"\"b\"\"\",20\n510103,6\" and 7\",30\n")
            .unwrap();
    assert_eq!(numbers_of(&found), [("510101", 10.0), ("510102", 20.0), ("510103", 30.0)]);
    assert_eq!(
        found.line,
        "economy.csv: 3 of 3 zones found in column code (by equal codes), 0 of them without a number"
    );
}

#[test]
fn what_meets_nothing_on_either_side_is_counted_and_shown() {
    let found = read("code,gdp\n510101,10\n510102,NA\n519999,30\n").unwrap();
    assert_eq!(numbers_of(&found), [("510101", 10.0)]);
    assert!(
        found.line.ends_with("2 of 3 zones found in column code (by equal codes), 1 of them without a number; 1 zones without a row, such as 510103; 1 rows without a zone, such as \"519999\" on line 4"),
        "{}",
        found.line
    );
    let counts: Vec<f64> = found.metrics().iter().filter_map(|metric| metric.value).collect();
    assert_eq!(counts, [1.0, 1.0, 1.0, 1.0]);
}

#[test]
fn codes_of_twelve_digits_and_codes_as_decimal_numbers_meet_their_zones_and_the_line_says_how() {
    let found = read("code,gdp\n510101000000,10\n510102000000,20\n").unwrap();
    assert_eq!(numbers_of(&found), [("510101", 10.0), ("510102", 20.0)]);
    assert!(found.line.contains("by the longer codes without the zeros at their end"), "{}", found.line);
    let found = read("code,gdp\n510101.0,10\n").unwrap();
    assert_eq!(numbers_of(&found), [("510101", 10.0)]);
    let found = asked("gdp", None).of(b"code,gdp\n1001,5\n10001,6\n", &["01001", "10001"]).unwrap();
    assert_eq!(numbers_of(&found), [("01001", 5.0), ("10001", 6.0)]);
    assert!(found.line.contains("by codes without leading zeros"), "{}", found.line);
}

#[test]
fn a_table_of_which_no_row_meets_a_zone_is_refused_with_codes_of_both() {
    assert_eq!(
        refused("code,gdp\nCD01,1\n"),
        "0 of 3 zones found in column code (zones such as 510101, codes such as CD01); name the column of codes with --official-key, and the zones' with --zone-id"
    );
    assert!(
        refused("code,gdp\n510101,NA\n510102,-\n")
            .contains("want numbers in column gdp, found none in the rows of 2 zones")
    );
    let same = asked("gdp", None).of(b"code,gdp\n007,1\n", &["07", "7"]).unwrap_err().to_string();
    assert!(same.contains("codes without leading zeros, which takes zones 07 and 7 for the same"), "{same}");
}

#[test]
fn two_rows_for_a_zone_are_refused_unless_a_year_is_named() {
    let text = "code,year,gdp\n510101,2019,10\n510101,2020,11\n510102,2019,20\n510102,2020,21\n";
    assert_eq!(
        refused(text),
        "want one row a zone, found 2 for zone 510101 (lines 2, 3), and more than one for 2 of 2 zones; take one year with --official-year year=YEAR (found 2019, 2020)"
    );
    let of = |year: &str| asked("gdp", Some(&super::year(year).unwrap())).of(text.as_bytes(), &ZONES);
    assert_eq!(numbers_of(&of("year=2020").unwrap()), [("510101", 11.0), ("510102", 21.0)]);
    assert_eq!(numbers_of(&of("year=２０１９").unwrap()), [("510101", 10.0), ("510102", 20.0)]);
    assert_eq!(
        of("year=2021").unwrap_err().to_string(),
        "want rows with 2021 in column year, found 2019, 2020"
    );
    assert!(of("jahr=2020").unwrap_err().to_string().contains("want column jahr, found code, year, gdp"));
    assert!(
        refused("code,gdp\n510101,1\n510101,1\n")
            .contains("leave one, or name a column that tells them apart")
    );
    assert!(super::year("2020").is_err());
}

#[test]
fn zones_of_several_rows_have_no_number_where_that_is_asked_for() {
    let text = "code,gdp\n510101,1\n510102,2\n510102,3\n";
    let asked = Asked { repeats: Repeats::LeaveOut, ..asked("gdp", None) };
    assert_eq!(numbers_of(&asked.of(text.as_bytes(), &ZONES).unwrap()), [("510101", 1.0)]);
    assert!(asked.of(b"code,gdp\n510101,1\n510101,3\n", &ZONES).is_err());
}

#[test]
fn separators_thousands_and_encodings_of_offices_are_read() {
    let table = "code;名称;gdp\n510101;锦江区;1.234,5\n510102;青羊区;12.000\n";
    for bytes in [table.as_bytes().to_vec(), GB18030.encode(table).0.into_owned()] {
        let found = asked("gdp", None).of(&bytes, &ZONES).unwrap();
        assert_eq!(numbers_of(&found), [("510101", 1234.5), ("510102", 12_000.0)]);
    }
    let found = asked("gdp", None).of(&GB18030.encode(table).0, &ZONES).unwrap();
    assert!(found.line.ends_with("; read as gb18030"), "{}", found.line);
    let found = read("code,gdp\n510101,\"1,234.5\"\n510102,\"12,000\"\n").unwrap();
    assert_eq!(numbers_of(&found), [("510101", 1234.5), ("510102", 12_000.0)]);
    let said = refused("code;gdp\n510101;1.234\n510102;12.000\n");
    assert!(
        said.contains("--official-decimal point or comma") && said.contains("line 2, found \"1.234\""),
        "{said}"
    );
}

#[test]
fn what_is_no_number_is_named_with_its_line_and_rows_of_no_zone_may_hold_anything() {
    assert_eq!(
        refused("code,gdp\n510101,2\n510102,many\n"),
        "want a number in column gdp of line 3, found \"many\""
    );
    assert_eq!(
        refused("code,gdp\n510101,2%\n510102,0.3\n"),
        "want a percent sign at all numbers or at none in column gdp of line 3, found \"0.3\""
    );
    assert_eq!(numbers_of(&read("code,gdp\n510101,2\nsource,of all\n").unwrap()), [("510101", 2.0)]);
}
