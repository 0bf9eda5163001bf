//! The scene from one or several: each pixel of one scene, or by a rule of the clear ones of several. Tile by tile, in constant memory.
//!
//! A pixel of a scene counts where every band has data (is not 0), and is clear where the scene classification (SCL) shows neither cloud, cloud shadow,
//! cirrus nor a defect. Median: band by band, of the clear values; of an even number the lower of the middle two, a value that was measured (what the
//! classification overlooks is mostly bright haze). Best pixel: all bands from the best-ranked scene that is clear. Where no scene is clear: the
//! best-ranked scene with data, which the info raster tells; where none has data: 0.

use std::path::Path;

use anyhow::ensure;
use contract::{COMPOSITE_INFO, SCENE, SCL};
use raster::{Canvas, CogOptions, Dtype, Overviews, Window};

use crate::paint::{paint, put_bands, tile_px};
use crate::stack::{Layer, Number, Open, same_pixels};

/// More scenes than a composite needs, and few enough for a tile of all of them in memory.
pub(crate) const MOST_SCENES: usize = 32;

/// How several scenes become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Rule {
    /// Of each band the median of the clear scenes
    Median,
    /// Of each pixel the best-ranked scene that is clear there
    BestPixel,
}

impl Rule {
    /// As the flag is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::BestPixel => "best-pixel",
        }
    }
}

/// Writes the scene of one layer, as it is.
///
/// # Errors
/// If a file cannot be read, its numbers contradict its radiometry, or the output cannot be written.
pub(crate) fn write_scene(layer: &Layer<'_>, out: &Path, tags: Vec<(String, String)>) -> anyhow::Result<()> {
    match layer.shape.dtype {
        Dtype::U8 => scene::<u8>(layer, out, &options(tags)),
        _ => scene::<u16>(layer, out, &options(tags)),
    }
}

/// Writes a scene's classification, as it is.
///
/// # Errors
/// As [`write_scene`], and if it holds no codes.
pub(crate) fn write_classes(
    layer: &Layer<'_>,
    out: &Path,
    tags: Vec<(String, String)>,
) -> anyhow::Result<()> {
    let options =
        CogOptions { overviews: Overviews::Nearest, nodata: SCL.nodata, tags, ..CogOptions::default() };
    let mut canvas = canvas::<u8>(layer, out)?;
    let pixels = |open: &Open<'_>, tile: Window| Ok(vec![open.codes(tile)?]);
    let put = |tile, bands: Vec<Vec<u8>>| put_bands(&mut canvas, tile, &bands);
    paint(Window::of(&layer.shape.grid), tile_px(2), || layer.open(), pixels, put)?;
    Ok(canvas.write_cog(out, &options)?)
}

/// Writes the composite of several layers, best first, and with `info` where its pixels come from.
///
/// # Errors
/// As [`write_scene`], and if the layers are not of one grid, type and kind.
pub(crate) fn write_composite(
    rule: Rule,
    layers: &[Layer<'_>],
    (out, info): (&Path, Option<&Path>),
    tags: Vec<(String, String)>,
) -> anyhow::Result<()> {
    check_alike(layers)?;
    match layers[0].shape.dtype {
        Dtype::U8 => composite::<u8>(rule, layers, (out, info), tags),
        _ => composite::<u16>(rule, layers, (out, info), tags),
    }
}

fn check_alike(layers: &[Layer<'_>]) -> anyhow::Result<()> {
    ensure!(
        (1..=MOST_SCENES).contains(&layers.len()),
        "want 1 to {MOST_SCENES} scenes for a composite, found {}; give another number with --scenes",
        layers.len()
    );
    let first = &layers[0];
    for layer in layers {
        let (a, b) = (&first.shape, &layer.shape);
        ensure!(
            same_pixels(&a.grid, &b.grid) && a.dtype == b.dtype && a.bands == b.bands,
            "item {}: want the pixels, type and bands of item {} for a composite, found {} x {} of {} in {} bands; \
             give fewer scenes with --scenes",
            layer.item.id,
            first.item.id,
            b.grid.height,
            b.grid.width,
            b.dtype,
            b.bands.len()
        );
    }
    Ok(())
}

fn scene<T: Number>(layer: &Layer<'_>, out: &Path, options: &CogOptions) -> anyhow::Result<()> {
    let mut canvas = canvas::<T>(layer, out)?;
    let n_bands = layer.shape.bands.len();
    // What is read, and as much on its way to the canvas.
    let side_px = tile_px(2 * n_bands * T::DTYPE.bytes());
    let pixels = |open: &Open<'_>, tile: Window| -> anyhow::Result<Vec<Vec<T>>> {
        (0..n_bands).map(|band| open.read(band, tile)).collect()
    };
    let put = |tile, bands: Vec<Vec<T>>| put_bands(&mut canvas, tile, &bands);
    paint(Window::of(&layer.shape.grid), side_px, || layer.open(), pixels, put)?;
    layer.check()?;
    Ok(canvas.write_cog(out, options)?)
}

fn composite<T: Number>(
    rule: Rule,
    layers: &[Layer<'_>],
    (out, info): (&Path, Option<&Path>),
    tags: Vec<(String, String)>,
) -> anyhow::Result<()> {
    let grid = &layers[0].shape.grid;
    let n_bands = layers[0].shape.bands.len();
    let mut canvas = canvas::<T>(&layers[0], out)?;
    let mut origins =
        info.map(|path| Canvas::<u8>::beside(path, grid, COMPOSITE_INFO.bands.len())).transpose()?;
    let side_px = tile_px((layers.len() + 2) * n_bands * T::DTYPE.bytes() + layers.len());
    let open = || layers.iter().map(Layer::open).collect::<anyhow::Result<Vec<_>>>();
    let pixels = |open: &Vec<Open<'_>>, tile: Window| -> anyhow::Result<Composed<T>> {
        let views: Vec<_> =
            open.iter().map(|layer| View::read(layer, n_bands, tile)).collect::<Result<_, _>>()?;
        Ok(combine(rule, &views))
    };
    let put = |tile, composed: Composed<T>| {
        put_bands(&mut canvas, tile, &composed.bands)?;
        origins.as_mut().map_or(Ok(()), |canvas| put_bands(canvas, tile, &composed.origin))
    };
    paint(Window::of(grid), side_px, open, pixels, put)?;
    layers.iter().try_for_each(Layer::check)?;
    if let (Some(mut origins), Some(path)) = (origins, info) {
        for (band, spec) in (1..).zip(COMPOSITE_INFO.bands) {
            origins.name(band, spec.name, spec.unit)?;
        }
        let mut tags = tags.clone();
        tags.retain(|(key, _)| key != "contract");
        tags.push(("contract".to_owned(), COMPOSITE_INFO.tag()));
        let overviews = Overviews::Nearest;
        origins.write_cog(path, &CogOptions { tags, overviews, ..CogOptions::default() })?;
    }
    Ok(canvas.write_cog(out, &options(tags))?)
}

fn canvas<T: Number>(layer: &Layer<'_>, out: &Path) -> anyhow::Result<Canvas<T>> {
    let mut canvas = Canvas::beside(out, &layer.shape.grid, layer.shape.bands.len())?;
    for (index, band) in (1..).zip(&layer.shape.bands) {
        canvas.name(index, &band.name, band.unit)?;
    }
    Ok(canvas)
}

fn options(tags: Vec<(String, String)>) -> CogOptions {
    CogOptions { nodata: SCENE.nodata, tags, ..CogOptions::default() }
}

/// A tile of one scene.
#[derive(Debug, Clone)]
struct View<T> {
    /// `[band][height, width]`.
    bands: Vec<Vec<T>>,
    /// Whether the ground is seen, `[height, width]`.
    clear: Vec<bool>,
}

impl<T: Number> View<T> {
    fn read(open: &Open<'_>, n_bands: usize, tile: Window) -> anyhow::Result<Self> {
        let bands = (0..n_bands).map(|band| open.read(band, tile)).collect::<anyhow::Result<_>>()?;
        Ok(Self { bands, clear: open.clear(tile)? })
    }

    fn has_data(&self, px: usize) -> bool {
        self.bands.iter().all(|band| band[px] != T::default())
    }
}

/// A tile of a composite.
#[derive(Debug)]
struct Composed<T> {
    /// `[band][height, width]`.
    bands: Vec<Vec<T>>,
    /// Of each pixel the number of clear scenes, and the scene it is from (1 + rank; 0: none, or several).
    origin: Vec<Vec<u8>>,
}

fn combine<T: Number>(rule: Rule, views: &[View<T>]) -> Composed<T> {
    let (n_bands, n_px) = (views[0].bands.len(), views[0].clear.len());
    let mut bands = vec![vec![T::default(); n_px]; n_bands];
    let mut origin = vec![vec![0u8; n_px]; 2];
    let (mut usable, mut values) = (Vec::with_capacity(views.len()), Vec::with_capacity(views.len()));
    for px in 0..n_px {
        usable.clear();
        usable.extend((0..views.len()).filter(|v| views[*v].has_data(px)));
        let fallback = usable.first().copied();
        usable.retain(|v| views[*v].clear[px]);
        origin[0][px] = usable.len() as u8;
        let single = match (rule, usable.first()) {
            (Rule::Median, Some(_)) => None,
            (Rule::BestPixel, Some(best)) => Some(*best),
            (_, None) => fallback,
        };
        if let Some(view) = single {
            origin[1][px] = view as u8 + 1;
            bands.iter_mut().zip(&views[view].bands).for_each(|(band, from)| band[px] = from[px]);
        } else if !usable.is_empty() {
            for (index, band) in bands.iter_mut().enumerate() {
                values.clear();
                values.extend(usable.iter().map(|v| views[*v].bands[index][px]));
                values.sort_unstable();
                band[px] = values[(values.len() - 1) / 2];
            }
        }
    }
    Composed { bands, origin }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const N_PX: usize = 500;

    /// Numbers that look random and are the same in every run.
    fn draws(seed: u64) -> impl Iterator<Item = u64> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 8
        })
    }

    /// Scene `seed`: two bands, a fifth without data, half hidden by cloud. Its numbers are 1000 * seed and more, so that they tell their scene.
    fn view(seed: u64) -> View<u16> {
        let data: Vec<bool> = draws(seed).take(N_PX).map(|d| d % 5 != 0).collect();
        let band = |b: u64| {
            let numbers = draws(10 * seed + b).zip(&data);
            numbers.map(|(d, data)| if *data { (1000 * seed + d % 900) as u16 + 1 } else { 0 }).collect()
        };
        View {
            bands: vec![band(1), band(2)],
            clear: draws(seed + 77).take(N_PX).map(|d| d % 2 == 0).collect(),
        }
    }

    #[test]
    fn a_composite_of_one_scene_or_of_equal_scenes_is_that_scene() {
        for rule in [Rule::Median, Rule::BestPixel] {
            for n in [1, 2, 5] {
                let Composed { bands, .. } = combine(rule, &vec![view(3); n]);
                assert_eq!(bands, view(3).bands, "{rule:?} of {n}");
            }
        }
    }

    #[test]
    fn a_hidden_pixel_is_never_used_where_a_clear_one_exists_and_no_data_stays() {
        let views = [view(1), view(2), view(3), view(4)];
        for rule in [Rule::Median, Rule::BestPixel] {
            let Composed { bands, origin } = combine(rule, &views);
            let mut n_kinds = [0; 3];
            for px in 0..N_PX {
                let number = bands[0][px];
                let data: Vec<_> = (0..4).filter(|v| views[*v].has_data(px)).collect();
                let clear: Vec<_> = data.iter().copied().filter(|v| views[*v].clear[px]).collect();
                assert_eq!(usize::from(origin[0][px]), clear.len());
                let from = |scenes: &[usize]| scenes.iter().any(|v| views[*v].bands[0][px] == number);
                match (clear.first(), data.first()) {
                    (Some(best), _) => {
                        n_kinds[0] += 1;
                        assert!(from(&clear));
                        let scene = if rule == Rule::BestPixel { *best as u8 + 1 } else { 0 };
                        assert_eq!(origin[1][px], scene);
                    }
                    (None, Some(best)) => {
                        n_kinds[1] += 1;
                        assert!(from(&[*best]), "the best-ranked scene stands in");
                        assert_eq!(usize::from(origin[1][px]), best + 1, "and is flagged");
                    }
                    (None, None) => {
                        n_kinds[2] += 1;
                        assert_eq!((number, bands[1][px], origin[1][px]), (0, 0, 0));
                    }
                }
            }
            assert!(n_kinds.iter().all(|n| *n > 0) || n_kinds[2] == 0, "{n_kinds:?}");
        }
    }

    #[test]
    fn the_median_does_not_depend_on_the_order_of_the_scenes() {
        let mut views = vec![view(1), view(2), view(3), view(4), view(5)];
        let Composed { bands, origin } = combine(Rule::Median, &views);
        for _ in 0..views.len() {
            views.rotate_left(1);
            let Composed { bands: turned, origin: turned_origin } = combine(Rule::Median, &views);
            assert_eq!(turned_origin[0], origin[0]);
            let clear = (0..N_PX).filter(|px| origin[0][*px] > 0);
            let n = clear.inspect(|px| assert_eq!(turned[0][*px], bands[0][*px])).count();
            assert!(n > N_PX / 2);
        }
    }

    #[test]
    fn of_an_even_number_the_median_is_the_lower_of_the_middle_two() {
        let flat = |dn: u16| View { bands: vec![vec![dn]], clear: vec![true] };
        let Composed { bands, .. } = combine(Rule::Median, &[40, 10, 30, 20].map(flat));
        assert_eq!(bands, [[20]]);
    }

    #[test]
    fn the_bands_of_a_best_pixel_come_from_one_scene() {
        let views = [view(1), view(2), view(3)];
        let Composed { bands, origin } = combine(Rule::BestPixel, &views);
        for px in 0..N_PX {
            let Some(scene) = usize::from(origin[1][px]).checked_sub(1) else { continue };
            assert_eq!([bands[0][px], bands[1][px]], [views[scene].bands[0][px], views[scene].bands[1][px]]);
        }
    }
}
