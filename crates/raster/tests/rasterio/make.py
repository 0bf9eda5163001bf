"""Makes small rasters of all kinds, and what rasterio (GDAL) reads from them: NAME BAND lines in list.txt, f64 beside, not a number for no data.

Left out: what raster refuses to open.
"""

import os
import sys
import warnings

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

warnings.filterwarnings("ignore")
folder = sys.argv[1]
HEIGHT, WIDTH = 50, 70
rows, cols = np.mgrid[0:HEIGHT, 0:WIDTH]
listed = []


def ground(dtype, band=0):
    """Smooth and rough ground that fits every type, some of it 0."""
    values = (rows // 7 * 13 + cols // 5 * 3 + (rows * WIDTH + cols) ** 2 % 4 + band * 50) % 121
    if np.issubdtype(dtype, np.floating):
        return (values * 1.37).astype(dtype)
    return values.astype(dtype)


def hidden():
    return (rows - 20) ** 2 + (cols - 30) ** 2 < 150


def write(name, dtype, count=1, nodata=None, change=None, after=None, **layout):
    path = os.path.join(folder, name + ".tif")
    place = dict(crs="EPSG:32648", transform=from_origin(400000, 3500000, 10, 10))
    place |= {key: layout.pop(key) for key in ("crs", "transform") if key in layout}
    with rasterio.open(path, "w", driver="GTiff", height=HEIGHT, width=WIDTH, count=count, dtype=dtype, nodata=nodata, **place, **layout) as to:
        for band in range(count):
            values = ground(np.dtype(dtype), band)
            if change:
                values = change(values, band)
            if values is not None:
                to.write(values, band + 1)
        if after:
            after(to)
    listed.append(name)


def fill(value):
    def change(values, band):
        values[hidden()] = value
        return values
    return change


def mask(to):
    to.write_mask(np.where(hidden(), 0, 255).astype("uint8"))


def alpha_at(band, dtype="uint8", part=True):
    def after(to):
        to.colorinterp = [ColorInterp.alpha if i + 1 == band else ci for i, ci in enumerate(to.colorinterp)]
        opacity = np.where(hidden(), 0, np.iinfo(dtype).max).astype(dtype)
        if part:
            opacity[0, :9] = 1
        to.write(opacity, band)
    return after


def scaled(scale, offset, more=None):
    def after(to):
        to.scales, to.offsets = [scale] * to.count, [offset] * to.count
        if more:
            more(to)
    return after


TILED = dict(tiled=True, blockxsize=16, blockysize=16)
INSIDE = dict(GDAL_TIFF_INTERNAL_MASK=True)

for dtype in ("uint8", "uint16", "int16", "uint32", "int32", "float32", "float64"):
    write(f"plain_{dtype}", dtype, compress="deflate", predictor=3 if dtype.startswith("float") else 2)
    write(f"nodata_{dtype}", dtype, nodata=77, change=fill(77), compress="zstd", **TILED)
write("nodata_of_six_digits", "float32", nodata=-999.3, change=fill(-999.3))
write("nodata_least_float", "float32", nodata=float(np.finfo("float32").min), change=fill(np.finfo("float32").min), compress="lzw", predictor=3)
write("nodata_most_double", "float64", nodata=-1.79769313486231e308, change=fill(np.finfo("float64").min))
write("nodata_nan", "float32", nodata=float("nan"), change=fill(np.nan), compress="zstd", predictor=3)
write("nan_untagged", "float64", change=fill(np.nan))
write("nodata_that_no_pixel_has", "float32", nodata=-9999)
write("nodata_in_every_band", "int16", count=3, nodata=-9999, change=lambda v, b: fill(-9999)(v, b) if b < 2 else v, interleave="pixel")
with rasterio.Env(**INSIDE):
    write("mask_inside", "float32", after=mask, compress="deflate")
    write("mask_inside_rgb", "uint8", count=3, after=mask, photometric="rgb", interleave="pixel", **TILED)
    write("mask_inside_jpeg", "uint8", count=3, after=mask, photometric="ycbcr", compress="jpeg", interleave="pixel", tiled=True, blockxsize=64, blockysize=32)
    write("mask_inside_beats_nodata", "int16", nodata=5, after=mask)
    write("mask_inside_scaled", "uint16", after=scaled(1e-4, -0.1, mask), compress="zstd", predictor=2)
with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False):
    write("mask_beside", "uint16", after=mask, compress="lzw", predictor=2)
    write("mask_beside_bands", "uint8", count=2, after=mask, interleave="band")
write("alpha_rgb", "uint8", count=4, photometric="rgb", after=alpha_at(4))
write("alpha_of_two", "uint8", count=2, after=alpha_at(2))
write("alpha_of_five", "uint8", count=5, after=alpha_at(5), interleave="band")
write("alpha_wide", "uint16", count=4, photometric="rgb", after=alpha_at(4, "uint16"), compress="deflate", **TILED)
write("alpha_and_nodata", "uint8", count=4, photometric="rgb", nodata=0, after=alpha_at(4, part=False))
write("scale_landsat", "uint16", count=3, nodata=0, after=scaled(2.75e-5, -0.2), interleave="pixel", compress="deflate")
write("scale_and_nodata", "int16", nodata=-9999, change=fill(-9999), after=scaled(0.1, 0.0))
write("scale_of_floats", "float32", nodata=-1, change=fill(-1), after=scaled(2.5, 40.0))
write("scale_of_wide", "int32", nodata=-2147483648, change=fill(-2147483648), after=scaled(1e-3, 5.0))
write("palette", "uint8", nodata=255, change=fill(255), after=lambda to: to.write_colormap(1, {i: (i, 0, 255 - i, 255) for i in range(256)}))
write("one_bit", "uint8", change=lambda v, b: (v % 2).astype("uint8"), nbits=1, compress="deflate")
write("seven_bits", "uint8", change=lambda v, b: v, nbits=7)
write("twelve_bits", "uint16", nodata=4095, change=fill(4095), nbits=12)
write("half_floats", "float32", nbits=16)
write("big_endian", "uint16", nodata=9, endianness="big", compress="deflate")
write("big_tiff", "float32", nodata=-5, change=fill(-5), bigtiff="yes", compress="zstd", zstd_level=3, **TILED)
write("sparse", "uint16", nodata=7, change=lambda v, b: None, sparse_ok=True, **TILED)
write("strips", "uint16", count=2, blockysize=11, interleave="band", compress="packbits")
write("one_strip", "int16", blockysize=HEIGHT, compress="lzw")
write("pixel_is_point", "float32", after=lambda to: to.update_tags(AREA_OR_POINT="Point"))
write("degrees_to_360", "float32", crs="EPSG:4326", transform=from_origin(0, 30, 360 / WIDTH, 0.5), nodata=-9, change=fill(-9))
write("degrees_beyond_360", "uint16", crs="EPSG:4326", transform=from_origin(400, 30, 0.25, 0.5), **TILED)
write("nodata_values", "uint8", count=3, change=lambda v, b: fill(b + 1)(v, b), after=lambda to: to.update_tags(NODATA_VALUES="1 2 3"))

for name in listed:
    with rasterio.open(os.path.join(folder, name + ".tif")) as of:
        opacity = [of.read(i + 1) for i, ci in enumerate(of.colorinterp) if ci == ColorInterp.alpha and of.count > 1]
        turn = WIDTH - WIDTH // 2 if name == "degrees_to_360" else 0
        for band in range(1, of.count + 1):
            masked = of.read(band, masked=True)
            none = np.ma.getmaskarray(masked).copy()
            if np.issubdtype(masked.dtype, np.floating):
                none |= np.isnan(masked.data)
            if opacity and of.colorinterp[band - 1] != ColorInterp.alpha:
                none |= opacity[0] == 0
            values = masked.data.astype("float64") * of.scales[band - 1] + of.offsets[band - 1]
            values[none] = np.nan
            values = np.roll(values, turn, axis=1)
            raw = np.roll(masked.data.astype("float64"), turn, axis=1)
            values.astype("<f8").tofile(os.path.join(folder, f"{name}.{band}.values"))
            raw.astype("<f8").tofile(os.path.join(folder, f"{name}.{band}.numbers"))
with open(os.path.join(folder, "list.txt"), "w") as to:
    to.write("\n".join(listed))
