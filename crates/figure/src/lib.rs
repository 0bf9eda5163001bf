//! Pictures for people: maps with legends, contact sheets and charts, as PNG bytes.
//!
//! A picture is written as SVG text, drawn by resvg with one embedded font (DejaVu Sans Condensed), and laid over
//! the images, which are resampled to whole output pixels and copied, never filtered. No system font, clock or
//! locale takes part: the same input gives the same bytes on every machine.
//!
//! Left out: georeferenced files (`raster` writes those), interaction, and scripts that DejaVu lacks (Chinese,
//! among others: such letters show as boxes, so titles are given in Latin, Greek or Cyrillic script).
//!
//! Lengths of a layout are in *points* of the page; one point is [`PIXELS_PER_POINT`] output pixels.

mod canvas;
mod chart;
mod colour;
mod map;
mod order;
mod page;
mod pixels;
mod reliability;
mod scatter;
mod sheet;
mod ticks;

pub use canvas::PIXELS_PER_POINT;
pub use chart::{Chart, Charts, charts, group_colour};
pub use colour::{Rgb, Scale};
pub use map::{Ground, Legend, Map};
pub use order::{Order, Ranked, order_png, order_svg};
pub use page::{Panel, map, side_by_side};
pub use pixels::ImageRgb;
pub use reliability::{Reliability, Sure};
pub use scatter::{Axis, Scatter};
pub use sheet::{ContactSheet, SheetRow, Thumbnail, contact_sheet};

/// The words around a picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Words {
    /// What the picture shows, in large letters at the top.
    pub title: String,
    /// One or two sentences under the title; wrapped to the page. May be empty.
    pub subtitle: String,
    /// Source, licence and maker, in small letters at the foot. May be empty.
    pub credit: String,
}

/// Why a picture could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    /// The pixel buffer does not fill the image.
    #[error("an image of {height} x {width} px needs {wanted} bytes, found {found}")]
    Pixels {
        /// Rows of the image.
        height: usize,
        /// Columns of the image.
        width: usize,
        /// `height * width * 3`, or one value a pixel.
        wanted: usize,
        /// Length of the buffer given.
        found: usize,
    },
    /// A picture of nothing.
    #[error("nothing to draw: {0}")]
    Empty(&'static str),
    /// Two coordinate lists that should pair up.
    #[error("a scatter plot needs as many x as y values, found {xs} and {ys}")]
    Pairs {
        /// Number of x values.
        xs: usize,
        /// Number of y values.
        ys: usize,
    },
    /// The page is too large, or the SVG text is broken.
    #[error("drawing a page of {height} x {width} px: {reason}")]
    Draw {
        /// Rows of the page.
        height: u32,
        /// Columns of the page.
        width: u32,
        /// What the renderer said.
        reason: String,
    },
}
