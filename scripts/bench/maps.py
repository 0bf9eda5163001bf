"""heatmap-stitch, viirs-corr and region-report beside what people run instead, and what their statistics promise.

`make bench-maps` calls it. Our side and the peer's alternate, each round once; ratios are formed within a round and the median of the rounds
counts. A job that needs what is not there (reference data, a program, zonal.py) says so and adds no figure.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

from common import Figures, Run, median_of, peers_folder

ap = argparse.ArgumentParser()
ap.add_argument("--bin", required=True, type=Path, help="folder of our programs")
ap.add_argument("--peers", required=True, help="folder of the peers")
ap.add_argument("--reference", type=Path, help="folder of the reference data, for the published scores")
ap.add_argument("--work", required=True, type=Path)
ap.add_argument("--out", required=True, type=Path)
ap.add_argument("--rounds", type=int, default=5)
ap.add_argument("--only", choices=["fill", "zonal"], action="append", help="not for figures to be quoted")
a = ap.parse_args()
FIGURES = Figures()


def inputs():
    """The folder of the peers' made inputs."""
    folder = a.work / "inputs"
    if not (folder / "light.tif").exists():
        Run([sys.executable, peers_folder(a.peers) / "make_inputs.py", "--out", folder])
    return folder


def said(run):
    """The line of JSON that an example of ours prints."""
    return json.loads(run.text.strip().splitlines()[-1])


def bench_fill():
    """One granule of 10,976 px filled, beside a plain fill of the same bytes; then as many granules as in the study's Table 5."""
    fill = a.bin / "examples/fill"
    rounds = [Run([fill, "--granules", 1]) for _ in range(a.rounds)]
    facts = [said(run) for run in rounds]
    FIGURES.add("fill_vs_plain_fill", median_of([f["seconds"] / f["plain_seconds"] for f in facts]), "times as long", "lower", rounds[0].command, 1.5)
    for granules in (1, 6, 15):
        runs = [Run([fill, "--granules", granules]) for _ in range(3)]
        FIGURES.add(f"fill_{granules}_granules", median_of([said(run)["seconds"] for run in runs]), "s", "lower", runs[0].command)


def bench_zonal():
    """The figures of zonal.py, where it is there: rows of the same form."""
    if not (Path(__file__).parent / "zonal.py").is_file():
        print("bench: no zonal.py: no figures of zones")
        return
    inputs()
    for row in importlib.import_module("zonal").rows(a):
        FIGURES.add(row["name"], row["value"], row["unit"], row["better"], row["command"], row["target"])


def main():
    a.work.mkdir(parents=True, exist_ok=True)
    jobs = {"fill": bench_fill, "zonal": bench_zonal}
    for name, job in jobs.items():
        if not a.only or name in a.only:
            job()
    missed = FIGURES.write(a.out)
    print(f"{a.out}: {len(FIGURES.rows)} figures, targets missed: {', '.join(missed) or 'none'}")


main()
