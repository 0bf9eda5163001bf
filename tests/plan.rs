//! What Make would do.

use crate::house::{Place, STAGES, root, stderr, stdout};

#[test]
fn the_plan_of_sichuan_names_all_sixty_granules_and_every_stage() {
    let place = Place::new(&[]);
    let (plan, raw) = (place.made(&["-n", "heatmap-sichuan"]), place.path("raw").join("sichuan"));
    let granules = std::fs::read_to_string(root().join("data/aoi/sichuan/granules.tsv")).unwrap();
    let granules: Vec<&str> = granules
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split('\t').next())
        .collect();
    assert_eq!(granules.len(), 60);
    for granule in &granules {
        let classes = raw.join(format!("{granule}.scl.tif"));
        let classes = classes.display();
        for step in [
            format!("s2-fetch fetch --granule {granule} "),
            format!("--scl-out {classes}"),
            format!("--granule {granule} --tile-px 343 --edge drop --scl {classes}"),
            format!("/labels/{granule}.parquet\n"),
            format!("/scores/{granule}.parquet\n"),
        ] {
            assert!(plan.contains(&step), "no `{}` in the plan", step.trim());
        }
    }
    for stage in STAGES {
        assert!(plan.contains(&format!("/{stage} ")), "no {stage} in the plan");
    }
    let run = |stage: &str| plan.lines().filter(|line| line.contains(&format!("/{stage}"))).count();
    assert_eq!((run("s2-fetch fetch"), run("heatmap-stitch map"), run("viirs-corr ")), (60, 1, 1));
}

#[test]
fn a_missing_night_light_file_fails_before_anything_is_fetched() {
    let place = Place::new(&[]);
    let output = place.make(&["heatmap-sichuan"]);
    let text = stderr(&output);
    assert!(
        !output.status.success() && text.contains("viirs_vnl_sichuan.tif: want this file, found none"),
        "{text}"
    );
    assert!(!stdout(&output).contains("s2-fetch") && !place.path("raw").exists());
}

#[test]
fn an_unknown_area_is_named_with_those_that_exist() {
    let output = Place::new(&[]).make(&["heatmap-atlantis"]);
    let text = stderr(&output);
    assert!(!output.status.success() && text.contains("atlantis: no such area; there are:"), "{text}");
    assert!(text.contains("accomack") && text.contains("sichuan"), "{text}");
}

#[test]
fn every_area_has_a_plan_a_boundary_and_a_title() {
    let mut n_areas = 0;
    for entry in std::fs::read_dir(root().join("data/aoi")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let boundary = std::fs::read_to_string(folder.join("boundary.geojson")).unwrap();
        let boundary: serde_json::Value = serde_json::from_str(&boundary).unwrap();
        let ring = boundary["geometry"]["coordinates"][0].as_array().unwrap();
        assert!(ring.len() >= 4 && ring.first() == ring.last(), "{name}: the boundary is not closed");
        let plan = Place::new(&[]).made(&["-n", &format!("heatmap-{name}")]);
        assert!(plan.contains("heatmap-stitch map") && plan.contains("--title 'Development score"), "{name}");
        n_areas += 1;
    }
    assert_eq!(n_areas, 7);
}

#[test]
fn a_map_a_utm_zone_leaves_the_report_its_map_of_all() {
    let zones = "ZONES=T47 T48";
    let plan = Place::new(&[]).made(&["-n", "heatmap-sichuan-published", zones]);
    let run = |stage: &str| plan.lines().filter(|line| line.contains(&format!("/{stage}"))).count();
    assert_eq!((run("heatmap-stitch map"), run("region-report report")), (3, 1), "{plan}");
    let plan = Place::new(&[]).made(&["-n", "heatmap-sichuan-published", zones, "COUNTIES="]);
    let run = |stage: &str| plan.lines().filter(|line| line.contains(&format!("/{stage}"))).count();
    assert_eq!((run("heatmap-stitch map"), run("region-report report")), (2, 0), "{plan}");
}

#[test]
fn two_areas_of_one_ground_give_a_change_and_a_report_of_it() {
    let place = Place::new(&[]);
    let plan = place.made(&["-n", "change", "AOI=kangwon-human", "BEFORE=kangwon-human-2016"]);
    let run = |stage: &str| plan.lines().filter(|line| line.contains(&format!("/{stage}"))).count();
    assert_eq!(
        (run("heatmap-stitch map"), run("heatmap-stitch change"), run("region-report report")),
        (2, 1, 1)
    );
    let changed = place.path("out/kangwon-human/change.tif");
    assert!(plan.contains(&format!("--change {}", changed.display())), "{plan}");
    for (knobs, wanted) in
        [(vec![], "name an earlier area"), (vec!["BEFORE=atlantis"], "atlantis: no such area")]
    {
        let output = place.make(&[vec!["-n", "change", "AOI=kangwon-human"], knobs].concat());
        assert!(!output.status.success() && stderr(&output).contains(wanted), "{}", stderr(&output));
    }
}

#[test]
fn help_names_every_command_and_knob() {
    let help = Place::new(&[]).made(&["help"]);
    for word in
        ["demo", "heatmap-AREA", "test", "why", "setup", "AOI", "RANKS", "RAW WORK OUT", "REFERENCE_DATA"]
    {
        assert!(help.lines().any(|line| line.starts_with(word)), "no {word} in\n{help}");
    }
}

#[test]
fn why_names_what_is_missing() {
    let place = Place::new(&[]);
    let target = place.path("work/accomack/votes.parquet");
    let why = place.made(&["why", &format!("TARGET={}", target.display())]);
    assert!(why.contains("clusters.parquet") && why.contains("does not exist"), "{why}");
}
