//! Codes of zones against codes of a table of statistics, which programs on the way have changed: blanks, full-width digits, `510101.0`,
//! `1001` for `01001`, `510101000000` for `510101`.
//!
//! Equal codes meet first. A looser rule is taken only if it joins more zones, and only if no two zones become the same under it.
//! Left out: names of places, which differ between sources by more than blanks.

use std::collections::{BTreeMap, BTreeSet};

use crate::numerals::tidy;

/// How codes were compared. Each takes what the one before it takes too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// As they are.
    Equal,
    /// Without blanks around them, an apostrophe before them, or full-width letters.
    Tidy,
    /// Also without the `.0` of a spreadsheet.
    Whole,
    /// Also without leading zeros; one side has codes of one length.
    LeadingZeros,
    /// The longer ones without the zeros that the shorter ones lack; each side has codes of one length.
    TrailingZeros,
}

impl Rule {
    const ALL: [Rule; 5] = [Rule::Equal, Rule::Tidy, Rule::Whole, Rule::LeadingZeros, Rule::TrailingZeros];

    /// For a line to a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::Equal => "equal codes",
            Self::Tidy => "codes without blanks and full-width letters",
            Self::Whole => "codes without the .0 of a spreadsheet",
            Self::LeadingZeros => "codes without leading zeros",
            Self::TrailingZeros => "the longer codes without the zeros at their end",
        }
    }
}

/// Which zone each row of the table is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The rule that was used.
    pub rule: Rule,
    /// The zone's id of each key, none where it meets no zone.
    pub zone_of: Vec<Option<String>>,
}

/// Two zones that one rule, the only one that joins anything, takes for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguous {
    /// The rule.
    pub rule: Rule,
    /// The zones.
    pub zones: [String; 2],
}

/// Lengths by which codes of divisions of one country differ: three digits at least. A single digit is a lost zero at the front.
const MIN_SURPLUS: usize = 3;

/// Finds the zone of each key.
///
/// # Errors
/// [`Ambiguous`] if nothing but an ambiguous rule joins anything.
pub fn join(zones: &[&str], keys: &[&str]) -> Result<Joined, Ambiguous> {
    let ids: BTreeSet<&str> = zones.iter().copied().collect();
    let mut best = Joined { rule: Rule::Equal, zone_of: vec![None; keys.len()] };
    let (mut most, mut ambiguous) = (0, None);
    for rule in Rule::ALL {
        let Some(forms) = Forms::of(rule, &ids, keys) else { continue };
        let (mut by_form, mut twice) = (BTreeMap::<String, &str>::new(), None);
        for id in &ids {
            if let Some(other) = by_form.insert(forms.of_zone(id), id) {
                twice = Some([other.to_owned(), (*id).to_owned()]);
            }
        }
        let zone_of: Vec<Option<&str>> =
            keys.iter().map(|key| by_form.get(&forms.of_key(key)?).copied()).collect();
        let n = zone_of.iter().flatten().collect::<BTreeSet<_>>().len();
        match twice {
            Some(zones) if n > 0 => ambiguous = ambiguous.or(Some(Ambiguous { rule, zones })),
            None if n > most => {
                most = n;
                let owned = |id: Option<&str>| id.map(str::to_owned);
                best = Joined { rule, zone_of: zone_of.into_iter().map(owned).collect() };
            }
            _ => {}
        }
    }
    match ambiguous {
        Some(ambiguous) if most == 0 => Err(ambiguous),
        _ => Ok(best),
    }
}

/// What a rule makes of codes.
struct Forms {
    rule: Rule,
    /// Lengths of the codes of zones and keys, for [`Rule::TrailingZeros`].
    lengths: (usize, usize),
}

impl Forms {
    /// None where the rule does not apply to codes of these lengths.
    fn of(rule: Rule, ids: &BTreeSet<&str>, keys: &[&str]) -> Option<Self> {
        let zones = one_length(ids.iter().copied());
        let keys = one_length(keys.iter().copied());
        let lengths = match rule {
            Rule::LeadingZeros => zones.or(keys).map(|length| (length, length))?,
            Rule::TrailingZeros => {
                let (zones, keys) = (zones?, keys?);
                (zones.abs_diff(keys) >= MIN_SURPLUS).then_some((zones, keys))?
            }
            _ => (0, 0),
        };
        Some(Self { rule, lengths })
    }

    fn of_zone(&self, code: &str) -> String {
        let (own, other) = self.lengths;
        self.form(code, own, other)
    }

    /// None for a key that is no code.
    fn of_key(&self, code: &str) -> Option<String> {
        let (other, own) = self.lengths;
        (!tidy(code).is_empty()).then(|| self.form(code, own, other))
    }

    fn form(&self, code: &str, own: usize, other: usize) -> String {
        match self.rule {
            Rule::Equal => code.to_owned(),
            Rule::Tidy => tidied(code),
            Rule::Whole => whole(code),
            Rule::LeadingZeros => {
                let code = whole(code);
                let short = code.trim_start_matches('0');
                if is_number(&code) && !short.is_empty() { short.to_owned() } else { code }
            }
            Rule::TrailingZeros => {
                let code = whole(code);
                match code.split_at_checked(other) {
                    Some((short, rest))
                        if code.len() == own && is_number(&code) && rest.bytes().all(|b| b == b'0') =>
                    {
                        short.to_owned()
                    }
                    _ => code,
                }
            }
        }
    }
}

fn tidied(code: &str) -> String {
    let code = tidy(code);
    code.strip_prefix('\'').unwrap_or(&code).trim().to_owned()
}

/// A code that a spreadsheet turned into a decimal number, as `510104.0`, without its fraction.
fn whole(code: &str) -> String {
    let code = tidied(code);
    match code.split_once('.') {
        Some((whole, zeros)) if is_number(whole) && zeros.bytes().all(|b| b == b'0') => whole.to_owned(),
        _ => code,
    }
}

fn is_number(code: &str) -> bool {
    !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit())
}

/// The length that all codes of digits have; none where they differ or there are none.
fn one_length<'a>(codes: impl Iterator<Item = &'a str>) -> Option<usize> {
    let mut lengths = codes.map(whole).filter(|code| is_number(code)).map(|code| code.len());
    let first = lengths.next()?;
    lengths.all(|length| length == first).then_some(first)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn found(zones: &[&str], keys: &[&str]) -> (Rule, Vec<Option<String>>) {
        let joined = join(zones, keys).unwrap();
        (joined.rule, joined.zone_of)
    }

    fn some(ids: &[&str]) -> Vec<Option<String>> {
        ids.iter().map(|id| (!id.is_empty()).then(|| (*id).to_owned())).collect()
    }

    #[test]
    fn each_way_in_which_codes_are_changed_has_its_rule() {
        let zones = ["01001", "01003", "10001"];
        assert_eq!(found(&zones, &["10001", "01001"]), (Rule::Equal, some(&["10001", "01001"])));
        assert_eq!(found(&zones, &[" 01001", "'01003", "１０００１"]), (Rule::Tidy, some(&zones)));
        assert_eq!(
            found(&zones, &["01001.0", "x", "01003.00"]),
            (Rule::Whole, some(&["01001", "", "01003"]))
        );
        assert_eq!(found(&zones, &["1001", "1003.0", "10001"]), (Rule::LeadingZeros, some(&zones)));
        let keys = ["010010000000", "010030000000", "010030001000"];
        assert_eq!(found(&zones, &keys), (Rule::TrailingZeros, some(&["01001", "01003", ""])));
        assert_eq!(found(&keys[..2], &["01003"]), (Rule::TrailingZeros, some(&["010030000000"])));
        assert_eq!(
            found(&["1", "2", "10"], &["01", "02", "10"]),
            (Rule::LeadingZeros, some(&["1", "2", "10"]))
        );
    }

    #[test]
    fn equal_codes_stay_where_a_looser_rule_joins_no_more() {
        assert_eq!(found(&["1", "2"], &["1", "2", "02"]), (Rule::Equal, some(&["1", "2", ""])));
        assert_eq!(found(&["a", "a"], &["a"]), (Rule::Equal, some(&["a"])), "an id may stand for two parts");
        assert_eq!(found(&["a"], &["", " ", "b"]), (Rule::Equal, some(&["", "", ""])));
    }

    #[test]
    fn a_rule_that_takes_two_zones_for_one_is_not_used_and_named_where_nothing_else_joins() {
        let two = Ambiguous { rule: Rule::LeadingZeros, zones: ["07".into(), "7".into()] };
        assert_eq!(join(&["7", "07"], &["007"]), Err(two));
        assert_eq!(found(&["7", "07"], &["7", "007"]).0, Rule::Equal);
    }

    #[test]
    fn a_lost_zero_at_the_front_is_never_taken_for_one_at_the_end() {
        assert_eq!(found(&["10010"], &["1001"]), (Rule::Equal, some(&[""])));
        assert_eq!(
            found(&["100100"], &["1001"]),
            (Rule::Equal, some(&[""])),
            "two zeros are no division's code"
        );
        assert_eq!(
            found(&["12", "345"], &["012", "0345"]).1,
            some(&["", ""]),
            "no side has codes of one length"
        );
    }
}
