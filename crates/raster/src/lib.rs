//! The only code that knows GDAL: grids on the ground, georeferenced rasters read in windows, Cloud Optimized GeoTIFF written whole.
//!
//! A [`Grid`] says where pixels lie and holds none of them. A [`Source`] reads a file that this crate is willing to trust: a GeoTIFF,
//! a JPEG 2000 or a PNG with a coordinate system, north up, of bounded size; never a VRT, which can name other files. A [`Canvas`]
//! holds the bands of one output, in memory or in a hidden file beside it, and writes them as a COG, the same bytes for any number of threads;
//! [`write_cog_painted`] writes one whose blocks a function paints, and holds none.
//!
//! Height comes before width, row before column, `x` is east or longitude and `y` is north or latitude, whatever the authority's axis order.
//! [`read_layer`] reads polygons of GeoJSON, GeoPackage, FlatGeobuf and shapefiles.
//! Nothing here resamples: two grids combine only where they agree to a whole pixel.
//!
//! [`Source::read_values`] is how a quantity is read: scaled as the file says, and not a number where a mask, a band of opacity or the no-data value
//! says that there is none; [`Source::read_mask`] gives the masks alone, for readers of pictures.
//!
//! Left out: rotated or south-up rasters, files without a coordinate system, complex and 64-bit integer pixels, sidecar files
//! (`.aux.xml`, world files, external overviews) but a mask (`.msk`): what a file says is in the file.
//!
//! A [`Source`] may move between threads but not be shared: open one a thread.

mod blocks;
mod cog;
mod crs;
mod declared;
mod directory;
mod dtype;
mod error;
mod globe;
mod grid;
mod halve;
mod honest;
mod lost_writes;
mod mask;
mod opening;
mod pack;
mod painted;
mod pixel;
mod pool;
mod quantity;
mod scaling;
mod shapes;
mod source;
mod streamed;
mod tiff;
mod window;

pub use cog::{BandOut, Canvas, CogOptions, Overviews, write_cog};
pub use crs::{Crs, Way, bounds_deg, transform_points};
pub use declared::{Declared, Nodata};
pub use dtype::Dtype;
pub use error::{Error, Result};
pub use grid::{Affine, Bounds, Grid};
pub use painted::{Paint, write_cog_painted};
pub use pixel::{Pixel, Real};
pub use quantity::{OTHER, PEOPLE, Quantity, RADIANCE, Sieve};
pub use scaling::Scaling;
pub use shapes::{Ring, Shape, Shapes, go_the_short_way, read_layer, read_shapes};
pub use source::{MAX_WINDOW_BYTES, Source};
pub use window::Window;

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use gdal::errors::CplErrType;

/// Memory for decoded blocks unless a program wants less: a row of blocks of a scene of four bands fits.
const CACHE_MB: usize = 64;

static CACHE_MB_WANTED: AtomicUsize = AtomicUsize::new(CACHE_MB);

/// Gives decoded blocks another amount of memory, for a program that reads each block once and promises to stay small. To be called before
/// anything else here; later it has no effect.
pub fn limit_cache(megabytes: usize) {
    CACHE_MB_WANTED.store(megabytes, Ordering::Relaxed);
}

/// Keeps GDAL to the calling thread: files that it opens or writes from now on start no threads of their own.
pub fn stay_on_this_thread() {
    set_up();
    gdal::config::set_thread_local_config_option("GDAL_NUM_THREADS", "1")
        .expect("constant text without NUL is a valid option");
}

/// Sets GDAL up once: no sidecar files, no chatter on stderr (every message returns as an [`Error`]), damaged JPEG
/// blocks are errors, blocks are packed by all threads, few decoded ones are kept.
pub(crate) fn set_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gdal::config::set_error_handler(|class, _, message| {
            let failed = matches!(class, CplErrType::Failure | CplErrType::Fatal);
            if failed && (message.contains("rite") || message.contains("No space")) {
                lost_writes::note(message);
            }
        });
        for (key, value) in [
            ("GDAL_PAM_ENABLED", "NO"),
            ("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR"),
            ("GDAL_GEOREF_SOURCES", "INTERNAL"),
            ("GDAL_ERROR_ON_LIBJPEG_WARNING", "TRUE"),
            ("GDAL_NUM_THREADS", "ALL_CPUS"),
            // Of the hidden file that a canvas is kept in.
            ("GDAL_TIFF_OVR_BLOCKSIZE", "512"),
            ("CPL_VSIL_GZIP_WRITE_PROPERTIES", "NO"),
            ("GDAL_CACHEMAX", &CACHE_MB_WANTED.load(Ordering::Relaxed).to_string()),
        ] {
            gdal::config::set_config_option(key, value).expect("constant text without NUL is a valid option");
        }
    });
}
