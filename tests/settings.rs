//! What settings, lists and names hold stays what it is: text for a program, never a command, and never a secret in a log.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::house::{Place, root, stderr, stdout};
use crate::stages::Fakes;

/// An area of its own, in a folder of areas, with programs that only write their names.
struct Area {
    folder: TempDir,
    fakes: Fakes,
}

impl Area {
    fn new(settings: &str, granules: &str) -> Self {
        let area = Self { folder: tempfile::tempdir().unwrap(), fakes: Fakes::new() };
        area.set(settings);
        fs::write(area.at("mine/granules.tsv"), granules).unwrap();
        area
    }

    fn set(&self, settings: &str) {
        fs::create_dir_all(self.at("mine")).unwrap();
        fs::write(self.at("mine/settings.mk"), settings).unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn place(&self) -> Place {
        Place::new(&[&self.fakes.knob(), &format!("AREAS={}", self.folder.path().display())])
    }
}

const PLAIN: &str = "CATALOGUE = c.json\nFROM = 2020-01-01\nTO = 2020-12-31\n";
const ONE: &str = "# granule\titem\nT48RVV\n";

/// Every text that a line of the shell could take for something else.
const TEXTS: [&str; 9] = [
    "people's income",
    "a \"b\" (c) [d] {e}",
    "x; touch HIT",
    "x && touch HIT || touch HIT & touch HIT",
    "`touch HIT` $(touch HIT) ${HIT:=1}",
    "a > HIT < HIT | tee HIT",
    "# no comment \\ no end \\n",
    "* ? ~ ! ^ = % @ -x --out",
    "人均地区生产总值（元/人）, 'ü'",
];

#[test]
fn every_text_reaches_its_program_as_it_is_and_the_shell_never() {
    for text in TEXTS {
        let made = text.replace('$', "$$").replace('#', "\\#");
        let names =
            ["TITLE", "CREDIT", "COLLECTION", "MAX_CLOUD_SHARE", "TILE_PX", "SEED", "STEPS", "PIXEL_M"];
        let settings: String = names.map(|name| format!("{name} = {made}\n")).concat();
        let area = Area::new(&format!("{PLAIN}{settings}"), ONE);
        let place = area.place();
        place.made(&["heatmap-mine"]);
        for (program, flag) in [("heatmap-stitch map", "--title"), ("s2-fetch fetch", "--collection")] {
            let words = area.fakes.words(program);
            let value = words.iter().skip_while(|word| *word != flag).nth(1);
            assert_eq!(value.map(String::as_str), Some(text), "{program} {flag}: {words:?}");
        }
        for hit in [root().join("HIT"), place.path("HIT"), area.at("HIT")] {
            assert!(!hit.exists(), "{text}: a command ran");
        }
        let again = place.made(&["heatmap-mine"]);
        assert!(again.contains("Nothing to be done for 'made'"), "{text}: {again}");
    }
}

#[test]
fn a_path_may_hold_quotes_and_parentheses() {
    let area = Area::new(PLAIN, ONE);
    let zones = area.at("o'brien \"(1)\" & co.geojson".replace(' ', "_").as_str());
    fs::write(&zones, "{}").unwrap();
    area.set(&format!("{PLAIN}COUNTIES = {}\n", zones.display()));
    let place = area.place();
    place.made(&["heatmap-mine"]);
    assert!(area.fakes.words("region-report report").contains(&zones.display().to_string()));
    let quoted = format!("OUT={}", place.path("o'ut").display());
    place.made(&["heatmap-mine", &quoted]);
    assert!(place.path("o'ut/mine/heatmap.tif").exists());
}

#[test]
fn a_list_of_granules_holds_ids_and_nothing_else() {
    let area = Area::new(PLAIN, ONE);
    let (hit, place) = (area.at("hit"), area.place());
    let hit_text = hit.display();
    let refused = [
        format!("T18SVG\tx>{hit_text}"),
        format!("T18SVG\t$(shell touch {hit_text})"),
        format!("T18SVG\t`touch {hit_text}`"),
        format!("T18SVG;touch {hit_text}"),
        "../../../../hit\tx".into(),
        "/abs".into(),
        "-rf".into(),
        "T18SVG item".into(),
        "T18SVG\t-x".into(),
        "T18SVG\nT18svg".into(),
        format!("{}\tx", "a".repeat(300)),
    ];
    for line in refused {
        fs::write(area.at("mine/granules.tsv"), format!("# granule\titem\n{line}\n")).unwrap();
        let output = place.make(&["AOI=mine", "scenes"]);
        let text = stderr(&output);
        assert!(!output.status.success() && text.contains("granules.tsv: line "), "{line}: {text}");
        assert_eq!(text.trim_end().lines().count(), 1, "{line}: {text}");
        assert!(!hit.exists() && !place.path("work").exists(), "{line}");
    }
    let taken = "\u{feff}# granule\titem\r\nT48RVV\tS2A_x.SAFE:1\r\n\r\nT48RUV \r\n";
    fs::write(area.at("mine/granules.tsv"), taken).unwrap();
    place.made(&["AOI=mine", "scenes"]);
    assert!(place.path("raw/mine/T48RUV.tif").exists());
    assert!(
        stdout(&place.make(&["-n", "AOI=mine", "REFRESH=yes", "scenes"])).contains("--item S2A_x.SAFE:1")
    );
}

#[test]
fn a_setting_that_is_none_is_refused_with_the_nearest_that_is() {
    let area = Area::new(PLAIN, ONE);
    let place = area.place();
    let near = [("TYPO_KNOB=3", ""), ("STEP=3", "did you mean STEPS?"), ("title=x", "did you mean TITLE?")];
    for (knob, said) in
        near.into_iter().chain([("work=x", "WORK"), ("Z=1", ""), ("COUNTIES_NAM=x", "COUNTIES_NAME?")])
    {
        let name = knob.split('=').next().unwrap();
        let on_line = place.make(&["-n", "heatmap-mine", knob]);
        area.set(&format!("{PLAIN}{knob}\n"));
        let in_file = place.make(&["-n", "heatmap-mine"]);
        area.set(PLAIN);
        for (output, place) in [(on_line, "on the command line"), (in_file, "mine/settings.mk")] {
            let text = stderr(&output);
            assert!(
                !output.status.success() && text.contains(&format!("{name}: no such setting ")),
                "{knob}: {text}"
            );
            assert!(text.contains(place) && text.contains(said), "{knob}: {text}");
        }
    }
    // Every setting that the documents name is one.
    let readme = fs::read_to_string(root().join("data/aoi/README.md")).unwrap();
    let rows =
        readme.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
    let is_name = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let names: Vec<String> =
        rows.flat_map(|row| row.split('`')).filter(is_name).map(|name| format!("{name}=")).collect();
    assert!(names.len() > 70, "saw {}", names.len());
    let harmless = |name: &&String| !["AREAS=", "WORK=", "RAW=", "OUT="].contains(&name.as_str());
    let knobs: Vec<&str> = names.iter().filter(harmless).map(String::as_str).collect();
    place.made(&[&["help"], &knobs[..]].concat());
}

#[test]
fn a_name_that_make_cannot_hold_is_refused_in_one_line() {
    let area = Area::new(PLAIN, ONE);
    fs::create_dir(area.at("my area")).unwrap();
    fs::write(area.at("my area/settings.mk"), PLAIN).unwrap();
    let place = area.place();
    let cases = [
        ("AOI=my area", "found my area"),
        ("AOI=../mine", "found ../mine"),
        ("TRAINED_IN=a b", "TRAINED_IN: want"),
        ("ZONES=a/b", "ZONES: want"),
        ("COUNTIES=my zones.geojson", "COUNTIES: want one path without spaces"),
        ("OUT=a;b", "OUT: want a path without ;"),
        ("SUPPLIED=a:b c", "SUPPLIED: want a path without :"),
        ("BASELINES=x=a%b", "want a path without %"),
        ("NIGHT_LIGHTS=~/x.tif", "NIGHT_LIGHTS: want a path without ~"),
        ("BEFORE=nowhere", "nowhere: no such area"),
    ];
    for (knob, said) in cases {
        let output = place.make(&["AOI=mine", knob, "map"]);
        let text = stderr(&output);
        assert!(!output.status.success() && text.contains(said), "{knob}: {text}");
        assert_eq!(text.trim_end().lines().count(), 1, "{knob}: {text}");
    }
    let text = stderr(&place.make(&["heatmap-my area"]));
    assert!(text.contains("a folder with a space") && text.trim_end().lines().count() == 1, "{text}");
    assert!(place.made(&["help"]).contains("Areas: mine\n"));
    for (settings, granules, said) in
        [("FROM = 2020-01-01\n", ONE, "want CATALOGUE"), (PLAIN, "# none\n", "want a granule a line")]
    {
        area.set(settings);
        fs::write(area.at("mine/granules.tsv"), granules).unwrap();
        let text = stderr(&place.make(&["AOI=mine", "scenes"]));
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn a_catalogues_password_and_token_stand_nowhere_and_reach_the_program() {
    let address = "https://user:PWSECRET@example.org/v1/c.json?sig=SIGSECRET&apikey=PWSECRET#SIGSECRET";
    for (more, settings) in [
        (vec![], format!("{PLAIN}CATALOGUE = {}\n", address.replace('#', "\\#"))),
        (vec![format!("CATALOGUE={address}")], PLAIN.to_owned()),
    ] {
        let area = Area::new(&settings, ONE);
        let place = area.place();
        let flags: Vec<&str> = more.iter().map(String::as_str).collect();
        let output = place.make(&[&["AOI=mine", "scenes"], &flags[..]].concat());
        let said = stdout(&output)
            + &stderr(&output)
            + &stdout(&place.make(&[&["-n", "AOI=mine", "REFRESH=yes", "scenes"], &flags[..]].concat()));
        assert!(output.status.success(), "{said}");
        assert!(area.fakes.words("s2-fetch fetch").contains(&address.to_owned()));
        assert!(said.contains("--catalogue \"$catalogue_with_secrets\""), "{said}");
        let kept = fs::read_to_string(place.path("work/mine/flags/fetch-T48RVV")).unwrap();
        assert!(kept.contains("https://...@example.org/v1/c.json?..."), "{kept}");
        assert!(!(said + &kept + &everything(&place.path(""))).contains("SECRET"));
        // A renewed token fetches nothing anew.
        let renewed = format!("CATALOGUE={}", address.replace("SIGSECRET", "NEWSECRET"));
        assert_eq!(place.make(&["-q", "AOI=mine", "scenes", &renewed]).status.code(), Some(0));
    }
}

/// The text of all files below a folder.
fn everything(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { everything(&path) } else { fs::read_to_string(&path).unwrap() })
        .collect()
}
