use crate::Crs;

/// Agreement of two grids, in pixels: far below what shifts an image, far above the rounding of an origin in metres.
const WHOLE_PIXEL_TOLERANCE_PX: f64 = 1e-3;

/// From pixels to the ground for a north-up raster: `x = west + col * pixel_width`, `y = north - row * pixel_height`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// `x` of the left edge of column 0, in CRS units.
    pub west: f64,
    /// `y` of the upper edge of row 0, in CRS units.
    pub north: f64,
    /// Width of a pixel in CRS units, positive.
    pub pixel_width: f64,
    /// Height of a pixel in CRS units, positive.
    pub pixel_height: f64,
}

impl Affine {
    /// The ground at a pixel position; whole numbers are upper left corners, halves are centres. Returns `(x, y)`.
    pub fn to_world(&self, row: f64, col: f64) -> (f64, f64) {
        (self.west + col * self.pixel_width, self.north - row * self.pixel_height)
    }

    /// The pixel position of a point on the ground. Returns `(row, col)`.
    pub fn to_pixel(&self, x: f64, y: f64) -> (f64, f64) {
        ((self.north - y) / self.pixel_height, (x - self.west) / self.pixel_width)
    }

    pub(crate) fn from_gdal(geo: [f64; 6]) -> Option<Self> {
        let [west, pixel_width, row_skew, north, col_skew, minus_height] = geo;
        let usable = geo.iter().all(|v| v.is_finite())
            && pixel_width > 0.0
            && minus_height < 0.0
            && row_skew == 0.0
            && col_skew == 0.0;
        usable.then_some(Self { west, north, pixel_width, pixel_height: -minus_height })
    }

    pub(crate) fn to_gdal(self) -> [f64; 6] {
        [self.west, self.pixel_width, 0.0, self.north, 0.0, -self.pixel_height]
    }
}

/// A rectangle on the ground, in the units of its coordinate system.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Smallest `x`.
    pub west: f64,
    /// Smallest `y`.
    pub south: f64,
    /// Largest `x`.
    pub east: f64,
    /// Largest `y`.
    pub north: f64,
}

/// Where the pixels of a raster lie; holds no pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// From pixels to the ground.
    pub transform: Affine,
    /// The coordinate system of the ground.
    pub crs: Crs,
}

impl Grid {
    /// The outer edges of the grid, in CRS units.
    pub fn bounds(&self) -> Bounds {
        let (west, north) = self.transform.to_world(0.0, 0.0);
        let (east, south) = self.transform.to_world(self.height as f64, self.width as f64);
        Bounds { west, south, east, north }
    }

    /// The grid of a window. It may reach outside `self`; its place on the ground is still right.
    pub fn window(&self, row: i64, col: i64, height: usize, width: usize) -> Self {
        let (west, north) = self.transform.to_world(row as f64, col as f64);
        Self { height, width, transform: Affine { west, north, ..self.transform }, crs: self.crs.clone() }
    }

    /// The row and column of `self` at which the first pixel of `other` lies, if the two grids have the same coordinate system and
    /// pixel size and differ by whole pixels; otherwise `None`.
    pub fn offset_of(&self, other: &Self) -> Option<(i64, i64)> {
        let same_size =
            |a: f64, b: f64, n: usize| (a - b).abs() * n.max(1) as f64 <= WHOLE_PIXEL_TOLERANCE_PX * a.abs();
        let (a, b) = (&self.transform, &other.transform);
        let height = self.height.max(other.height);
        let width = self.width.max(other.width);
        if !same_size(a.pixel_height, b.pixel_height, height)
            || !same_size(a.pixel_width, b.pixel_width, width)
            || !self.crs.same_as(&other.crs)
        {
            return None;
        }
        let (row, col) = a.to_pixel(b.west, b.north);
        let whole = |v: f64| (v - v.round()).abs() <= WHOLE_PIXEL_TOLERANCE_PX;
        (whole(row) && whole(col)).then_some((row.round() as i64, col.round() as i64))
    }

    /// Whether pixels of both grids can be combined without resampling.
    pub fn agrees_to_whole_pixel(&self, other: &Self) -> bool {
        self.offset_of(other).is_some()
    }

    /// Number of pixels.
    pub fn len(&self) -> usize {
        self.height * self.width
    }

    /// Whether the grid has no pixels.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
