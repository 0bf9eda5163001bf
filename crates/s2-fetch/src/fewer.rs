//! Fewer granules for an area: those are given up, the smallest part first, whose whole part lies inside the footprints of others that stay.
//! Fewer downloads, and still every place once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use geo::{Area, BooleanOps, BoundingRect, Contains, Coord, InteriorPoint, Intersects, MultiPolygon, Point};
use raster::{Crs, transform_points};

use crate::assign::{Part, beside, solid};
use crate::grid::{FALSE_NORTHING_M, GRANULE_M, SQUARE_M, Square};
use crate::tiling::footprints;

/// A place that lies farther outside all other footprints than this needs its own granule, however the polygon arithmetic rounds.
const CLEARLY_OUTSIDE_M: f64 = 1.0;
/// Places of a part that are looked at before the polygons are.
const PROBES: usize = 8;
/// Probes on the rim are moved inward by this share of the way to the middle.
const INWARD: f64 = 0.02;

/// Gives up granules whose part the footprints of the others cover, smallest first, until none is left to give up.
/// Those that `may_stay` refuses go first, whatever their size; what no other covers stays with them.
///
/// # Errors
/// If GDAL cannot place the grid.
pub(crate) fn fewer(parts: Vec<Part>, may_stay: impl Fn(&Part) -> bool) -> anyhow::Result<Vec<Part>> {
    let crowd = Crowd::of(&parts, &may_stay);
    // Parts only grow and footprints only go: what is needed once is needed for good.
    let candidates = crowd.that_others_may_cover(&parts)?;
    let neighbours = crowd.neighbours(&parts, &candidates)?;
    let mut left: Vec<Option<Part>> = parts.into_iter().map(Some).collect();
    let rank = |left: &[Option<Part>], n: usize| {
        left[n].as_ref().map(|p| Reverse((may_stay(p), Ordered(p.own.unsigned_area()), p.square, n)))
    };
    let mut queue: BinaryHeap<_> = candidates.iter().filter_map(|n| rank(&left, *n)).collect();
    while let Some(head) = queue.pop() {
        let gone = head.0.3;
        match rank(&left, gone) {
            // It has grown since it was put in the queue.
            Some(now) if now != head => {
                queue.push(now);
                continue;
            }
            Some(_) => {}
            None => continue,
        }
        let Some(moved) = given_up(&left, gone, &neighbours[&gone]) else { continue };
        for (to, piece) in moved {
            if let Some(part) = &mut left[to] {
                part.own = part.own.union(&piece);
            }
        }
        left[gone] = None;
    }
    Ok(left.into_iter().flatten().collect())
}

/// What each other granule would take over of a part, if together they cover it.
fn given_up(
    left: &[Option<Part>],
    gone: usize,
    neighbours: &[(usize, MultiPolygon)],
) -> Option<Vec<(usize, MultiPolygon)>> {
    let own = &left[gone].as_ref()?.own;
    let extent = own.bounding_rect()?;
    let mut others: Vec<_> = neighbours
        .iter()
        .filter_map(|(n, footprint)| Some((*n, left[*n].as_ref()?, footprint)))
        .filter(|(_, _, footprint)| footprint.bounding_rect().is_some_and(|r| r.intersects(&extent)))
        .collect();
    others.sort_by_key(|(_, part, _)| (Reverse(Ordered(part.own.unsigned_area())), part.square));
    let mut rest = own.clone();
    let mut moved = Vec::new();
    for (n, _, footprint) in others {
        let piece = solid(rest.intersection(footprint));
        if piece.0.is_empty() {
            continue;
        }
        rest = solid(rest.difference(footprint));
        moved.push((n, piece));
        if rest.0.is_empty() {
            return Some(moved);
        }
    }
    None
}

/// The granules of a plan that may take over ground of others, by their squares.
struct Crowd {
    at: HashMap<Square, usize>,
}

impl Crowd {
    fn of(parts: &[Part], may_stay: &impl Fn(&Part) -> bool) -> Self {
        let stay = parts.iter().enumerate().filter(|(_, part)| may_stay(part));
        Self { at: stay.map(|(n, part)| (part.square, n)).collect() }
    }

    /// The parts of which no probe lies clearly outside all other footprints: the middle first, which decides most, then the rim.
    fn that_others_may_cover(&self, parts: &[Part]) -> anyhow::Result<Vec<usize>> {
        let middle = |part: &Part| {
            let centre = part.own.bounding_rect().map(|rect| Point::from(rect.center()));
            centre.into_iter().filter(|point| part.own.contains(point)).collect()
        };
        let all = (0..parts.len()).collect();
        let rest = self.covered(parts, all, middle)?;
        self.covered(parts, rest, rim)
    }

    fn covered(
        &self,
        parts: &[Part],
        of: Vec<usize>,
        probes: impl Fn(&Part) -> Vec<Point>,
    ) -> anyhow::Result<Vec<usize>> {
        let mut places = Places::default();
        for n in &of {
            let points = probes(&parts[*n]);
            places.add(*n, parts[*n].square.zone, points.into_iter().map(Coord::from));
        }
        let mut seen: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        let mut probed: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for place in places.in_zones()? {
            probed.entry(place.of).or_default().insert(place.n);
            let own = parts[place.of].square;
            let covers =
                |square: &Square| *square != own && self.at.contains_key(square) && place.is_in(*square);
            if place.around().iter().any(covers) {
                seen.entry(place.of).or_default().insert(place.n);
            }
        }
        Ok(of.into_iter().filter(|n| seen.get(n) == probed.get(n)).collect())
    }

    /// For each candidate the granules whose footprint may meet its own, with their footprints.
    fn neighbours(
        &self,
        parts: &[Part],
        candidates: &[usize],
    ) -> anyhow::Result<HashMap<usize, Vec<(usize, MultiPolygon)>>> {
        let squares: Vec<_> = candidates.iter().map(|n| parts[*n].square).collect();
        let mut places = Places::default();
        for (n, footprint) in candidates.iter().zip(footprints(&squares)?) {
            let corners = footprint.0.iter().flat_map(|p| p.exterior().0.iter().copied());
            places.add(*n, parts[*n].square.zone, corners);
        }
        let mut near: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for place in places.in_zones()? {
            let others = place.around().into_iter().filter_map(|square| self.at.get(&square));
            near.entry(place.of).or_default().extend(others.filter(|n| **n != place.of));
        }
        let used: Vec<usize> =
            near.values().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let shapes = footprints(&used.iter().map(|n| parts[*n].square).collect::<Vec<_>>())?;
        let shapes: HashMap<usize, MultiPolygon> = used.into_iter().zip(shapes).collect();
        let with_shapes = |near: Option<&BTreeSet<usize>>| {
            near.into_iter().flatten().map(|n| (*n, shapes[n].clone())).collect()
        };
        Ok(candidates.iter().map(|n| (*n, with_shapes(near.get(n)))).collect())
    }
}

/// Places on the rim of a part, moved inward.
fn rim(part: &Part) -> Vec<Point> {
    let Some(largest) = part.own.0.iter().max_by(|a, b| a.unsigned_area().total_cmp(&b.unsigned_area()))
    else {
        return Vec::new();
    };
    let Some(middle) = largest.interior_point() else { return Vec::new() };
    let corners = &largest.exterior().0;
    let step = (corners.len() / PROBES).max(1);
    let inward = |corner: &Coord| Point::from(*corner * (1.0 - INWARD) + middle.0 * INWARD);
    corners.iter().step_by(step).map(inward).chain([middle]).filter(|point| largest.contains(point)).collect()
}

/// Places of parts, to be looked at in the zones around.
#[derive(Default)]
struct Places {
    /// By zone: the part, the number of the place, and where it is.
    by_zone: BTreeMap<u32, Vec<(usize, usize, Coord)>>,
    n: usize,
}

/// A place in metres of a zone; northings are negative south of the equator.
struct Place {
    of: usize,
    n: usize,
    zone: u32,
    east_m: f64,
    north_m: f64,
}

impl Places {
    fn add(&mut self, of: usize, zone: u32, coords: impl IntoIterator<Item = Coord>) {
        for coord in coords {
            for zone in beside(zone).into_iter().chain([zone]) {
                self.by_zone.entry(zone).or_default().push((of, self.n, coord));
            }
            self.n += 1;
        }
    }

    fn in_zones(self) -> anyhow::Result<Vec<Place>> {
        let mut found = Vec::new();
        for (zone, places) in self.by_zone {
            let (mut x, mut y): (Vec<f64>, Vec<f64>) = places.iter().map(|(.., c)| (c.x, c.y)).unzip();
            transform_points(&Crs::wgs84()?, &Crs::from_epsg(32_600 + zone)?, &mut x, &mut y)?;
            let metres = x.into_iter().zip(y);
            found.extend(places.into_iter().zip(metres).map(|((of, n, _), (east_m, north_m))| Place {
                of,
                n,
                zone,
                east_m,
                north_m,
            }));
        }
        Ok(found)
    }
}

impl Place {
    /// The squares whose granule may hold the place.
    fn around(&self) -> Vec<Square> {
        let (col, row) = ((self.east_m / SQUARE_M).floor() as i64, (self.north_m / SQUARE_M).floor() as i64);
        let mut found = Vec::with_capacity(9);
        for row in row - 1..=row + 1 {
            for col in (col - 1).max(1)..=(col + 1).min(8) {
                let south = row < 0;
                let row = if south { row + 100 } else { row };
                if let (Ok(row), Ok(col)) = (u32::try_from(row), u32::try_from(col)) {
                    found.push(Square { zone: self.zone, south, row, col });
                }
            }
        }
        found
    }

    /// Whether the place is in a square's granule, or hardly outside.
    fn is_in(&self, square: Square) -> bool {
        let (west, north) = square.corner_m();
        let north = if square.south { north - FALSE_NORTHING_M } else { north };
        let reach = -CLEARLY_OUTSIDE_M..=GRANULE_M + CLEARLY_OUTSIDE_M;
        reach.contains(&(self.east_m - west)) && reach.contains(&(north - self.north_m))
    }
}

/// Areas in order; they are never NaN.
#[derive(PartialEq)]
struct Ordered(f64);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}
