//! The demo's commands: what they make, what they leave alone, what a touched input or a changed setting re-makes.

use std::fs::File;
use std::time::SystemTime;

use crate::house::{COARSE, Place, alone, stdout};

/// The demo through the command that the README names, on coarser tiles to be quick.
#[test]
fn the_demo_makes_a_map_and_a_page_and_a_second_demo_runs_nothing() {
    let _turn = alone();
    let place = Place::new(&COARSE);
    let printed = place.made(&["demo"]);
    for heading in ["Tiles", "Classes", "Order of the clusters", "Scores", "Stages", "Look at"] {
        assert!(printed.contains(&format!("\n{heading}")), "no {heading} on the page:\n{printed}");
    }
    for file in
        ["heatmap.tif", "heatmap-colour.tif", "heatmap.png", "summary.txt", "report/index.html", "regions.md"]
    {
        let bytes = std::fs::read(place.path(&format!("out/accomack/{file}"))).unwrap();
        assert!(bytes.len() > 500, "{file} has {} bytes", bytes.len());
    }

    assert_eq!(place.make(&["-q", "AOI=accomack", "map"]).status.code(), Some(0));
    let again = place.made(&["demo"]);
    assert!(again.contains("Nothing to be done for 'made'"), "{again}");
    assert!(!again.contains("--out"), "the second demo ran a stage:\n{again}");

    touched_inputs_and_changed_settings(&place);
    wrong_settings_leave_the_old_results(&place);
    two_ranks(&place);
}

/// Five settings with which a stage refuses: what was made before stays to the byte, the stage is tried again at the next make, and what
/// went before is back with the right setting.
fn wrong_settings_leave_the_old_results(place: &Place) {
    let write = |name: &str, text: &str| {
        std::fs::write(place.path(name), text).unwrap();
        place.path(name).display().to_string()
    };
    let official = format!("OFFICIAL={}", write("official.csv", "zone,income\nA1,1\nA2,2\n"));
    let recording = format!("REPLAY={}", write("bad.jsonl", "{\"no\": \"recording\"}\n"));
    let cases: [(&[&str], &str); 5] = [
        (&["PIXEL_M=-1"], "heatmap-stitch map"),
        (&["COUNTIES_NAME=nmae"], "region-report report"),
        (&[&official, "OFFICIAL_KEY=zone", "OFFICIAL_VALUE=no_such"], "region-report report"),
        (&["STEPS=0"], "stage3-train train"),
        (&["JUDGE=replay", &recording], "vlm-label classify"),
    ];
    let old = place.hashes();
    for (wrong, stage) in cases {
        for _ in 0..2 {
            let output = place.make(&[&["heatmap-accomack"], wrong].concat());
            let last = stdout(&output).lines().last().unwrap_or_default().to_owned();
            assert!(!output.status.success() && last.contains(&format!("/{stage} ")), "{wrong:?}: {last}");
            let same = place.hashes().into_iter().filter(|(name, _)| old.contains_key(name)).eq(old.clone());
            assert!(same, "{wrong:?}: an old result is gone or another one");
        }
    }
    place.made(&["heatmap-accomack"]);
    let again = place.hashes();
    assert!(old.iter().all(|(name, hash)| again.get(name) == Some(hash)));
}

fn touched_inputs_and_changed_settings(place: &Place) {
    let cases: [(&[&str], &str, &[&str]); 4] = [
        (
            &[],
            "work/accomack/votes.parquet",
            &["pog-aggregate", "stage3-train train", "stage3-train score", "map"],
        ),
        (&[], "work/accomack/scores/T18SVG.parquet", &["map"]),
        (&["TITLE=Other"], "", &["map"]),
        (
            &["K_MAX=4"],
            "",
            &["stage1-cluster tiles", "vlm-label vote", "pog-aggregate", "stage3-train train"],
        ),
    ];
    let steps = [
        "s2-fetch fetch",
        "granule-split-mpi",
        "vlm-label classify",
        "stage1-cluster tiles",
        "vlm-label vote",
        "pog-aggregate",
        "stage3-train train",
        "stage3-train score",
        "heatmap-stitch map",
    ];
    for (knobs, touched, expected) in cases {
        let file = (!touched.is_empty()).then(|| File::open(place.path(touched)).unwrap());
        let before = file.as_ref().map(|file| file.metadata().unwrap().modified().unwrap());
        if let Some(file) = &file {
            file.set_modified(SystemTime::now()).unwrap();
        }
        let plan = place.made(&[&["-n", "heatmap-accomack"], knobs].concat());
        let run: Vec<&str> = steps.into_iter().filter(|step| plan.contains(&format!("/{step} "))).collect();
        let first = steps.iter().position(|step| step.ends_with(expected[0])).unwrap();
        assert_eq!(run, steps[first..], "after {knobs:?} {touched}");
        assert!(expected.iter().all(|step| run.iter().any(|run| run.ends_with(step))), "{run:?}");
        if let (Some(file), Some(before)) = (&file, before) {
            file.set_modified(before).unwrap();
        }
    }
}

fn two_ranks(place: &Place) {
    let tiles = place.path("work/accomack/tiles/T18SVG.parquet");
    let alone = contract::sha256_of(&tiles).unwrap();
    std::fs::remove_file(&tiles).unwrap();
    let output = place.make(&["AOI=accomack", "RANKS=2", &tiles.display().to_string()]);
    assert!(output.status.success() && stdout(&output).contains("-np 2"), "{}", stdout(&output));
    assert_eq!(contract::sha256_of(&tiles).unwrap(), alone);
}
