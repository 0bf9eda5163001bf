"""Scenes as other people have them, 60 x 40 pixels: what is hidden (the western third, and a corner of the next tile) is white or noise there."""

import os
import sys
import warnings

import numpy as np
import rasterio
from rasterio.transform import from_origin

warnings.filterwarnings("ignore")
HEIGHT, WIDTH = 40, 60
rows, cols = np.mgrid[0:HEIGHT, 0:WIDTH]
hidden = (cols < 20) | ((rows < 5) & (cols < 25))
place = dict(driver="GTiff", height=HEIGHT, width=WIDTH, crs="EPSG:32648", transform=from_origin(300000, 3500000, 10, 10))
# Reflectance of 0.03 to 0.09, as land has it.
share = [0.03 + 0.0005 * ((rows * 3 + cols * 7 + band * 31) % 120) for band in range(5)]


def write(name, planes, after=None, names=(), **more):
    planes = np.stack(planes)
    layout = dict(count=len(planes), dtype=planes.dtype) | more
    with rasterio.open(os.path.join(sys.argv[1], name + ".tif"), "w", **place, **layout) as to:
        to.write(planes)
        for band, text in enumerate(names):
            to.set_band_description(band + 1, text)
        if after:
            after(to)


def mask(to):
    to.write_mask(np.where(hidden, 0, 255).astype("uint8"))


def scaled(scale, offset):
    def after(to):
        to.scales, to.offsets = [scale] * to.count, [offset] * to.count
    return after


def bytes_of(share):
    return np.where(hidden, 255, np.round(1 + share * 700)).astype("uint8")


def numbers(scale, offset, dtype="uint16", fill=0):
    return [np.where(hidden, fill, np.round((band - offset) / scale)).astype(dtype) for band in share[:3]]


RGB = dict(photometric="rgb")
natural = ("B04", "B03", "B02")
picture = [bytes_of(band) for band in share[:3]]
opacity = np.where(hidden, 0, 255).astype("uint8")
write("plain", [np.where(hidden, 0, band).astype("uint8") for band in picture], **RGB)
write("rgba", picture + [opacity], alpha="YES", **RGB)
with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
    write("inside", picture, mask, **RGB)
with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False):
    write("beside", picture, mask, **RGB)
write("white", picture, nodata=255, **RGB)

write("sentinel", numbers(1e-4, 0.0), names=natural)
write("offset", numbers(1e-4, -0.1), scaled(1e-4, -0.1), names=natural, nodata=0)
write("landsat", numbers(2.75e-5, -0.2), scaled(2.75e-5, -0.2), names=natural, nodata=0)
write("landsat_bare", numbers(2.75e-5, -0.2), names=natural, nodata=0)
write("full", numbers(1e-4, 0.0, fill=65535), names=natural, nodata=65535)
write("hls", numbers(1e-4, 0.0, "int16", -9999), scaled(1e-4, 0.0), names=natural, nodata=-9999)
write("floats", [np.where(hidden, np.nan, band).astype("float32") for band in share[:3]], names=natural)
write("floats_of_numbers", [(band * 1e4).astype("float32") for band in share[:3]], names=natural)
write("floats_scaled_twice", [band.astype("float32") for band in share[:3]], scaled(1e-4, 0.0), names=natural)


def offset_twice(to):
    scaled(1e-4, -0.1)(to)
    to.update_tags(offset_subtracted_dn="1000")


write("offset_twice", numbers(1e-4, 0.0), offset_twice, names=natural, nodata=0)


def half_scaled(to):
    to.scales = [1e-4, 1.0, 1e-4]


write("scale_of_some", numbers(1e-4, 0.0), half_scaled, names=natural, nodata=0)
write("five", [np.where(hidden, 0, np.round(band * 1e4)).astype("uint16") for band in share[2::-1] + share[3:]])
write("classes_wide", [np.where(cols < 40, 9, 4).astype("uint16")])
