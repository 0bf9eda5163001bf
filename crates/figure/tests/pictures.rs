//! Whole pictures, drawn and read back. Set `FIGURE_OUT` to a folder to keep them for looking at.
#![allow(clippy::unwrap_used)]

use figure::{
    Axis, Chart, Charts, ContactSheet, FigureError, Ground, ImageRgb, Legend, Map, PIXELS_PER_POINT, Panel,
    Reliability, Rgb, Scale, Scatter, SheetRow, Sure, Thumbnail, Words, charts, contact_sheet, group_colour,
    map, side_by_side,
};

struct Picture {
    height: usize,
    width: usize,
    pixels: Vec<u8>,
}

impl Picture {
    fn read(name: &str, png: &[u8]) -> Picture {
        if let Some(folder) = std::env::var_os("FIGURE_OUT") {
            std::fs::write(std::path::Path::new(&folder).join(name), png).unwrap();
        }
        let image = image::load_from_memory(png).unwrap().into_rgb8();
        Picture { height: image.height() as usize, width: image.width() as usize, pixels: image.into_raw() }
    }

    fn count(&self, colour: Rgb) -> usize {
        self.pixels.chunks_exact(3).filter(|p| *p == [colour.0, colour.1, colour.2]).count()
    }

    /// Pixels of the outermost `margin` points that are not white: clipped or crowded text would stand there.
    fn inked_edge(&self, margin: usize) -> usize {
        let margin = margin * PIXELS_PER_POINT;
        let inked =
            |row: usize, column: usize| self.pixels[(row * self.width + column) * 3..][..3] != [255; 3];
        (0..self.height)
            .flat_map(|row| (0..self.width).map(move |column| (row, column)))
            .filter(|&(row, column)| {
                row < margin
                    || column < margin
                    || row >= self.height - margin
                    || column >= self.width - margin
            })
            .filter(|&(row, column)| inked(row, column))
            .count()
    }
}

fn words() -> Words {
    Words {
        title: "Development score, Accomack County, Virginia".to_owned(),
        subtitle: "Mean of five models a tile of 320 m, Sentinel-2 of 2015-11-23. Scores are ranks: 0 is the least and 1 the \
                   most developed cluster of the order; they are not money."
            .to_owned(),
        credit: "Contains modified Copernicus Sentinel data 2015. Made by Prosperity Atlas 0.1.0.".to_owned(),
    }
}

/// A made field: two towns in a plain, a strip without values.
fn field(height: usize, width: usize) -> Vec<f32> {
    let bump = |row: usize, column: usize, at: (f32, f32), size: f32| {
        let (down, across) = (row as f32 / height as f32 - at.0, column as f32 / width as f32 - at.1);
        (-(down * down + across * across) / (2.0 * size * size)).exp()
    };
    let value = |row: usize, column: usize| {
        if column * 9 > width * 8 && row * 3 < height {
            return f32::NAN;
        }
        let texture = ((row * 7919 + column * 104_729) % 97) as f32 / 97.0;
        0.15 + 0.15 * texture
            + 0.7 * bump(row, column, (0.3, 0.4), 0.09)
            + 0.5 * bump(row, column, (0.7, 0.7), 0.06)
    };
    (0..height)
        .flat_map(|row| (0..width).map(move |column| (row, column)))
        .map(|(row, column)| value(row, column))
        .collect()
}

fn score_legend() -> Legend {
    Legend::linear("Development score (share of the order)", Scale::Score, 0.0, 1.0)
        .ends("less developed", "more developed")
        .nodata("no score")
}

/// Ground of square pixels of 320 m, its corners leaning a little as in UTM.
fn ground(height: usize, width: usize) -> Ground {
    let (south, east) = (37.8 - height as f64 * 0.002_88, -75.86 + width as f64 * 0.003_64);
    Ground { corners_deg: [[-75.86, 37.8], [east, 37.798], [east - 0.004, south - 0.002], [-75.862, south]] }
}

fn score_map(height: usize, width: usize) -> Map {
    let image = score_legend().paint(height, width, &field(height, width)).unwrap();
    Map {
        heading: "Development score".to_owned(),
        image,
        ground: Some(ground(height, width)),
        legend: score_legend(),
    }
}

#[test]
fn a_map_has_its_values_colours_and_clear_margins() {
    let picture = Picture::read("map.png", &map(&words(), &score_map(60, 60)).unwrap());
    assert_eq!(picture.width, 900 * PIXELS_PER_POINT);
    let tile = picture.count(Rgb::NODATA);
    assert!(tile > 1000, "the strip without values and its swatch are grey");
    assert!(picture.count(Scale::Score.at(1.0)) > 0);
    assert_eq!(picture.inked_edge(8), 0);
}

#[test]
fn a_wide_map_and_a_tall_map_keep_clear_margins() {
    for (name, height, width) in [("wide.png", 20, 70), ("tall.png", 80, 25)] {
        let picture = Picture::read(name, &map(&words(), &score_map(height, width)).unwrap());
        assert_eq!(picture.inked_edge(8), 0, "{name}");
    }
}

#[test]
fn a_map_of_one_colour_is_that_colour_over_its_whole_frame() {
    let image = ImageRgb::new(1, 1, vec![11, 222, 33]).unwrap();
    let one = Map { image, ground: None, ..score_map(2, 2) };
    let picture = Picture::read("one.png", &map(&words(), &one).unwrap());
    let (count, side) = (picture.count(Rgb(11, 222, 33)), 600 * PIXELS_PER_POINT);
    assert!(count > side * side, "{count} pixels");
}

#[test]
fn the_words_change_the_pixels() {
    let bare = map(&Words::default(), &score_map(9, 9)).unwrap();
    let titled = map(&Words { title: "A".to_owned(), ..Words::default() }, &score_map(9, 9)).unwrap();
    let other = map(&Words { title: "B".to_owned(), ..Words::default() }, &score_map(9, 9)).unwrap();
    assert!(bare != titled && titled != other);
}

#[test]
fn the_same_picture_has_the_same_bytes() {
    assert_eq!(map(&words(), &score_map(30, 30)).unwrap(), map(&words(), &score_map(30, 30)).unwrap());
}

fn thumbnail(seed: usize) -> Thumbnail {
    let pixels = (0..48 * 48 * 3).map(|i| ((i / 3 % 48 * (seed + 1) + i / 144 * 3) % 256) as u8).collect();
    Thumbnail { image: ImageRgb::new(48, 48, pixels).unwrap(), caption: format!("r{seed} c{}", seed * 3) }
}

fn row(number: usize, thumbnails: usize) -> SheetRow {
    SheetRow {
        title: format!("U{number}: urban, {} tiles", number * 31 + 7),
        note: "Mean distance to the centre 0.42; shown: the nearest to the centre first.".to_owned(),
        thumbnails: (0..thumbnails).map(thumbnail).collect(),
    }
}

#[test]
fn a_contact_sheet_wraps_its_thumbnails_and_grows() {
    let page = |rows| ContactSheet { words: words(), columns: 8, rows };
    let short = Picture::read("sheet-short.png", &contact_sheet(&page(vec![row(0, 8)])).unwrap());
    let long =
        Picture::read("sheet.png", &contact_sheet(&page(vec![row(0, 8), row(1, 11), row(2, 3)])).unwrap());
    assert!(long.height > 2 * short.height && long.width == short.width);
    assert_eq!(long.inked_edge(8), 0);
}

#[test]
fn a_contact_sheet_of_nothing_is_refused() {
    let empty = ContactSheet { words: words(), columns: 8, rows: Vec::new() };
    assert!(matches!(contact_sheet(&empty), Err(FigureError::Empty(_))));
}

fn scatter(n: usize) -> Scatter {
    let xs: Vec<f64> = (0..n).map(|i| ((i * 7919 % 997) as f64 / 997.0 * 4.2).exp() - 1.0).collect();
    let ys = xs.iter().enumerate().map(|(i, x)| 0.15 * x.ln_1p() + (i * 31 % 101) as f64 / 303.0).collect();
    Scatter {
        heading: "Score against night light".to_owned(),
        x: Axis::log1p("Radiance (nW cm⁻² sr⁻¹)"),
        y: Axis::linear("Development score").between(0.0, 1.0),
        xs,
        ys,
        notes: vec!["n = 900".to_owned(), "Spearman 0.71".to_owned(), "Pearson, log(1 + x) 0.69".to_owned()],
    }
}

#[test]
fn maps_and_a_scatter_plot_stand_side_by_side_without_touching_the_edge() {
    let legend = Legend::log1p("Radiance (nW cm⁻² sr⁻¹)", Scale::Light, 60.0);
    let values: Vec<f32> = field(60, 60).iter().map(|v| v * v * 60.0).collect();
    let image = legend.paint(60, 60, &values).unwrap();
    let light = Map { heading: "Night light, VIIRS".to_owned(), image, legend, ..score_map(60, 60) };
    let panels = [Panel::Map(score_map(60, 60)), Panel::Map(light), Panel::Scatter(scatter(900))];
    let picture = Picture::read("side.png", &side_by_side(&words(), &panels).unwrap());
    assert_eq!(picture.inked_edge(8), 0);
    assert!(picture.width > 2 * picture.height);
}

#[test]
fn a_scatter_plot_of_many_points_is_drawn_and_one_of_unequal_lists_refused() {
    Picture::read("scatter.png", &side_by_side(&words(), &[Panel::Scatter(scatter(30_000))]).unwrap());
    let uneven = Scatter { ys: vec![1.0], ..scatter(3) };
    let error = side_by_side(&words(), &[Panel::Scatter(uneven)]).unwrap_err().to_string();
    assert_eq!(error, "a scatter plot needs as many x as y values, found 3 and 1");
}

#[test]
fn a_calibration_curve_stands_inside_its_page_and_shows_where_answers_are_wrong() {
    let page = |hit_share| {
        let group = |i: usize| Sure { confidence: i as f64 / 10.0, hit_share, n: 40 * i };
        let curve = Reliability {
            heading: "All pictures".to_owned(),
            y_label: "share of annotators who say so".to_owned(),
            groups: (4..=10).map(group).collect(),
            notes: vec!["2,080 pictures".to_owned()],
        };
        side_by_side(&words(), &[Panel::Reliability(curve.clone()), Panel::Reliability(curve)]).unwrap()
    };
    assert_eq!(Picture::read("reliability.png", &page(0.7)).inked_edge(8), 0);
    assert_ne!(page(0.7), page(0.9));
}

#[test]
fn charts_show_every_group_in_its_colour_and_nothing_at_the_edge() {
    let groups: Vec<Option<usize>> = (0..30).map(|i| (i != 7).then_some(i % 4)).collect();
    let places = (0..40).map(|i| ((i % 7) as f64, (i % 11) as f64 * -0.5, i % 4)).collect();
    let page = |chart: Chart| Charts {
        words: Words { title: "Clusters".into(), ..Words::default() },
        charts: vec![("T18SVG".into(), chart)],
        names: (0..4).map(|group| format!("{group} rural")).collect(),
    };
    let cells = charts(&page(Chart::Cells { n_cols: 6, groups })).unwrap();
    let points = charts(&page(Chart::Points { labels: ["a".into(), "b".into()], places })).unwrap();
    let lines = vec![vec![0.1, 0.3, f64::NAN], vec![0.9, 0.6, 0.4]];
    let curves = Chart::Curves { label: "K".into(), xs: vec![3.0, 4.0, 5.0], lines, chosen: Some(4.0) };
    let curves = charts(&page(curves)).unwrap();
    for (name, png, n_groups) in
        [("cells.png", cells, 4), ("points.png", points, 4), ("curves.png", curves, 2)]
    {
        let picture = Picture::read(name, &png);
        assert!((0..n_groups).all(|group| picture.count(group_colour(group)) > 40), "{name}");
        assert_eq!(picture.inked_edge(8), 0, "{name}");
    }
    assert!(charts(&page(Chart::Cells { n_cols: 0, groups: Vec::new() })).is_err());
}
