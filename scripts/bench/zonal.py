"""Exact means of zones beside exactextract: 400 jittered squares over heat.tif of the peers' inputs. A part of maps.py.

Ours is timed as a whole program, from its start to the table on disk; the peer times its own job, without its imports. They alternate; a
ratio is formed within a round and the median of the rounds counts. Means are then compared zone by zone, those of exactextract in full.
"""

import csv
import sys
from statistics import median

from common import Run, peers_folder

# Exactextract's means in full digits: the peer's script prints their mean only.
MEANS = """
import sys, geopandas
from exactextract import exact_extract
heat, zones, out = sys.argv[1:]
exact_extract(heat, geopandas.read_file(zones), ["mean", "count"], include_cols=["zone"], output="pandas").to_csv(out, index=False)
"""


def table(path):
    with open(path, newline="") as file:
        return {row["zone"]: row for row in csv.DictReader(file)}


def row(name, value, unit, better, command, target=None):
    return {"name": name, "value": value, "unit": unit, "target": target, "better": better, "command": command}


def rows(args):
    heat = args.work / "inputs/heat.tif"
    zones, out, theirs = (args.work / name for name in ("zones.geojson", "zonal.csv", "zonal_exactextract.csv"))
    peer = [sys.executable, peers_folder(args.peers) / "zonal_exactextract.py", "--heat", heat]
    Run([*peer, "--out", zones])
    ours = [args.bin / "region-report", "zonal", "--raster", heat, "--zones", zones, "--zone-id", "zone", "--out", out]
    pairs = [(Run(ours), Run(peer)) for _ in range(args.rounds)]
    seconds = [(run.seconds, other.reported()["zonal_exactextract"]["seconds"]) for run, other in pairs]
    command = pairs[0][0].command
    yield row("zonal_400_zones", median([a for a, _ in seconds]), "s", "lower", command)
    yield row("zonal_400_zones_exactextract", median([b for _, b in seconds]), "s", "lower", pairs[0][1].command)
    yield row("zonal_vs_exactextract", median([b / a for a, b in seconds]), "times as fast", "higher", command, 1.0)
    Run([sys.executable, "-c", MEANS, heat, zones, theirs])
    mine, other = table(out), table(theirs)
    far = max(abs(float(mine[zone]["mean"]) - float(other[zone]["mean"])) for zone in other)
    # Figures keep four digits, so the difference is given in millionths.
    yield row("zonal_largest_difference_from_exactextract", far * 1e6, "millionths", "lower", command, 1.0)
