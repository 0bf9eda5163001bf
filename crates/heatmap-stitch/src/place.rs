//! Where the pixels of a map lie in a granule's table of cells.

use std::ops::Range;

use raster::{Bounds, Crs, Grid, Window, transform_points};

use crate::layer::Layer;
use crate::stitch::{EDGE_TOLERANCE_PX, MESH_PX, Spot};

/// Points on each side of a rectangle when its image is sought: its edges become curves.
const POINTS_A_SIDE: usize = 33;

/// A granule on a map's grid.
pub(crate) struct Placed<'a> {
    pub layer: &'a Layer,
    /// Rows and columns of cells, in the map's own coordinate system.
    pub axes: Option<(Axis, Axis)>,
    mesh: Option<Mesh>,
    rows: Range<usize>,
    columns: Range<usize>,
    margin_m: f64,
}

impl<'a> Placed<'a> {
    /// A granule of the grid's coordinate system.
    pub fn aligned(layer: &'a Layer, grid: &Grid, margin_m: f64) -> Placed<'a> {
        let t = &grid.transform;
        let down: Vec<f64> = layer.ys_m.iter().map(|y| (t.north - y) / t.pixel_height).collect();
        let across: Vec<f64> = layer.xs_m.iter().map(|x| (x - t.west) / t.pixel_width).collect();
        let rows = Axis::of(&down, grid.height, t.pixel_height, margin_m);
        let columns = Axis::of(&across, grid.width, t.pixel_width, margin_m);
        let (row_range, column_range) = (rows.range(), columns.range());
        Placed {
            layer,
            axes: Some((rows, columns)),
            mesh: None,
            rows: row_range,
            columns: column_range,
            margin_m,
        }
    }

    /// A granule of any coordinate system.
    pub fn on(layer: &'a Layer, crs: &Crs, grid: &Grid, margin_m: f64) -> raster::Result<Placed<'a>> {
        if crs.same_as(&grid.crs) {
            return Ok(Placed::aligned(layer, grid, margin_m));
        }
        let image = image_of(&layer.bounds(), crs, &grid.crs)?;
        let t = &grid.transform;
        let pad = |metres: f64| margin_m / metres + 1.0;
        let (top, left) = t.to_pixel(image.west, image.north);
        let (bottom, right) = t.to_pixel(image.east, image.south);
        let range = |low: f64, high: f64, pad: f64, n: usize| {
            let clamp = |v: f64| v.clamp(0.0, n as f64) as usize;
            clamp((low - pad).floor())..clamp((high + pad).ceil())
        };
        let rows = range(top, bottom, pad(t.pixel_height), grid.height);
        let columns = range(left, right, pad(t.pixel_width), grid.width);
        let mesh = Some(Mesh::over(&rows, &columns, grid, crs)?);
        Ok(Placed { layer, axes: None, mesh, rows, columns, margin_m })
    }

    /// Whether the granule has a pixel in a window.
    pub fn touches(&self, window: &Window) -> bool {
        let meet =
            |range: &Range<usize>, first: usize, n: usize| range.start < first + n && first < range.end;
        meet(&self.rows, window.row, window.height) && meet(&self.columns, window.col, window.width)
    }

    /// Calls back for each pixel of a row at which the granule has a tile with a score, or nearly has.
    pub fn along(&self, row: usize, columns: Range<usize>, mut found: impl FnMut(usize, Spot<'a>)) {
        let columns = columns.start.max(self.columns.start)..columns.end.min(self.columns.end);
        if !self.rows.contains(&row) || columns.is_empty() {
            return;
        }
        match (&self.axes, &self.mesh) {
            (Some(axes), _) => self.along_axes(axes, row, columns, &mut found),
            (None, Some(mesh)) => self.along_mesh(mesh, row, columns, &mut found),
            (None, None) => {}
        }
    }

    fn along_axes(
        &self,
        (rows, across): &(Axis, Axis),
        row: usize,
        columns: Range<usize>,
        found: &mut impl FnMut(usize, Spot<'a>),
    ) {
        let Some(down) = rows.spot(row) else { return };
        for column in columns {
            let Some(over) = across.spot(column) else { continue };
            let Some(cell) = self.layer.cell(down.cell, over.cell) else { continue };
            let spot =
                Spot { cell, edge_m: down.edge_m.min(over.edge_m), inside: down.inside && over.inside };
            found(column, spot);
        }
    }

    fn along_mesh(
        &self,
        mesh: &Mesh,
        row: usize,
        columns: Range<usize>,
        found: &mut impl FnMut(usize, Spot<'a>),
    ) {
        let b = self.layer.bounds();
        mesh.along(row, columns, |column, (east_m, north_m)| {
            let edge_m = (east_m - b.west).min(b.east - east_m).min(north_m - b.south).min(b.north - north_m);
            if edge_m < -self.margin_m {
                return;
            }
            let inside = b.west <= east_m && east_m < b.east && b.south < north_m && north_m <= b.north;
            let (row, cell_column) = (self.layer.row_of(north_m), self.layer.column_of(east_m));
            if let Some(cell) = self.layer.cell(row, cell_column) {
                found(column, Spot { cell, edge_m, inside });
            }
        });
    }
}

/// The rectangle around the image of a rectangle in another coordinate system.
pub(crate) fn image_of(bounds: &Bounds, from: &Crs, to: &Crs) -> raster::Result<Bounds> {
    let share = |i: usize| i as f64 / (POINTS_A_SIDE - 1) as f64;
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for i in 0..POINTS_A_SIDE {
        let east = bounds.west + share(i) * (bounds.east - bounds.west);
        let north = bounds.south + share(i) * (bounds.north - bounds.south);
        x.extend([east, east, bounds.west, bounds.east]);
        y.extend([bounds.south, bounds.north, north, north]);
    }
    if !from.same_as(to) {
        transform_points(from, to, &mut x, &mut y)?;
    }
    let least = |v: &[f64]| v.iter().copied().fold(f64::INFINITY, f64::min);
    let most = |v: &[f64]| v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Ok(Bounds { west: least(&x), south: least(&y), east: most(&x), north: most(&y) })
}

/// The cells along one axis of the map.
pub(crate) struct Axis {
    first: usize,
    spots: Vec<AxisSpot>,
}

#[derive(Clone, Copy)]
pub(crate) struct AxisSpot {
    pub cell: usize,
    pub edge_m: f64,
    pub inside: bool,
}

impl Axis {
    /// From the places of the edges in pixels, ascending.
    fn of(edges_px: &[f64], n: usize, pixel_m: f64, margin_m: f64) -> Axis {
        let bounds: Vec<usize> = edges_px.iter().map(|&edge| first_centre(edge, n)).collect();
        let (low, high) = (edges_px[0], edges_px[edges_px.len() - 1]);
        let margin_px = margin_m / pixel_m;
        let first = first_centre(low - margin_px, n);
        let end = first_centre(high + margin_px, n);
        let spot = |pixel: usize| {
            let centre = pixel as f64 + 0.5;
            let after = bounds.partition_point(|&bound| bound <= pixel);
            AxisSpot {
                cell: after.clamp(1, bounds.len() - 1) - 1,
                edge_m: (centre - low).min(high - centre) * pixel_m,
                inside: (bounds[0]..bounds[bounds.len() - 1]).contains(&pixel),
            }
        };
        Axis { first, spots: (first..end).map(spot).collect() }
    }

    fn range(&self) -> Range<usize> {
        self.first..self.first + self.spots.len()
    }

    fn spot(&self, pixel: usize) -> Option<AxisSpot> {
        self.spots.get(pixel.checked_sub(self.first)?).copied()
    }

    /// The cell over a pixel's centre.
    pub fn cell(&self, pixel: usize) -> Option<usize> {
        self.spot(pixel).filter(|spot| spot.inside).map(|spot| spot.cell)
    }
}

/// The first pixel whose centre is not before the edge, within `0..=n`.
fn first_centre(edge_px: f64, n: usize) -> usize {
    (edge_px - 0.5 - EDGE_TOLERANCE_PX).ceil().clamp(0.0, n as f64) as usize
}

/// Exact places in a granule's coordinate system, [`MESH_PX`] pixels apart.
struct Mesh {
    row: usize,
    column: usize,
    n_columns: usize,
    places_m: Vec<(f64, f64)>,
}

impl Mesh {
    fn over(rows: &Range<usize>, columns: &Range<usize>, grid: &Grid, crs: &Crs) -> raster::Result<Mesh> {
        let n = |range: &Range<usize>| range.len().div_ceil(MESH_PX) + 1;
        let (n_rows, n_columns) = (n(rows), n(columns));
        let place = |start: usize, i: usize| (start + i * MESH_PX) as f64 + 0.5;
        let nodes = (0..n_rows).flat_map(|r| (0..n_columns).map(move |c| (r, c)));
        let (mut x, mut y): (Vec<f64>, Vec<f64>) = nodes
            .map(|(r, c)| grid.transform.to_world(place(rows.start, r), place(columns.start, c)))
            .unzip();
        transform_points(&grid.crs, crs, &mut x, &mut y)?;
        let places_m = x.into_iter().zip(y).collect();
        Ok(Mesh { row: rows.start, column: columns.start, n_columns, places_m })
    }

    /// The places of the centres of a row's pixels.
    fn along(&self, row: usize, columns: Range<usize>, mut each: impl FnMut(usize, (f64, f64))) {
        let (node_row, down) = split(row - self.row);
        let upper = &self.places_m[node_row * self.n_columns..][..self.n_columns];
        let lower = &self.places_m[(node_row + 1) * self.n_columns..][..self.n_columns];
        let mix = |a: (f64, f64), b: (f64, f64), t: f64| (a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1));
        for column in columns {
            let (node, across) = split(column - self.column);
            let left = mix(upper[node], lower[node], down);
            let right = mix(upper[node + 1], lower[node + 1], down);
            each(column, mix(left, right, across));
        }
    }
}

/// The node before a pixel and the share of the way to the next.
fn split(pixel: usize) -> (usize, f64) {
    (pixel / MESH_PX, (pixel % MESH_PX) as f64 / MESH_PX as f64)
}
