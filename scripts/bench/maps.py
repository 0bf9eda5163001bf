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
ap.add_argument("--only", choices=["fill", "cog", "corr", "overlap", "false", "zonal"], action="append", help="not for figures to be quoted")
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
        run = Run([fill, "--granules", granules, "--rounds", 1])
        FIGURES.add(f"fill_{granules}_granules", said(run)["seconds"], "s, four bands", "lower", run.command)


def bench_cog():
    """One granule filled and written as a packed COG beside NumPy and rasterio, then held against a validator of COGs."""
    from rio_cogeo.cogeo import cog_validate

    folder = inputs()
    ours_tif, theirs_tif = a.work / "fill.tif", a.work / "stitch_numpy.tif"
    ratios, seconds = [], []
    for _ in range(a.rounds):
        run = Run([a.bin / "examples/fill", "--cog", ours_tif])
        peer = Run([sys.executable, peers_folder(a.peers) / "stitch_numpy.py", "--scores", folder / "scores.npy", "--out", theirs_tif])
        seconds.append(said(run)["seconds"])
        ratios.append(peer.reported()["stitch_numpy_fill_and_cog"]["seconds"] / seconds[-1])
    FIGURES.add("fill_and_cog", median_of(seconds), "s", "lower", run.command)
    FIGURES.add("fill_and_cog_vs_numpy", median_of(ratios), "times as fast", "higher", run.command, 5)
    FIGURES.add("cog_bytes_vs_numpy", ours_tif.stat().st_size / theirs_tif.stat().st_size, "times as large", "lower", run.command)
    valid, errors, warnings = cog_validate(str(ours_tif))
    FIGURES.add("cog_valid", int(valid), f"1 is valid, {len(errors)} errors, {len(warnings)} warnings", "higher", f"rio cogeo validate {ours_tif}", 1)


def bench_corr():
    """Regrid, Pearson and Spearman beside rasterio and SciPy; both must find the same coefficients."""
    folder, ratios, seconds, opening = inputs(), [], [], []
    files = ["--heat", folder / "heat.tif", "--light", folder / "light.tif"]
    for _ in range(a.rounds):
        run = Run([a.bin / "examples/corr", *files])
        ours = said(run)
        theirs = Run([sys.executable, peers_folder(a.peers) / "corr_scipy.py", *files]).reported()["corr_scipy"]
        if any(abs(ours[name] - theirs[name]) > 0.001 for name in ("pearson", "spearman")):
            sys.exit(f"bench: want the peer's coefficients {theirs}, got {ours}")
        seconds.append(ours["seconds"])
        opening.append(ours["opening_seconds"])
        ratios.append(theirs["seconds"] / ours["seconds"])
    FIGURES.add("corr", median_of(seconds), "s", "lower", run.command)
    FIGURES.add("corr_opening", median_of(opening), "s of these until GDAL has started and knows the coordinate system", "lower", run.command)
    FIGURES.add("corr_vs_scipy", median_of(ratios), "times as fast", "higher", run.command, 5)


def parquet_metrics(path):
    """Name, of, value of each row of a table of metrics."""
    import pandas

    return {(row.name_, row.of): row.value for row in pandas.read_parquet(path).rename(columns={"name": "name_"}).itertuples()}


def bench_overlap():
    """T4 and T6 on the published scores: agreement where granules overlap, and the correlation with night light."""
    folder = (a.reference or Path()) / "sichuan"
    if not (folder / "study_scores.csv.gz").is_file():
        print("bench: no published scores in the reference data: no figures of overlaps")
        return
    out, stitch = a.work / "published", a.bin / "heatmap-stitch"
    Run([stitch, "published", "--table", folder / "study_scores.csv.gz", "--footprints", folder / "s2_tiles.geojson", "--tile-m", 3430, "--out", out])
    scores = [word for path in sorted(out.glob("*.parquet")) for word in ("--scores", path)]
    flags = ["--pixel-m", 343, "--title", "Published", "--credit", "-", "--seams-out", a.work / "seams.parquet"]
    made = ["--out-png", a.work / "map.png", "--out-colour", a.work / "colour.tif", "--out", a.work / "map.tif"]
    run = Run([stitch, "map", *scores, *flags, *made])
    seams = {name: value for (name, _), value in parquet_metrics(a.work / "seams.parquet").items()}
    FIGURES.add("overlap_difference_before", seams["overlap_difference_before"], "score", "lower", run.command)
    FIGURES.add("overlap_difference_held_out", seams["overlap_difference_held_out"], "score", "lower", run.command, 0.062)
    FIGURES.add("overlap_difference_held_out_far", seams["overlap_difference_held_out_far"], "score", "lower", run.command)
    FIGURES.add("overlap_sd_ratio_map", seams["overlap_sd_ratio_map"], "after over before", "higher", run.command, 0.95)
    FIGURES.add("overlap_sd_ratio_granules", seams["overlap_sd_ratio_granules"], "after over before", "higher", run.command, 0.95)
    lights = a.reference / "nightlights/viirs_vnl_2025_sichuan.tif"
    details = a.work / "corr-details.parquet"
    made = ["--details-out", details, "--out-png", a.work / "viirs.png", "--out", a.work / "corr.parquet"]
    run = Run([a.bin / "viirs-corr", "--heatmap", a.work / "map.tif", "--night-lights", lights, *scores, *made])
    found = parquet_metrics(details)
    tiles = next(of for _, of in found if of.startswith("tiles of"))
    FIGURES.add("spearman_published_tiles", found["spearman", tiles], "METHODS T6 wants .40", "higher", run.command)
    FIGURES.add("pearson_log1p_published_tiles_corr", found["pearson_log1p", tiles], "METHODS T6 wants .47", "higher", run.command)
    for (name, of), value in parquet_metrics(a.work / "corr.parquet").items():
        FIGURES.add(f"{name}_seamless_map_corr", value, of, "higher", run.command)
        FIGURES.add(f"{name}_effective_n_corr", found[f"{name}_effective_n", "independent cells"], "cells", "higher", run.command)


def bench_false():
    """T7: independent fields that are alike over some cells, called correlated at the 5 % level."""
    for length in (1, 3, 5):
        run = Run([a.bin / "examples/false_alarms", "--length-cells", length])
        facts = said(run)
        FIGURES.add(f"false_alarms_effective_n_{length}_cells", facts["effective"], "share of 500 pairs", "lower", run.command, 0.07)
        FIGURES.add(f"false_alarms_phases_{length}_cells", facts["phases"], "share of 500 pairs", "lower", run.command, 0.07)
        FIGURES.add(f"false_alarms_naive_{length}_cells", facts["naive"], "share of 500 pairs", "lower", run.command)


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
    jobs = {"fill": bench_fill, "cog": bench_cog, "corr": bench_corr, "overlap": bench_overlap, "false": bench_false, "zonal": bench_zonal}
    for name, job in jobs.items():
        if not a.only or name in a.only:
            job()
    missed = FIGURES.write(a.out)
    print(f"{a.out}: {len(FIGURES.rows)} figures, targets missed: {', '.join(missed) or 'none'}")


main()
