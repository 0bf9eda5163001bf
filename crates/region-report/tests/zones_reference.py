"""Zones and rasters of all kinds, and what Shapely and exactextract make of them: region-report is held against it.

python zones_reference.py FOLDER writes rasters, zones.gpkg, curves.csv (for ogr2ogr), and expected.json:
{raster: {zone: [pixels with a value, their mean or null, share of the zone on the raster with a value or null]}}.
"""
import json
import sys
from pathlib import Path

import geopandas
import numpy
import rasterio
import shapely
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from rasterio.transform import from_origin

folder = Path(sys.argv[1])
HEIGHT, WIDTH, SIDE_M, WEST_M, NORTH_M = 60, 80, 50.0, 420_000.0, 3_450_000.0
random = numpy.random.default_rng(7)


def at(points):
    """Pixels (column, row) as places."""
    return [(WEST_M + col * SIDE_M, NORTH_M - row * SIDE_M) for col, row in points]


def ring(*points):
    return at(points)


def box(west, north, east, south):
    return ring((west, north), (west, south), (east, south), (east, north))


def polygon(outer, *holes):
    return shapely.Polygon(outer, holes)


def star(n, turns, centre, radius):
    angles = numpy.arange(n) * turns / n * 2 * numpy.pi + 0.1
    return ring(*[(centre[0] + radius * numpy.cos(a), centre[1] + radius * numpy.sin(a)) for a in angles])


def wild(n, reach=60.0):
    return ring(*(random.uniform(-5, reach, (n, 2)) + [10, 0]))


zones = {
    "box": polygon(box(3.3, 4.2, 20.7, 17.9)),
    "box on the lines between pixels": polygon(box(3, 4, 20, 17)),
    "touches the edge of the raster": polygon(box(0, 0, 10, 60)),
    "all of the raster": polygon(box(0, 0, WIDTH, HEIGHT)),
    "more than the raster": polygon(box(-10, -10, WIDTH + 10, HEIGHT + 10)),
    "partly outside": polygon(ring((70.2, 50.3), (95.5, 44.4), (78.8, 75.1))),
    "inside one pixel": polygon(box(33.2, 21.3, 33.4, 21.35)),
    "a hair": polygon(ring((5.0, 5.0), (70.0, 50.001), (70.0, 50.0))),
    "a sliver along a line between pixels": polygon(box(10, 7.999, 60, 8.001)),
    "with a hole": polygon(box(10.1, 10.2, 40.3, 40.4), box(20.5, 20.6, 30.7, 30.8)),
    "with a hole around an island": shapely.MultiPolygon(
        [polygon(box(10, 10, 40, 40), box(15.5, 15.5, 35.5, 35.5)), polygon(box(20.2, 20.2, 30.3, 30.3))]),
    "with height": shapely.force_3d(polygon(box(50.5, 5.5, 60.1, 30.3)), 8000.0),
    "points given twice": polygon(ring((5, 5), (5, 5), (5, 15.5), (25.5, 15.5), (25.5, 15.5), (25.5, 5))),
    "two parts": shapely.MultiPolygon([polygon(box(1, 1, 5.5, 5.5)), polygon(box(50, 40, 60.25, 55.75))]),
    "a star": polygon(star(17, 1, (40, 30), 25)),
    "nested collection": shapely.GeometryCollection(
        [shapely.GeometryCollection([shapely.MultiPolygon([polygon(box(12, 3, 18.8, 9.9))])]), shapely.Point(at([(1, 1)])[0])]),
    "bow-tie": polygon(ring((10, 10), (40.4, 40.4), (40.4, 10), (10, 40.4))),
    "bow-tie of one pixel": polygon(ring((10.1, 10.1), (10.9, 10.9), (10.9, 10.1), (10.1, 10.9))),
    "pentagram": polygon(star(5, 2, (40, 30), 27)),
    "heptagram": polygon(star(7, 3, (33, 28), 24)),
    "parts that overlap": shapely.MultiPolygon([polygon(box(5, 5, 30.5, 30.5)), polygon(box(20.2, 20.2, 50.6, 50.6))]),
    "three parts that overlap": shapely.MultiPolygon(
        [polygon(box(5, 5, 30, 30)), polygon(box(20, 20, 50, 50)), polygon(box(25, 2, 28, 55))]),
    "a part twice": shapely.MultiPolygon([polygon(box(5, 5, 30.5, 30.5))] * 2),
    "a part within another": shapely.MultiPolygon([polygon(box(5, 5, 50, 50)), polygon(box(20.5, 20.5, 30.5, 30.5))]),
    "parts that share an edge": shapely.MultiPolygon([polygon(box(5, 5, 20.5, 40)), polygon(box(20.5, 5, 44, 40))]),
    "a hole over the edge": polygon(box(10, 10, 40, 40), box(35.5, 20.5, 45.5, 25.5)),
    "a hole outside": polygon(box(10, 10, 20, 20), box(30.5, 30.5, 35.5, 35.5)),
    "holes that overlap": polygon(box(5, 5, 55, 55), box(10, 10, 30, 30), box(20.5, 20.5, 40.5, 40.5)),
    "a ring gone around twice": polygon(box(10, 10, 30.3, 30.3) * 2),
    "a spike": polygon(ring((10, 10), (10, 30), (30, 30), (60, 30), (30, 30), (30, 10))),
    "a ring that touches itself": polygon(ring((10, 10), (10, 40), (40, 40), (25, 25), (40, 10), (25, 25))),
    "a loop outside": polygon(ring((10, 10), (30, 10), (30, 30), (20, 30), (20, 5), (25, 5), (25, 8), (10, 30))),
    **{f"wild {n}": polygon(wild(n)) for n in (4, 5, 6, 8, 12, 20, 40)},
    "wild parts": shapely.MultiPolygon([polygon(wild(6, 30)), polygon(wild(7, 40)), polygon(wild(5))]),
}

curves = {
    "circle": ("CURVEPOLYGON(CIRCULARSTRING({} {},{} {},{} {}))", [(20, 30), (40, 30), (20, 30)],
               shapely.Point(at([(30, 30)])[0]).buffer(10 * SIDE_M, quad_segs=500)),
    "surfaces": ("MULTISURFACE((({} {},{} {},{} {},{} {},{} {})),CURVEPOLYGON(COMPOUNDCURVE(CIRCULARSTRING({} {},{} {},{} {}),({} {},{} {}))))",
                 [(5, 5), (5, 15), (15, 15), (15, 5), (5, 5), (50, 30), (60, 20), (70, 30), (70, 30), (50, 30)],
                 shapely.union(polygon(box(5, 5, 15, 15)),
                               shapely.Point(at([(60, 30)])[0]).buffer(10 * SIDE_M, quad_segs=500)
                               & polygon(box(50, 20, 70, 30)))),
}


def write(name, pixels, **profile):
    profile = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "count": 1, "dtype": pixels.dtype, "crs": "EPSG:32648",
               "transform": from_origin(WEST_M, NORTH_M, SIDE_M, SIDE_M), **profile}
    with rasterio.open(folder / name, "w", **profile) as file:
        file.write(pixels, 1)


rows, cols = numpy.mgrid[0:HEIGHT, 0:WIDTH]
values = (cols / WIDTH + 0.3 * random.random((HEIGHT, WIDTH))).astype("float32")
write("whole.tif", values)
with_gaps = values.copy()
with_gaps[(rows // 7 + cols // 5) % 4 == 0] = -9999
write("nodata.tif", with_gaps, nodata=-9999.0)
with_nan = values.copy()
with_nan[random.random((HEIGHT, WIDTH)) < 0.3] = numpy.nan
write("nan.tif", with_nan, nodata=numpy.nan)
codes = random.integers(0, 4, (HEIGHT, WIDTH)).astype("uint8")
write("codes.tif", codes, nodata=0)
write("tiled.tif", values.astype("float64"), tiled=True, blockxsize=16, blockysize=16, compress="deflate")
with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
    write("masked.tif", codes)
    with rasterio.open(folder / "masked.tif", "r+") as file:
        file.write_mask(((rows + cols) % 3 != 0))

frame = geopandas.GeoDataFrame({"zone": list(zones)}, geometry=list(zones.values()), crs="EPSG:32648")
frame.to_file(folder / "zones.gpkg", layer="zones", driver="GPKG")
with open(folder / "curves.csv", "w") as file:
    file.write("zone,wkt\n")
    for zone, (form, points, _) in curves.items():
        text = form.format(*[repr(float(n)) for point in at(points) for n in point])
        file.write(f'{zone},"{text}"\n')

expected = {}
valid = {zone: shapely.make_valid(shape, method="structure", keep_collapsed=False) for zone, shape in zones.items()}
valid |= {zone: shape for zone, (_, _, shape) in curves.items()}
areas = {zone: [shape if shape.geom_type in ("Polygon", "MultiPolygon") else shapely.MultiPolygon(
    [part for part in shapely.get_parts(shapely.get_parts(shape)) if part.geom_type == "Polygon"])][0] for zone, shape in valid.items()}
truth = geopandas.GeoDataFrame({"zone": list(areas)}, geometry=list(areas.values()), crs="EPSG:32648")
whole = rasterio.open(folder / "whole.tif")
on_raster = exact_extract(whole, truth, ["count"], include_cols=["zone"], output="pandas").set_index("zone")["count"]
for name in ["whole.tif", "nodata.tif", "nan.tif", "codes.tif", "tiled.tif", "masked.tif"]:
    with rasterio.open(folder / name) as raster:
        # exactextract 0.3 takes the values of a window that is masked as a whole, so rasterio applies the mask.
        pixels = raster.read(1, masked=True).astype("float64").filled(numpy.nan)
        source = NumPyRasterSource(pixels, *raster.bounds, nodata=numpy.nan, srs_wkt=raster.crs.to_wkt())
        found = exact_extract(source, truth, ["count", "mean"], include_cols=["zone"], output="pandas").set_index("zone")
    expected[name] = {
        zone: [float(row["count"]), None if row["count"] == 0 else float(row["mean"]),
               float(row["count"] / on_raster[zone]) if on_raster[zone] > 0 else None]
        for zone, row in found.iterrows()}
n_invalid = sum(not shape.is_valid for shape in zones.values())
areas_px = {zone: shape.area / SIDE_M**2 for zone, shape in areas.items()}
(folder / "expected.json").write_text(json.dumps({"means": expected, "areas_px": areas_px, "n_invalid": n_invalid}))
