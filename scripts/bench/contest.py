"""The contest: whose scores of kangwon's grid cells follow building floor area, and how honestly that was found.

All our rows learn from the 22 clusters of nk_clusters in the order of ten people, and from cluster 22, the pictures of nk_labels that its
annotators call uninhabited (share .75 or more), lowest by rule; rows named `labels` from the other pictures of nk_labels too, each at the mean
place of its classes' clusters; `deepcluster` sees through a network that learnt those pictures without their labels, and ours through that
one and ImageNet's. Nothing of kangwon is learnt from, but by the row `local_judge`, whose chain
clusters and orders kangwon's own tiles without floor area or people. Settings are chosen by `heldout` figures: clusters that a model never
saw, put in the order of the people. Kangwon is looked at once a setting. Each figure is the mean of three seeds; its interval is a bootstrap
of blocks of 3 x 3 grid cells (7 km), in which neighbours stay together.

`rows(args)` gives figures as {name, value, unit, target, better, command}. Alone: `contest.py --bin … --reference … --work … [--only ROW]
[--slow]`; rows that take long are made with `--slow` or by name only. Their minutes are estimates.
"""

import argparse
import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from common import Run

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "data/weights/efficientnet_lite0_imagenet.safetensors"
FIRST_ROW, FIRST_COL = 6259, 13985
YEARS = ("2016", "2019")
SEEDS = (1, 2, 3)
BLOCK_CELLS = 3
RESAMPLES = 1000
# The published scores (siScore) on the same grid cells: all, and those with buildings.
TARGETS = {("2016", "all"): 0.726, ("2019", "all"): 0.755, ("2016", "built"): 0.660, ("2019", "built"): 0.705}

OURS = "stages_two_lights_two_networks"
LABELS = "imported-labels.parquet"
STAGES = ["--features", "stages", "--components", "128"]
RIDGE_LABELS = [*STAGES, "--normalise", "both", "--members", "12", "--recipe", "ridge", "--labels", LABELS]
# What each row gives to `stage3-train train`.
TRAINED = {
    "colour_statistics": ["--features", "colour", "--recipe", "ridge"],
    "random_features": ["--features", "random", "--recipe", "ridge", "--components", "128"],
    "last_layer": [],
    "stages": STAGES,
    "stages_tile_light": [*STAGES, "--normalise", "tile"],
    "stages_two_lights": [*STAGES, "--normalise", "both", "--members", "10"],
    "stages_two_lights_ridge": [*STAGES, "--normalise", "both", "--members", "10", "--recipe", "ridge"],
    "stages_two_lights_ridge_labels": RIDGE_LABELS,
    "deepcluster": RIDGE_LABELS,
    OURS: RIDGE_LABELS,
    "dev_measure": ["--recipe", "dev-measure"],
}
# Rows that take long: minutes a seed, and what they give to `stage3-train train`.
WHOLE = ["--train", "whole", "--members", "1", "--steps", "200", "--learning-rate", "0.0001", "--input-px", "128"]
SLOW = {
    "fine_tuned": (10, WHOLE),
    "fine_tuned_tile_light": (10, [*WHOLE, "--normalise", "tile"]),
}
# How the network of `deepcluster`, and the second of ours beside ImageNet's, is made from the learnt pictures without their labels; about
# ten minutes a seed.
DEEPCLUSTER = ["--backbone", "efficientnet-lite0", "--epochs", "5", "--learning-rate", "0.005"]
OWN_NETWORK = ("deepcluster", OURS)
GIVEN = ("siscore", "night_light", "local_judge")


def midranks(values):
    _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[at]


def spearman(a, b):
    a, b = midranks(np.asarray(a)), midranks(np.asarray(b))
    a, b = a - a.mean(), b - b.mean()
    spread = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / spread) if spread > 0 else float("nan")


class Cells:
    """The grid cells that a year's mosaic covers, and what others know of them."""

    def __init__(self, reference, year, scored):
        with gzip.open(reference / "kangwon/nk_grids.csv.gz", "rt") as file:
            known = {(int(row["grid_y"]) - FIRST_ROW, int(row["grid_x"]) - FIRST_COL): row for row in csv.DictReader(file)}
        self.places = sorted(place for place in scored if place in known)
        column = lambda name: np.array([float(known[place][name]) for place in self.places])
        # The light of 2016 is nothing but zeros on most cells, so that of 2019 stands for both years.
        self.area, self.siscore, self.light = column("floor_area_2014_m2"), column(f"siscore_{year}"), column("viirs_2019_mean")
        blocks = [(row // BLOCK_CELLS, col // BLOCK_CELLS) for row, col in self.places]
        self.blocks = [np.flatnonzero([b == block for b in blocks]) for block in sorted(set(blocks))]

    def resamples(self):
        draw = np.random.default_rng(0)
        for _ in range(RESAMPLES):
            yield np.concatenate([self.blocks[i] for i in draw.integers(0, len(self.blocks), len(self.blocks))])

    def rho(self, scores, of, which=slice(None)):
        """Mean over seeds of Spearman's coefficient with floor area."""
        area = self.area[which]
        built = area > 0 if of == "built" else np.full(len(area), True)
        return float(np.mean([spearman(one[which][built], area[built]) for one in scores]))

    def figures(self, row, year, scores, command):
        """Over all cells and those with buildings, each with its interval; scores are one array a seed."""
        for of in ("all", "built"):
            drawn = [self.rho(scores, of, which) for which in self.resamples()]
            low, high = np.nanquantile(drawn, (0.025, 0.975))
            seeds = ", ".join(f"{self.rho([one], of):.3f}" for one in scores)
            unit = f"Spearman, n = {len(self.area) if of == 'all' else int((self.area > 0).sum())}, 95 % {low:.3f} to {high:.3f}"
            unit += f", seeds {seeds}" if len(scores) > 1 else ""
            target = TARGETS[year, of] if row == OURS else None
            yield figure(f"contest_{row}_{year}_{of}", self.rho(scores, of), unit, "higher", command, target)
            if row == OURS:
                yield self.beside_siscore(year, scores, of, command)

    def beside_siscore(self, year, scores, of, command):
        """Ours less the published score on the same cells: paired, since both are right and wrong on the same ground."""
        less = lambda which=slice(None): self.rho(scores, of, which) - self.rho([self.siscore], of, which)
        low, high = np.nanquantile([less(which) for which in self.resamples()], (0.025, 0.975))
        unit = f"difference of Spearman, 95 % {low:.3f} to {high:.3f}"
        return figure(f"contest_{OURS}_less_siscore_{year}_{of}", less(), unit, "higher", command, 0)


def figure(name, value, unit, better, command, target=None):
    return {"name": name, "value": round(float(value), 4), "unit": unit, "target": target, "better": better, "command": command}


class Contest:
    """Tables that all rows share, made by the areas' own rules, and the rows."""

    def __init__(self, args):
        self.bin, self.reference, self.work = args.bin.resolve(), args.reference.resolve(), (args.work / "contest").resolve()
        self.learnt = self.work / "work/kangwon-human"
        self.make("kangwon-human", *(self.learnt / name for name in ("imported.parquet", LABELS, "clusters.parquet", "pog.parquet")))
        self.tiles = {year: self.of_year("kangwon-human", year) / "tiles/KANGWON.parquet" for year in YEARS}
        for year, tiles in self.tiles.items():
            self.make(tiles.parts[-3], tiles)
        self.cells, self.seeds = {}, getattr(args, "seeds", None) or SEEDS

    def of_year(self, area, year):
        return self.work / "work" / (area if year == "2019" else f"{area}-{year}")

    def make(self, area, *targets):
        folders = [f"{name.upper()}={self.work / name}" for name in ("raw", "work", "out")]
        command = ["make", "-s", "-C", ROOT, f"AOI={area}", "BUILD=", f"BIN={self.bin}", f"REFERENCE_DATA={self.reference}", *folders, *targets]
        alone = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
        subprocess.run(command, check=True, env=alone, stdout=sys.stderr)

    def read(self, table):
        """Scores by row and column of the mosaic."""
        text = subprocess.run([self.bin / "examples/scores", table], check=True, stdout=subprocess.PIPE, text=True).stdout
        return {(int(row["row"]), int(row["col"])): float(row["score"]) for row in csv.DictReader(text.splitlines())}

    def ground(self, year, scored):
        """The cells of a year; those that the first row scored, so that all rows are held against the same ground."""
        return self.cells.setdefault(year, Cells(self.reference, year, scored))

    def trained(self, row, flags):
        """One training a seed, scored on both years."""
        tables, heldout, command = {year: [] for year in YEARS}, [], ""
        for seed in self.seeds:
            model = self.work / row / f"{seed}.safetensors"
            weights = self.weights(row, seed)
            inputs = ["--tiles", self.learnt / "imported.parquet", "--clusters", self.learnt / "clusters.parquet", "--pog", self.learnt / "pog.parquet"]
            run = Run([self.bin / "stage3-train", "train", *inputs, *weights, "--features-cache", self.work / "features", "--seed", seed, *(self.learnt / flag if flag == LABELS else flag for flag in flags), "--out", model])
            first = f"stage1-cluster deepcluster {' '.join(DEEPCLUSTER)}; " if row in OWN_NETWORK else ""
            command = first + " ".join(["stage3-train train", *flags, "--seed", ", ".join(map(str, self.seeds))])
            print(f"contest: {row}, seed {seed}: {run.seconds:.0f} s", file=sys.stderr, flush=True)
            heldout.append(json.loads(model.with_suffix(".json").read_text())["figures"])
            for year in YEARS:
                out = model.with_suffix(f".{year}.parquet")
                Run([self.bin / "stage3-train", "score", "--tiles", self.tiles[year], "--model", model, *weights, "--out", out])
                tables[year].append(self.read(out))
        yield from self.held_out(row, heldout, command)
        yield from self.scored(row, tables, command)

    def weights(self, row, seed):
        """Flags that name the networks of a row: ImageNet's, what DeepCluster made of it, or both."""
        own = ["--weights", self.pretrained(seed)] if row in OWN_NETWORK else []
        return own if row == "deepcluster" else ["--weights", WEIGHTS, *own]

    def pretrained(self, seed):
        """DeepCluster's network. Its checkpoint, which knows what it was made of, spares the work where it was done before."""
        trunk = self.work / f"deepcluster-{seed}.safetensors"
        run = Run([self.bin / "stage1-cluster", "deepcluster", "--tiles", self.learnt / "imported.parquet", "--weights", WEIGHTS, *DEEPCLUSTER, "--seed", seed, "--checkpoints", trunk.with_suffix(".checkpoints"), "--out", trunk])
        print(f"contest: DeepCluster, seed {seed}: {run.seconds:.0f} s", file=sys.stderr, flush=True)
        return trunk

    def held_out(self, row, figures, command):
        for split in ("clusters", "blocks"):
            found = [one[f"held_out_{split}"] for one in figures if one[f"held_out_{split}"]]
            for name in ("ranks_spearman", "pairwise") if found else ():
                value = np.mean([one[name] for one in found])
                unit = f"{name.replace('_', ' ')} on held-out {split}, n = {found[0]['n']}, seeds " + ", ".join(f"{one[name]:.3f}" for one in found)
                yield figure(f"contest_{row}_heldout_{split}_{name}", value, unit, "higher", command)

    def scored(self, row, tables, command):
        for year in YEARS:
            cells = self.ground(year, tables[year][0])
            scores = [np.array([table[place] for place in cells.places]) for table in tables[year]]
            yield from cells.figures(row, year, scores, command)
        pairs = list(zip(*(tables[year] for year in YEARS)))
        both = [sorted(set(a) & set(b)) for a, b in pairs]
        same = np.mean([spearman([a[p] for p in places], [b[p] for p in places]) for (a, b), places in zip(pairs, both)])
        yield figure(f"contest_{row}_2016_with_2019", same, f"Spearman of the scores of the same ground, n = {len(both[0])}", "higher", command)
        ratio = np.mean([change(a, b, places) / np.mean([step(a), step(b)]) for (a, b), places in zip(pairs, both)])
        yield figure(f"contest_{row}_2016_to_2019_over_neighbours", ratio, "mean change of the same ground over mean difference of neighbours", "lower", command)

    def given(self, row):
        """What is known of the cells without us."""
        if row == "local_judge":
            tables = {}
            for year in YEARS:
                area = "kangwon" if year == "2019" else f"kangwon-{year}"
                table = self.work / f"work/{area}/scores/KANGWON.parquet"
                self.make(area, table)
                tables[year] = [self.read(table)]
            yield from self.scored(row, tables, "make heatmap-kangwon heatmap-kangwon-2016")
            return
        for year in YEARS:
            cells = self.ground(year, covered(self, year))
            values = cells.siscore if row == "siscore" else cells.light
            yield from cells.figures(row, year, [values], "nk_grids.csv.gz, column " + (f"siscore_{year}" if row == "siscore" else "viirs_2019_mean"))


def covered(contest, year):
    """The tiles of a year that have pixels: those that the cheapest row scores."""
    model = contest.work / "cover/model.safetensors"
    inputs = ["--tiles", contest.learnt / "imported.parquet", "--clusters", contest.learnt / "clusters.parquet", "--pog", contest.learnt / "pog.parquet"]
    if not model.exists():
        Run([contest.bin / "stage3-train", "train", *inputs, "--features", "colour", "--recipe", "ridge", "--folds", 0, "--out", model])
    out = model.with_suffix(f".{year}.parquet")
    Run([contest.bin / "stage3-train", "score", "--tiles", contest.tiles[year], "--model", model, "--out", out])
    return contest.read(out)


def change(a, b, places):
    return np.mean([abs(a[place] - b[place]) for place in places])


def step(table):
    """Mean difference of a tile and its eastern and southern neighbour."""
    return np.mean([abs(score - table[near]) for (row, col), score in table.items() for near in ((row, col + 1), (row + 1, col)) if near in table])


def rows(args):
    only, slow = getattr(args, "rows", None), getattr(args, "slow", False)
    contest = Contest(args)
    wanted = only or [*GIVEN, *TRAINED, *(SLOW if slow else ())]
    for row in wanted:
        if row in GIVEN:
            yield from contest.given(row)
        else:
            yield from contest.trained(row, TRAINED[row] if row in TRAINED else SLOW[row][1])
    left_out = [f"{row} ({minutes} min a seed)" for row, (minutes, _) in SLOW.items() if row not in wanted]
    if left_out:
        print(f"contest: left out, for contest.py --slow: {', '.join(left_out)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True, type=Path)
    parser.add_argument("--reference", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--only", dest="rows", choices=[*GIVEN, *TRAINED, *SLOW], action="append")
    parser.add_argument("--seed", dest="seeds", type=int, action="append", help="not for figures to be quoted without saying so [default: 1, 2, 3]")
    parser.add_argument("--slow", action="store_true", help="with the rows that take long")
    for one in rows(parser.parse_args()):
        print(json.dumps(one), flush=True)
