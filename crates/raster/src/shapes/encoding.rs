//! In which encoding a text is written that does not say so.
//!
//! UTF-8 is certain where it decodes. UTF-16 shows by its mark or by the zeros beside plain letters. Of the double-byte encodings only GBK (and
//! GB18030, which holds it) is guessed: text in it consists of the two planes of characters that GB 2312 has, text in western encodings, Shift-JIS or
//! Big5 does not. Left out: telling Korean's EUC-KR from Chinese where both are possible; such text stays undecided.

use encoding_rs::{Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE};

/// Two-byte characters that must be of GB 2312's for a text to be GBK, of all there are.
const LEAST_COMMON_SHARE: f64 = 2.0 / 3.0;
/// Fewer characters than this do not show that a text is Korean.
const LEAST_KOREAN: usize = 6;
/// The bytes of 区, a part of most Chinese names of districts, and of no usual Korean syllable.
const DISTRICT: [u8; 2] = [0xC7, 0xF8];

/// The encoding of a text that is not plain UTF-8, if it can be told.
pub fn guess(bytes: &[u8]) -> Option<&'static Encoding> {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return Some(encoding);
    }
    if std::str::from_utf8(bytes).is_ok() {
        return Some(UTF_8);
    }
    utf_16(bytes).or_else(|| is_gbk(bytes).then_some(GB18030))
}

/// UTF-16 without a mark: its first character is plain, so one of its first two bytes is zero.
pub fn utf_16(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes {
        [0, letter, 0, _, ..] if *letter != 0 => Some(UTF_16BE),
        [letter, 0, _, 0, ..] if *letter != 0 => Some(UTF_16LE),
        _ => None,
    }
}

/// The text, if all of it decodes; a mark of the encoding at its start is left out.
pub fn decode(bytes: &[u8], encoding: &'static Encoding) -> Option<String> {
    let (text, _, damaged) = encoding.decode(bytes);
    (!damaged).then(|| text.into_owned())
}

/// The encoding that a shapefile's `.cpg` names: a code page, or a name with or without a word before it.
pub fn of_code_page(text: &str) -> Option<&'static Encoding> {
    let text = text.trim().trim_start_matches('\u{feff}').to_ascii_lowercase();
    let name = ["ansi", "oem", "cp", "windows-", "ms"]
        .iter()
        .find_map(|word| text.strip_prefix(word))
        .unwrap_or(&text)
        .trim_start_matches([' ', '_', '-']);
    let label = match name {
        "936" => "gbk",
        "54936" => "gb18030",
        "950" => "big5",
        "932" => "shift_jis",
        "949" => "euc-kr",
        "65001" => "utf-8",
        "866" => "ibm866",
        page if page.len() == 4 && page.starts_with("125") => return labelled(&format!("windows-{page}")),
        page if page.starts_with("8859") => {
            return labelled(&format!("iso-8859-{}", page[4..].trim_start_matches(['-', '_'])));
        }
        _ => return labelled(&text),
    };
    labelled(label)
}

fn labelled(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label(label.replace("iso 8859", "iso-8859-").replace("--", "-").as_bytes())
}

/// The encoding that the byte for the language driver in a DBF's header names. What programs write without thinking names none.
pub fn of_language_driver(id: u8) -> Option<&'static Encoding> {
    let label = match id {
        0x4D | 0x7A => "gbk",
        0x4F | 0x78 => "big5",
        0x4E | 0x79 => "euc-kr",
        0x13 | 0x7B => "shift_jis",
        0x03 => "windows-1252",
        0xC8 => "windows-1250",
        0xC9 => "windows-1251",
        0x26 | 0x65 => "ibm866",
        _ => return None,
    };
    Encoding::for_label(label.as_bytes())
}

fn is_gbk(bytes: &[u8]) -> bool {
    if decode(bytes, GB18030).is_none() {
        return false;
    }
    let (mut n, mut n_common, mut n_beyond_korean) = (0_usize, 0_usize, 0_usize);
    let mut rest = bytes;
    while let [lead, tail @ ..] = rest {
        let [second, after @ ..] = tail else { break };
        if *lead < 0x80 {
            rest = tail;
            continue;
        }
        rest = after;
        n += 1;
        let ideograph = (0xB0..=0xF7).contains(lead) && *second >= 0xA1;
        let sign = (0xA1..=0xA3).contains(lead) && *second >= 0xA1;
        n_common += usize::from(ideograph || sign);
        n_beyond_korean += usize::from(ideograph && *lead > 0xC8 || [*lead, *second] == DISTRICT);
    }
    let korean = n >= LEAST_KOREAN && n_beyond_korean == 0;
    n > 0 && n_common as f64 >= LEAST_COMMON_SHARE * n as f64 && !korean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str, label: &str) -> Option<&'static str> {
        let encoding = Encoding::for_label(label.as_bytes()).expect("a label");
        guess(&encoding.encode(text).0).map(Encoding::name)
    }

    #[test]
    fn chinese_names_in_gbk_are_told_from_other_scripts_in_other_encodings() {
        let chinese = r#"{"name":"锦江区"},{"name":"青羊区"},{"name":"阿坝藏族羌族自治州"}"#;
        assert_eq!(named(chinese, "gbk"), Some("gb18030"));
        assert_eq!(named("锦江区", "gbk"), Some("gb18030"));
        assert_eq!(named(chinese, "utf-8"), Some("UTF-8"));
        for (text, label) in [
            ("Orléans, Besançon, Évreux, Saint-Étienne", "windows-1252"),
            ("강원도 양구군, 인제군, 평창군", "euc-kr"),
            ("東京都 さいたま市 カナガワ", "shift_jis"),
            ("臺北市 新竹縣 花蓮縣 高雄市 澎湖縣", "big5"),
            ("Łódź, Kraków, Wrocław, Gdańsk", "windows-1250"),
        ] {
            assert_eq!(named(text, label), None, "{text} in {label}");
        }
    }

    #[test]
    fn utf_16_shows_by_its_mark_or_by_zeros() {
        let text = r#"{"a":"锦江"}"#;
        let wide = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        for (bytes, name) in [(wide(u16::to_le_bytes), "UTF-16LE"), (wide(u16::to_be_bytes), "UTF-16BE")] {
            let encoding = guess(&bytes).expect("it is UTF-16");
            assert_eq!((encoding.name(), decode(&bytes, encoding).as_deref()), (name, Some(text)));
        }
        let marked: Vec<u8> = [0xFF, 0xFE].into_iter().chain(wide(u16::to_le_bytes)).collect();
        assert_eq!(guess(&marked).and_then(|e| decode(&marked, e)).as_deref(), Some(text));
    }

    #[test]
    fn code_pages_are_known_by_the_names_that_programs_give_them() {
        for (text, name) in [
            ("UTF-8", "UTF-8"),
            ("65001", "UTF-8"),
            ("936", "GBK"),
            ("CP936\n", "GBK"),
            ("ANSI 936", "GBK"),
            ("GB18030", "gb18030"),
            ("Big5", "Big5"),
            ("ANSI 1252", "windows-1252"),
            ("1251", "windows-1251"),
            ("ISO-8859-1", "windows-1252"),
            ("ISO 88592", "ISO-8859-2"),
            ("88592", "ISO-8859-2"),
        ] {
            assert_eq!(of_code_page(text).map(Encoding::name), Some(name), "{text}");
        }
        assert!(of_code_page("no such page").is_none());
        assert_eq!(of_language_driver(0x4D).map(Encoding::name), Some("GBK"));
        assert!(of_language_driver(0x57).is_none(), "programs write it whatever the text is");
    }
}
