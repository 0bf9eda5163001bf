"""A map and night lights over it as other people have them: fills without a tag, scales, longitudes to 360 degrees, packed files."""

import gzip
import os
import shutil
import sys
import warnings

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.warp import transform

warnings.filterwarnings("ignore")
folder = sys.argv[1]
STEP = 0.005
noise = np.random.default_rng(7)


def score(lon, lat):
    return 0.5 + 0.25 * np.sin(40 * lon) + 0.25 * np.cos(55 * lat)


def write(name, values, crs="EPSG:4326", to_world=None, after=None, **more):
    layout = dict(driver="GTiff", height=values.shape[-2], width=values.shape[-1], count=1, dtype=values.dtype, crs=crs, transform=to_world)
    with rasterio.open(os.path.join(folder, name + ".tif"), "w", **(layout | more)) as to:
        to.write(values, 1)
        if after:
            after(to)


side, pixel = 40, 500.0
x, y = np.meshgrid(400000 + pixel * (np.arange(side) + 0.5), 3400000 - pixel * (np.arange(side) + 0.5))
lon, lat = (np.array(v).reshape(side, side) for v in transform("EPSG:32648", "EPSG:4326", x.ravel(), y.ravel()))
write("map", score(lon, lat).astype("float32"), "EPSG:32648", from_origin(400000, 3400000, pixel, pixel), nodata=-9999,
      after=lambda to: to.update_tags(CONTRACT="heatmap/2", TILE_SIDE_M="500"))

height, width, west, north = 60, 70, 103.9, 30.78
lons, lats = np.meshgrid(west + STEP * (np.arange(width) + 0.5), north - STEP * (np.arange(height) + 0.5))
clean = (np.exp(2 * score(lons, lats)) - 1.2 + noise.normal(0, 0.3, lons.shape)).astype("float32")
place = from_origin(west, north, STEP, STEP)
gone = noise.random(clean.shape) < 0.05


def filled(value):
    values = clean.copy()
    values[gone] = value
    return values


def scaled(scale, offset):
    def after(to):
        to.scales, to.offsets = [scale], [offset]
    return after


write("clean", clean, to_world=place)
write("declared", filled(-999.3), to_world=place, nodata=-999.3)
for name, value in (("low", -999.3), ("vast", -1.5e9), ("nan", np.nan), ("most", 65535), ("byte", 255)):
    write("fill_" + name, filled(value), to_world=place)
tenths = np.round((clean + 2) * 10).astype("uint16")
tenths[gone] = 65535
write("tenths", tenths, to_world=place, nodata=65535, after=scaled(0.1, -2))
write("tenths_full", tenths, to_world=place, after=scaled(0.1, -2))
write("tenths_bare", tenths, to_world=place, nodata=65535)
with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
    write("masked", filled(30), to_world=place, after=lambda to: to.write_mask(np.where(gone, 0, 255).astype("uint8")))
write("beyond", clean, to_world=from_origin(west + 360, north, STEP, STEP))
circle = np.zeros((height, round(360 / STEP)), "float32")
circle[:, round(west / STEP) : round(west / STEP) + width] = clean
write("circle", circle, to_world=from_origin(0, north, STEP, STEP), compress="zstd")
write("counts", np.where(gone, 0, 9).astype("uint16"), to_world=from_origin(west - 360, north, STEP, STEP))
with open(os.path.join(folder, "clean.tif"), "rb") as of, gzip.open(os.path.join(folder, "packed.tif.gz"), "wb") as to:
    shutil.copyfileobj(of, to)
height_m = (1000 + 500 * np.sin(60 * lons)).astype("int16")
height_m[gone] = -32768
write("heights", height_m, to_world=place)
# Half a kilobyte that asks for much.
with rasterio.open(os.path.join(folder, "sparse.tif"), "w", driver="GTiff", height=11000, width=11000, count=1, dtype="float32", crs="EPSG:4326",
                   transform=from_origin(103, 31, 2e-4, 2e-4), sparse_ok=True, tiled=True, blockxsize=4096, blockysize=4096, compress="deflate"):
    pass
with rasterio.open(os.path.join(folder, "sparse_map.tif"), "w", driver="GTiff", height=12000, width=12000, count=4, dtype="float32", crs="EPSG:32648",
                   transform=from_origin(400000, 3400000, 1, 1), nodata=-9999, sparse_ok=True, tiled=True, blockxsize=2048, blockysize=2048) as to:
    to.update_tags(CONTRACT="heatmap/2", TILE_SIDE_M="1")
