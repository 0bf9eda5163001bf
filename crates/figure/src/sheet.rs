//! Contact sheets: rows of titled thumbnails, for a person to judge what a group of images has in common.

use crate::canvas::{Anchor, Canvas, Type, fitted};
use crate::{FigureError, ImageRgb, Rgb, Words};

/// A small image with a caption of one short line (shortened with an ellipsis if it does not fit).
#[derive(Clone, Debug, PartialEq)]
pub struct Thumbnail {
    /// The image; drawn as a square-cornered cell whose width is the sheet's, its own proportions kept.
    pub image: ImageRgb,
    /// A line under the image. May be empty.
    pub caption: String,
}

/// One group of thumbnails: a title, a line of text, and the images, wrapped over as many lines as they need.
#[derive(Clone, Debug, PartialEq)]
pub struct SheetRow {
    /// Name of the group.
    pub title: String,
    /// What is known of the group; wrapped to the page. May be empty.
    pub note: String,
    /// The images, in the order they are shown.
    pub thumbnails: Vec<Thumbnail>,
}

/// A page of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct ContactSheet {
    /// Title, subtitle and credit of the page.
    pub words: Words,
    /// Thumbnails side by side.
    pub columns: usize,
    /// The rows, from the top.
    pub rows: Vec<SheetRow>,
}

const PAGE: f64 = 900.0;
const MARGIN: f64 = 24.0;
const GAP: f64 = 8.0;

/// The sheet as PNG, 900 points wide and as high as its rows need. A row without thumbnails shows its text alone.
///
/// # Errors
/// [`FigureError::Empty`] without rows or columns; [`FigureError::Draw`] if the page is too large.
pub fn contact_sheet(sheet: &ContactSheet) -> Result<Vec<u8>, FigureError> {
    if sheet.rows.is_empty() || sheet.columns == 0 {
        return Err(FigureError::Empty("a contact sheet without rows or columns"));
    }
    let inner = PAGE - 2.0 * MARGIN;
    let cell = (inner - GAP * (sheet.columns - 1) as f64) / sheet.columns as f64;
    let mut canvas = Canvas::new(PAGE);
    let mut y = sheet.words.head(&mut canvas, MARGIN);
    for row in &sheet.rows {
        canvas.line((MARGIN, y), (PAGE - MARGIN, y), Rgb::RULE, 1.0);
        y = canvas.paragraph(MARGIN, y + 20.0, inner, Type::HEADING, &row.title);
        y = canvas.paragraph(MARGIN, y, inner, Type::BODY, &row.note) - Type::BODY.size + 4.0;
        for line in row.thumbnails.chunks(sheet.columns) {
            y = thumbnails(&mut canvas, y, cell, line);
        }
        y += 8.0;
    }
    let end = sheet.words.foot(&mut canvas, MARGIN, y);
    canvas.png(end)
}

/// One line of images with their tops at `y`; returns where the next begins.
fn thumbnails(canvas: &mut Canvas, y: f64, cell: f64, line: &[Thumbnail]) -> f64 {
    let mut tallest = 0.0_f64;
    let mut captions = false;
    for (column, thumbnail) in line.iter().enumerate() {
        let x = MARGIN + column as f64 * (cell + GAP);
        let height = cell * thumbnail.image.height() as f64 / thumbnail.image.width() as f64;
        canvas.image(x, y, cell, height, &thumbnail.image);
        let caption = fitted(&thumbnail.caption, Type::TICK, cell);
        canvas.text(x, y + height + 13.0, Anchor::Start, Type::TICK, &caption);
        tallest = tallest.max(height);
        captions |= !caption.is_empty();
    }
    y + tallest + if captions { 13.0 + GAP } else { GAP }
}
