//! Where zones lie on a raster: their rings in its pixels, whatever systems both are in.
//!
//! Edges are straight on the grid where the zones are in its coordinate system; else long ones are cut first, so that they follow the line that they
//! are in their own. A zone that does not reach the raster is not taken to its system, and of one that reaches far beyond it only the near part is:
//! what is far away often has no place there. Longitudes are counted around the globe: 190° is -170°.

use std::ops::Range;

use anyhow::Context as _;
use raster::{Bounds, Crs, Grid, Ring, Way};
use rayon::prelude::*;

use crate::coverage::{Span, spans};
use crate::zones::{Zone, Zones, bounds};

/// Pieces into which the bounding box of a ring is at most cut along an edge.
const PIECES: f64 = 256.0;
/// Degrees by which a raster may reach beyond the rectangle that holds its curved edges.
const MARGIN_DEG: f64 = 1.0;
/// Degrees beyond the raster from which on a zone's far part is cut off.
const FAR_DEG: f64 = 10.0;
/// Half a turn around the globe, in degrees.
const HALF_TURN_DEG: f64 = 180.0;
/// Zones that threads share at a time, at first and at most.
const ZONES_AT_A_TIME: (usize, usize) = (64, 4096);
/// Runs of pixels that are held at a time where zones are done one lot after the other: some hundred megabytes.
const MAX_SPANS: usize = 1 << 24;

/// A raster that zones are taken to.
struct Target<'a> {
    grid: &'a Grid,
    /// The zones are in its system.
    same: bool,
    /// The zones' system is in degrees.
    degrees: bool,
    /// Its rectangle in degrees; none where it has none that helps.
    extent: Option<Bounds>,
}

/// The ways into a raster's system, from the zones' and from degrees.
struct Ways {
    own: Option<Way>,
    degrees: Option<Way>,
}

impl Zones {
    /// The pixels that each zone covers on a grid.
    ///
    /// # Errors
    /// Where a corner near the grid has no place on it.
    pub fn spans_on(&self, grid: &Grid) -> anyhow::Result<Vec<Vec<Span>>> {
        let mut all = Vec::with_capacity(self.zones.len());
        self.lots_on(grid, usize::MAX, |_, spans| {
            all.extend(spans);
            Ok(())
        })?;
        Ok(all)
    }

    /// The same for one lot of zones after the other, so that their pixels take bounded memory.
    ///
    /// # Errors
    /// As [`Zones::spans_on`], and the caller's.
    pub fn each_lot_on(
        &self,
        grid: &Grid,
        each: impl FnMut(Range<usize>, Vec<Vec<Span>>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.lots_on(grid, MAX_SPANS, each)
    }

    fn lots_on(
        &self,
        grid: &Grid,
        max_spans: usize,
        mut each: impl FnMut(Range<usize>, Vec<Vec<Span>>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let target = self.target(grid);
        let (mut first, mut lot, mut n_spans) = (0, Vec::new(), 0);
        let mut n = ZONES_AT_A_TIME.0;
        let mut next = 0;
        while next < self.zones.len() {
            let zones = &self.zones[next..self.zones.len().min(next + n)];
            let part = self.each_zone(zones, &target, |zone, ways| {
                let places = self.places(zone, &target, ways)?;
                Ok(spans_of(&places, grid))
            })?;
            next += zones.len();
            let n_part: usize = part.iter().map(Vec::len).sum();
            n_spans += n_part;
            lot.extend(part);
            // So many that the next ones probably fit.
            let mean = (n_part / zones.len()).max(1);
            n = (max_spans / 8 / mean).clamp(1, ZONES_AT_A_TIME.1);
            if n_spans >= max_spans {
                each(first..next, std::mem::take(&mut lot))?;
                (first, n_spans) = (next, 0);
            }
        }
        if first < next { each(first..next, lot) } else { Ok(()) }
    }

    /// The area of each zone in pixels of a grid, its parts outside of the grid too. Of a zone that is far away, or reaches far beyond, it is the area on
    /// the ellipsoid.
    ///
    /// # Errors
    /// Where there is no way to the grid's system.
    pub fn areas_on(&self, grid: &Grid) -> anyhow::Result<Vec<f64>> {
        let target = self.target(grid);
        let pixel = grid.transform.pixel_width * grid.transform.pixel_height;
        self.each_zone(&self.zones, &target, |zone, ways| {
            let near = target.extent.is_none_or(|extent| near(bounds(&zone.rings_deg), &extent, FAR_DEG));
            let west_and_east = bounds(&zone.rings_deg);
            let wraps = west_and_east[0] < -HALF_TURN_DEG || west_and_east[2] > HALF_TURN_DEG;
            let own = (target.same || (near && !wraps))
                .then(|| outward(&cut(&zone.rings), ways.own.as_ref()).ok())
                .flatten();
            Ok(match own {
                Some(rings) => rings.iter().map(|ring| signed_area(ring)).sum::<f64>().abs() / pixel,
                None => area_m2(&zone.rings_deg) / pixel,
            })
        })
    }

    fn target<'a>(&self, grid: &'a Grid) -> Target<'a> {
        let extent = raster::bounds_deg(grid).ok().map(|mut b| {
            if b.east < b.west {
                b.east += 2.0 * HALF_TURN_DEG;
            }
            b
        });
        let sound = |b: &Bounds| [b.west, b.south, b.east, b.north].iter().all(|v| v.is_finite());
        Target {
            grid,
            same: self.crs.same_as(&grid.crs),
            degrees: self.crs.is_geographic(),
            extent: extent.filter(sound),
        }
    }

    /// Something of each zone, by all threads, in order.
    fn each_zone<T: Send>(
        &self,
        zones: &[Zone],
        target: &Target<'_>,
        of: impl Fn(&Zone, &Ways) -> anyhow::Result<T> + Sync,
    ) -> anyhow::Result<Vec<T>> {
        let n = zones.len().div_ceil(rayon::current_num_threads()).max(1);
        let parts = zones.par_chunks(n).map(|zones| {
            let ways = self.ways(target)?;
            zones.iter().map(|zone| of(zone, &ways)).collect::<anyhow::Result<Vec<T>>>()
        });
        Ok(parts.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn ways(&self, target: &Target<'_>) -> anyhow::Result<Ways> {
        let wgs84 = Crs::wgs84()?;
        let own = if target.same { None } else { Some(Way::new(&self.crs, &target.grid.crs)?) };
        let from_degrees = (!wgs84.same_as(&target.grid.crs)).then(|| Way::new(&wgs84, &target.grid.crs));
        Ok(Ways { own, degrees: from_degrees.transpose()? })
    }

    /// The rings of a zone in a raster's system, as often as they may show there.
    fn places(&self, zone: &Zone, target: &Target<'_>, ways: &Ways) -> anyhow::Result<Vec<Vec<Ring>>> {
        if target.grid.crs.is_geographic() {
            let mut rings = zone.rings.clone();
            if !target.same {
                rings = self.moved(zone, &cut(&zone.rings), ways.own.as_ref())?;
                raster::go_the_short_way(&mut rings);
            }
            return Ok(turns(rings, target.grid));
        }
        if target.same {
            return Ok(vec![zone.rings.clone()]);
        }
        let outline = bounds(&zone.rings_deg);
        if let Some(extent) = &target.extent {
            if !meets(outline, extent) {
                return Ok(Vec::new());
            }
            if !near(outline, extent, FAR_DEG) {
                let parts = near_parts(&zone.rings_deg, extent);
                let parts: Vec<_> = parts.iter().flat_map(|rings| around_the_globe(rings)).collect();
                return parts
                    .iter()
                    .map(|rings| self.moved(zone, &cut(rings), ways.degrees.as_ref()))
                    .collect();
            }
        }
        if target.degrees && (outline[0] < -HALF_TURN_DEG || outline[2] > HALF_TURN_DEG) {
            let parts = around_the_globe(&zone.rings);
            return parts.iter().map(|rings| self.moved(zone, &cut(rings), ways.own.as_ref())).collect();
        }
        Ok(vec![self.moved(zone, &cut(&zone.rings), ways.own.as_ref())?])
    }

    fn moved(&self, zone: &Zone, rings: &[Ring], way: Option<&Way>) -> anyhow::Result<Vec<Ring>> {
        outward(rings, way).with_context(|| {
            let [west, south, east, north] = bounds(&zone.rings);
            format!(
                "{}: want zones that the raster's coordinate system can show, found zone {} at {west} to {east} and {south} to {north}; check \
                 --zones-crs, or cut the zone",
                self.path.display(),
                zone.id
            )
        })
    }
}

/// The pixels of a zone, from all its places on a grid.
fn spans_of(places: &[Vec<Ring>], grid: &Grid) -> Vec<Span> {
    let pixel = |&(x, y): &(f64, f64)| {
        let (row, col) = grid.transform.to_pixel(x, y);
        (col, row)
    };
    let mut found = Vec::new();
    for rings in places {
        let rings: Vec<Vec<_>> = rings.iter().map(|ring| ring.iter().map(pixel).collect()).collect();
        found.extend(spans(&rings, grid.height, grid.width));
    }
    if places.len() > 1 {
        found.sort_by_key(|span| (span.row, span.col));
    }
    found
}

/// Rings in another system, if there is a way to take.
pub(crate) fn outward(rings: &[Ring], way: Option<&Way>) -> anyhow::Result<Vec<Ring>> {
    let Some(way) = way else { return Ok(rings.to_vec()) };
    let (mut x, mut y): (Vec<f64>, Vec<f64>) = rings.iter().flatten().copied().unzip();
    way.points(&mut x, &mut y)?;
    let mut points = x.into_iter().zip(y);
    Ok(rings.iter().map(|ring| points.by_ref().take(ring.len()).collect()).collect())
}

/// Rings with long edges cut into pieces.
fn cut(rings: &[Ring]) -> Vec<Ring> {
    rings.iter().map(cut_ring).collect()
}

fn cut_ring(ring: &Ring) -> Ring {
    let [west, south, east, north] = bounds(std::slice::from_ref(ring));
    let step = (east - west).max(north - south) / PIECES;
    let mut points = Vec::with_capacity(ring.len());
    for (from, to) in ring.iter().zip(ring.iter().cycle().skip(1)) {
        let n = ((to.0 - from.0).abs().max((to.1 - from.1).abs()) / step).ceil().max(1.0);
        let n = if n.is_finite() { n } else { 1.0 };
        for i in 0..n as usize {
            let share = i as f64 / n;
            points.push((from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1)));
        }
    }
    points
}

/// Whole turns that bring longitudes over a rectangle.
fn turns_over(west: f64, east: f64, extent: (f64, f64)) -> impl Iterator<Item = f64> {
    [0.0, -2.0 * HALF_TURN_DEG, 2.0 * HALF_TURN_DEG]
        .into_iter()
        .filter(move |turn| west + turn <= extent.1 && east + turn >= extent.0)
}

/// Rings in degrees wherever a grid in degrees shows them.
fn turns(rings: Vec<Ring>, grid: &Grid) -> Vec<Vec<Ring>> {
    let ([west, _, east, _], b) = (bounds(&rings), grid.bounds());
    turns_over(west, east, (b.west, b.east)).map(|turn| shifted(&rings, turn)).collect()
}

fn shifted(rings: &[Ring], by: f64) -> Vec<Ring> {
    rings.iter().map(|ring| ring.iter().map(|(x, y)| (x + by, *y)).collect()).collect()
}

fn meets([west, south, east, north]: [f64; 4], extent: &Bounds) -> bool {
    let across = (extent.west - MARGIN_DEG, extent.east + MARGIN_DEG);
    let down = south <= extent.north + MARGIN_DEG && north >= extent.south - MARGIN_DEG;
    down && turns_over(west, east, across).next().is_some()
}

/// Whether a rectangle reaches no further than so many degrees beyond another.
fn near([west, south, east, north]: [f64; 4], extent: &Bounds, by: f64) -> bool {
    let down = south >= extent.south - by && north <= extent.north + by;
    let inside = |turn: f64| west + turn >= extent.west - by && east + turn <= extent.east + by;
    down && [0.0, -2.0 * HALF_TURN_DEG, 2.0 * HALF_TURN_DEG].into_iter().any(inside)
}

/// The parts of rings in degrees that lie near a rectangle.
fn near_parts(rings: &[Ring], extent: &Bounds) -> Vec<Vec<Ring>> {
    let (west, east) = (extent.west - MARGIN_DEG, extent.east + MARGIN_DEG);
    let (south, north) = (extent.south - MARGIN_DEG, extent.north + MARGIN_DEG);
    let [from, _, to, _] = bounds(rings);
    let part = |turn: f64| {
        let mut rings = shifted(rings, turn);
        for half in [
            |(x, _): (f64, f64), at: f64| x - at,
            |(x, _): (f64, f64), at: f64| at - x,
            |(_, y): (f64, f64), at: f64| y - at,
            |(_, y): (f64, f64), at: f64| at - y,
        ]
        .into_iter()
        .zip([west, east, south, north])
        {
            rings = clipped(&rings, |point| half.0(point, half.1));
        }
        rings
    };
    turns_over(from, to, (west, east)).map(part).collect()
}

/// Rings in degrees cut where a turn around the globe begins, each part within 180°.
fn around_the_globe(rings: &[Ring]) -> Vec<Vec<Ring>> {
    let [west, _, east, _] = bounds(rings);
    let part = |turn: f64| {
        let rings = clipped(&shifted(rings, turn), |(x, _)| x + HALF_TURN_DEG);
        clipped(&rings, |(x, _)| HALF_TURN_DEG - x)
    };
    turns_over(west, east, (-HALF_TURN_DEG, HALF_TURN_DEG))
        .map(part)
        .filter(|rings| !rings.is_empty())
        .collect()
}

/// The part of rings where a straight distance is not negative. Where a ring leaves that side and comes back, edges along the line join its parts: they
/// cancel in signed areas.
fn clipped(rings: &[Ring], side: impl Fn((f64, f64)) -> f64) -> Vec<Ring> {
    let clip = |ring: &Ring| {
        let mut kept = Ring::with_capacity(ring.len());
        for (&from, &to) in ring.iter().zip(ring.iter().cycle().skip(1)) {
            let (a, b) = (side(from), side(to));
            if a >= 0.0 {
                kept.push(from);
            }
            if (a < 0.0) != (b < 0.0) {
                let share = a / (a - b);
                kept.push((from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1)));
            }
        }
        kept
    };
    rings.iter().map(clip).filter(|ring| ring.len() >= 3).collect()
}

/// Signed area of a ring, positive where it runs counter-clockwise.
pub fn signed_area(ring: &[(f64, f64)]) -> f64 {
    let Some(&(x0, y0)) = ring.first() else { return 0.0 };
    let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
    pairs.map(|(a, b)| (a.0 - x0) * (b.1 - y0) - (b.0 - x0) * (a.1 - y0)).sum::<f64>() / 2.0
}

/// Area of rings in degrees on the ellipsoid of WGS 84, edges straight in degrees.
fn area_m2(rings: &[Ring]) -> f64 {
    const SEMI_MAJOR_M: f64 = 6_378_137.0;
    const ECCENTRICITY: f64 = 0.081_819_190_842_621_5;
    // The area between the equator and a latitude, of a ring of one radian, is half of this times the squared axis.
    let q = |lat_deg: f64| {
        let (e, sine) = (ECCENTRICITY, lat_deg.to_radians().sin());
        let es = e * sine;
        (1.0 - e * e) * (sine / (1.0 - es * es) + es.atanh() / e)
    };
    let ring = |ring: &Ring| -> f64 {
        let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
        pairs.map(|(a, b)| (b.0 - a.0).to_radians() * f64::midpoint(q(a.1), q(b.1))).sum()
    };
    cut(rings).iter().map(ring).sum::<f64>().abs() / 2.0 * SEMI_MAJOR_M * SEMI_MAJOR_M
}
