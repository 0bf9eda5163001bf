"""Clustering, networks and the contest beside what people run instead: the figures of learning.

`make bench-learning` calls it. Each part is a file of its own beside this one with a function `rows(args)` that gives figures as
{name, value, unit, target, better, command}; a part whose file is not there is left out, with a line that says so. Peers run in the
same run, alternating with ours, `args.rounds` times; a ratio is formed within a round and the median of the rounds counts.
"""

import argparse
import importlib
from pathlib import Path

from common import Figures, peers_folder

# clustering: k-means and the silhouette beside scikit-learn. speed: ResNet-18 beside PyTorch. contest: scores beside the published ones.
PARTS = ("clustering", "speed", "contest")


def arguments():
    ap = argparse.ArgumentParser()
    ap.add_argument("--bin", required=True, type=Path, help="folder of our programs")
    ap.add_argument("--peers", required=True, type=peers_folder, help="folder of the peers")
    ap.add_argument("--reference", required=True, type=Path, help="folder of the reference data")
    ap.add_argument("--work", required=True, type=Path)
    ap.add_argument("--out", required=True, type=Path)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--only", choices=PARTS, action="append", help="not for figures to be quoted")
    return ap.parse_args()


def main():
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    figures = Figures()
    for name in args.only or PARTS:
        if not (Path(__file__).parent / f"{name}.py").is_file():
            print(f"bench: no part {name}: its figures are left out", flush=True)
            continue
        for row in importlib.import_module(name).rows(args):
            figures.add(row["name"], row["value"], row["unit"], row["better"], row["command"], row["target"])
    missed = figures.write(args.out)
    print(f"{args.out}: {len(figures.rows)} figures, targets missed: {', '.join(missed) or 'none'}")


if __name__ == "__main__":
    main()
