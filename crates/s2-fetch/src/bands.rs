//! What a name says that a file or a band holds: ESA's names of Sentinel-2's bands, the common names of STAC, and the spellings of providers.
//!
//! `B04`, `b4`, `B04_10m`, `red`, `red-jp2`, `nbart_red`, `T48RVV_20230131T033959_B04_10m` are one band; `visual`, `TCI`, `TCI_10m` one picture.
//!
//! Left out: bands of other satellites. A name that could be two bands (`rededge`) says nothing.

/// What a file, or a band of one, holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Reflectance of one band, by ESA's name for it: `B04`.
    Band(&'static str),
    /// A true-colour picture of three bands.
    Picture,
    /// One colour of such a picture: `red`.
    Colour(&'static str),
    /// The scene classification.
    Classes,
    /// Something else that is known: aerosol, water vapour, probabilities, previews.
    Other(&'static str),
}

/// ESA's name, STAC's common name, and further spellings without separators.
const BANDS: [(&str, &str, &[&str]); 13] = [
    ("B01", "coastal", &["coastalaerosol", "ultrablue"]),
    ("B02", "blue", &[]),
    ("B03", "green", &[]),
    ("B04", "red", &[]),
    ("B05", "rededge1", &["rededge071"]),
    ("B06", "rededge2", &["rededge075"]),
    ("B07", "rededge3", &["rededge078"]),
    ("B08", "nir", &["nir1"]),
    ("B8A", "nir08", &["nir2", "nirnarrow", "narrownir"]),
    ("B09", "nir09", &[]),
    ("B10", "cirrus", &[]),
    ("B11", "swir16", &["swir1"]),
    ("B12", "swir22", &["swir2"]),
];

/// Other files, spelled without separators.
const FILES: [(Content, &[&str]); 11] = [
    (Content::Picture, &["tci", "visual", "truecolor", "truecolour", "rgb"]),
    (Content::Colour("red"), &["tcir"]),
    (Content::Colour("green"), &["tcig"]),
    (Content::Colour("blue"), &["tcib"]),
    (Content::Classes, &["scl", "sceneclassification", "sceneclassificationmap", "classification"]),
    (Content::Other("aerosol"), &["aot"]),
    (Content::Other("water vapour"), &["wvp"]),
    (Content::Other("cloud"), &["cld", "cloud", "clouds", "mskcldprb"]),
    (Content::Other("snow"), &["snw", "snow", "msksnwprb"]),
    (Content::Other("preview"), &["pvi", "preview", "renderedpreview", "overview", "thumbnail", "quicklook"]),
    (Content::Other("quality"), &["qa10", "qa20", "qa60", "datamask", "mskclassi", "fmask"]),
];

/// What a name says, whatever its case, separators, resolution and format. `None` where it says nothing, or several things.
pub(crate) fn of_name(name: &str) -> Option<Content> {
    let lower = name.to_ascii_lowercase();
    let tokens: Vec<&str> = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|token| !token.is_empty() && !is_form(token))
        .collect();
    if let Some(content) = exactly(&tokens.concat()) {
        return Some(content);
    }
    // A longer name, as products have: a band's number or a file's code anywhere, a colour at the end.
    let mut codes = tokens.iter().filter_map(|token| code(token));
    match (codes.next(), codes.next()) {
        (Some(content), None) => Some(content),
        (None, None) => {
            let (last, before) = tokens.split_last()?;
            let part_of_another =
                before.last().is_some_and(|token| ["infra", "near", "edge"].contains(token));
            exactly(last).filter(|_| !part_of_another && !before.is_empty())
        }
        _ => None,
    }
}

/// What a band of a file is by its name and its common name. ESA's two digits say it best; a common name that several bands share says nothing.
pub(crate) fn of_band(name: Option<&str>, common: Option<&str>) -> Option<Content> {
    let esa = name.and_then(|name| BANDS.iter().find(|band| band.0.eq_ignore_ascii_case(name)));
    if let Some((esa, ..)) = esa {
        return Some(Content::Band(esa));
    }
    common.and_then(of_name).or_else(|| name.and_then(of_name))
}

/// Whether names of bands are all ESA's own, or all common ones: later stages know each set, and no mixture.
pub(crate) fn are_plain<'a>(names: impl Iterator<Item = &'a str> + Clone) -> bool {
    let all = |is: fn(&(&str, &str, &[&str]), &str) -> bool| {
        names.clone().all(|name| BANDS.iter().any(|band| is(band, name)))
    };
    all(|band, name| band.0 == name) || all(|band, name| band.1 == name)
}

/// The resolution that a name ends with: `B04_20m`, `R10m`.
pub(crate) fn resolution_m(name: &str) -> Option<u32> {
    let lower = name.to_ascii_lowercase();
    lower.split(|c: char| !c.is_ascii_alphanumeric()).rev().find_map(metres)
}

fn metres(token: &str) -> Option<u32> {
    let digits = token.strip_suffix('m')?;
    digits.strip_prefix('r').unwrap_or(digits).parse().ok().filter(|m| (1..=1000).contains(m))
}

/// Parts of a name that say in what form a file is, and not what it holds.
fn is_form(token: &str) -> bool {
    metres(token).is_some() || ["jp2", "cog", "tif", "tiff"].contains(&token)
}

fn exactly(flat: &str) -> Option<Content> {
    let named = |names: &[&str]| names.contains(&flat);
    let band =
        || BANDS.iter().find(|(_, common, more)| flat == *common || named(more)).map(|b| Content::Band(b.0));
    code(flat).or_else(band).or_else(|| FILES.iter().find(|(_, names)| named(names)).map(|file| file.0))
}

/// A band's number, or a file's code of three letters.
fn code(token: &str) -> Option<Content> {
    if let Some(number) = token.strip_prefix('b') {
        let plain = |esa: &str| {
            let full = esa[1..].to_ascii_lowercase();
            number == full
                || number == full.trim_start_matches('0')
                || number.strip_prefix('0') == Some(full.as_str())
        };
        return BANDS.iter().find(|band| plain(band.0)).map(|band| Content::Band(band.0));
    }
    if token.len() != 3 || token == "rgb" {
        return None;
    }
    FILES.iter().find(|(_, names)| names.contains(&token)).map(|file| file.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_band_is_the_same_band_in_every_providers_spelling() {
        let spellings = [
            "B04",
            "b04",
            "B4",
            "red",
            "RED",
            "red-jp2",
            "B04_10m",
            "B04-20m",
            "R10m/B04",
            "nbart_red",
            "SR_B4",
            "OLI_B4",
            "T48RVV_20230131T033959_B04_10m",
            "S2B_48RVV_20230131_0_L2A_B04",
            "TOC-B04_10M",
            "scene_red",
            "B04.tif",
        ];
        for text in spellings {
            assert_eq!(of_name(text), Some(Content::Band("B04")), "{text}");
        }
        for (text, esa) in [
            ("B8A", "B8A"),
            ("b8a_20m", "B8A"),
            ("nir08", "B8A"),
            ("B08", "B08"),
            ("nir", "B08"),
            ("red_edge_1", "B05"),
            ("rededge075", "B06"),
            ("swir22-jp2", "B12"),
            ("nir09", "B09"),
            ("B1", "B01"),
            ("B10", "B10"),
            ("B08A", "B8A"),
        ] {
            assert_eq!(of_name(text), Some(Content::Band(esa)), "{text}");
        }
    }

    #[test]
    fn pictures_classes_and_previews_are_no_reflectance() {
        for (text, content) in [
            ("visual", Content::Picture),
            ("TCI_10m", Content::Picture),
            ("T13TDE_20240825T173909_TCI_10m", Content::Picture),
            ("TCI_R", Content::Colour("red")),
            ("SCL_20m", Content::Classes),
            ("scl", Content::Classes),
            ("L2A_PVI", Content::Other("preview")),
            ("MSK_CLDPRB", Content::Other("cloud")),
            ("AOT_10m", Content::Other("aerosol")),
        ] {
            assert_eq!(of_name(text), Some(content), "{text}");
        }
    }

    #[test]
    fn a_name_that_is_nothing_or_several_things_says_nothing() {
        for text in [
            "",
            "data",
            "rededge",
            "near_infra_red",
            "B04_B03_B02",
            "B13",
            "B",
            "Gray",
            "band_1",
            "é",
            "B99x",
        ] {
            assert_eq!(of_name(text), None, "{text}");
        }
        assert_eq!(of_band(Some("B1"), Some("red")), Some(Content::Band("B04")), "a number of a file's own");
        assert_eq!(of_band(Some("B05"), Some("rededge")), Some(Content::Band("B05")));
        assert_eq!(of_band(Some("B8A"), Some("nir")), Some(Content::Band("B8A")), "ESA's name says it best");
        assert_eq!(of_band(None, None), None);
    }

    #[test]
    fn a_resolution_is_read_from_the_end_of_a_name() {
        for (text, metres) in
            [("B04_10m", Some(10)), ("B04-20M", Some(20)), ("R60m", Some(60)), ("B04", None), ("m", None)]
        {
            assert_eq!(resolution_m(text), metres, "{text}");
        }
    }
}
