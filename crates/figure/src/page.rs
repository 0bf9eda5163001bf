//! Pages: a map with its column, and panels side by side.

use crate::canvas::{Canvas, Type};
use crate::map::{Area, LATITUDES, LONGITUDES};
use crate::{FigureError, Map, Reliability, Scatter, Words};

const MARGIN: f64 = 24.0;
const GUTTER: f64 = 22.0;

impl Words {
    /// Title and subtitle at the top of a page; returns where the rest begins.
    pub(crate) fn head(&self, canvas: &mut Canvas, margin: f64) -> f64 {
        let inner = canvas.width - 2.0 * margin;
        let y = canvas.paragraph(margin, margin + 16.0, inner, Type::TITLE, &self.title) - 6.0;
        canvas.paragraph(margin, y, inner, Type::BODY, &self.subtitle) + 2.0
    }

    /// The credit under `y`; returns the height of the page.
    pub(crate) fn foot(&self, canvas: &mut Canvas, margin: f64, y: f64) -> f64 {
        let inner = canvas.width - 2.0 * margin;
        canvas.paragraph(margin, y + 20.0, inner, Type::CREDIT, &self.credit) + margin * 0.5
    }
}

/// One map with title, legend, scale bar, north arrow, degrees and credit: at most 900 points wide.
///
/// # Errors
/// [`FigureError::Draw`] if the page cannot be drawn.
pub fn map(words: &Words, map: &Map) -> Result<Vec<u8>, FigureError> {
    const COLUMN: f64 = 172.0;
    const WIDEST: f64 = 900.0;
    const NARROWEST: f64 = 600.0;
    let left = MARGIN + if map.ground.is_some() { LATITUDES } else { 0.0 };
    let right = GUTTER + COLUMN + MARGIN;
    let (width, height) = map.fit(WIDEST - left - right, 660.0);
    let mut canvas = Canvas::new((left + width + right).max(NARROWEST).round());
    let y = words.head(&mut canvas, MARGIN);
    let area = Area { x: left, y, width, height };
    map.draw(&mut canvas, area);
    let end = map.draw_column(&mut canvas, area, left + width + GUTTER, COLUMN);
    let end = words.foot(&mut canvas, MARGIN, end);
    canvas.png(end)
}

/// One picture of a page of several.
#[derive(Clone, Debug, PartialEq)]
pub enum Panel {
    /// A map with its legend under it.
    Map(Map),
    /// A scatter plot.
    Scatter(Scatter),
    /// A calibration curve.
    Reliability(Reliability),
}

/// Panels of equal width in one row, 340 points each.
///
/// # Errors
/// [`FigureError::Empty`] without panels, [`FigureError::Pairs`] for a scatter plot of unequal lists,
/// [`FigureError::Draw`] if the page cannot be drawn.
pub fn side_by_side(words: &Words, panels: &[Panel]) -> Result<Vec<u8>, FigureError> {
    const INNER: f64 = 340.0;
    if panels.is_empty() {
        return Err(FigureError::Empty("a page without panels"));
    }
    let step = LATITUDES + INNER + GUTTER;
    let mut canvas = Canvas::new(2.0 * MARGIN + step * panels.len() as f64 - GUTTER);
    let y = words.head(&mut canvas, MARGIN) + 6.0;
    let mut end = y;
    for (column, panel) in panels.iter().enumerate() {
        let x = MARGIN + LATITUDES + column as f64 * step;
        end = end.max(panel.draw(&mut canvas, Area { x, y, width: INNER, height: INNER })?);
    }
    let end = words.foot(&mut canvas, MARGIN, end);
    canvas.png(end)
}

impl Panel {
    /// The panel with its heading at the area's top; returns where it ends.
    fn draw(&self, canvas: &mut Canvas, area: Area) -> Result<f64, FigureError> {
        let heading = match self {
            Panel::Map(map) => &map.heading,
            Panel::Scatter(scatter) => &scatter.heading,
            Panel::Reliability(curve) => &curve.heading,
        };
        let y = canvas.paragraph(area.x, area.y + 10.0, area.width, Type::HEADING, heading) - 8.0;
        match self {
            Panel::Map(map) => {
                let (width, height) = map.fit(area.width, area.height * 1.3);
                map.draw(canvas, Area { y, width, height, ..area });
                let band = Area { y: y + height + LONGITUDES + 6.0, width, ..area };
                map.draw_band(canvas, band);
                Ok(band.y + Map::BAND)
            }
            Panel::Scatter(scatter) => {
                scatter.check()?;
                scatter.draw(canvas, Area { y, ..area });
                Ok(y + area.height + 40.0)
            }
            Panel::Reliability(curve) => {
                curve.draw(canvas, Area { y, ..area });
                Ok(y + area.height + 40.0)
            }
        }
    }
}
