"""k-means and the silhouette sweep beside scikit-learn; the shortcut audit beside the study's clusters.

`rows(args)` gives figures as {name, value, unit, target, better, command}. Both sides time the work itself, the matrix in memory, on the
same rows; they alternate, and a ratio is formed within a round.
"""

import csv
import sys

from common import Run, median_of

# The peer's own default, and all that its input holds; the peer's sweep over 20,000 rows takes two minutes, so once.
ROWS, ALL_ROWS = 5000, 20_000
# Starts that reach the peer's inertia and still leave ours well ahead.
STARTS = 2
GRANULE = "T48RVV"
SCENE = "S2B_MSIL2A_20230131T033959_R061_T48RVV_20230131T222344_sparse.tif"
# What the study reported for its clusters on this granule.
STUDY = {"position, by tile": 0.57, "colour, by tile": 0.64, "largest cluster": 0.22}


def row(name, value, unit, better, command, target=None):
    return {"name": name, "value": value, "unit": unit, "target": target, "better": better, "command": command}


def beside_sklearn(args, n_rows, rounds):
    features = args.work / "inputs/features.npy"
    if not features.exists():
        Run([sys.executable, args.peers / "make_inputs.py", "--out", features.parent])
    kmeans, sweep, inertia, ours_s, theirs_s = [], [], [], [], []
    for _ in range(rounds):
        ours = Run([args.bin / "examples/clustering", "--features", features, "--rows", n_rows, "--starts", STARTS])
        peer = Run([sys.executable, args.peers / "kmeans_sklearn.py", "--features", features, "--rows", n_rows])
        mine, theirs = ours.reported(), peer.reported()
        kmeans.append(theirs["kmeans_sklearn_k20"]["seconds"] / mine["kmeans_k20"]["seconds"])
        sweep.append(theirs["silhouette_sweep_sklearn"]["seconds"] / mine["silhouette_sweep"]["seconds"])
        inertia.append(mine["kmeans_k20"]["inertia"] / theirs["kmeans_sklearn_k20"]["inertia"])
        ours_s.append((mine["kmeans_k20"]["seconds"], mine["silhouette_sweep"]["seconds"]))
        theirs_s.append((theirs["kmeans_sklearn_k20"]["seconds"], theirs["silhouette_sweep_sklearn"]["seconds"]))
    command, theirs, size = ours.command, peer.command, f"{n_rows}x512"
    return [
        row(f"kmeans_{size}_vs_sklearn", median_of(kmeans), f"times as fast, {STARTS} starts against 1", "higher", command, 2),
        row(f"kmeans_{size}_inertia_vs_sklearn", median_of(inertia), "ratio", "lower", command, 1.0001),
        row(f"silhouette_sweep_{size}_vs_sklearn", median_of(sweep), "times as fast", "higher", command, 5),
        row(f"kmeans_{size}", median_of([s[0] for s in ours_s]), "s", "lower", command),
        row(f"kmeans_{size}_sklearn", median_of([s[0] for s in theirs_s]), "s", "lower", theirs),
        row(f"silhouette_sweep_{size}", median_of([s[1] for s in ours_s]), "s", "lower", command),
        row(f"silhouette_sweep_{size}_sklearn", median_of([s[1] for s in theirs_s]), "s", "lower", theirs),
    ]


def shares(run):
    """The line of the audit over all tiles: by what, and the share told right."""
    line = next(line for line in run.text.splitlines() if "cluster is told right:" in line)
    parts = line.split("told right:")[1].split(";")
    return {part.strip().rsplit(" ", 1)[0]: float(part.rsplit(" ", 1)[1]) for part in parts}


def shortcuts(args):
    """How well position and colour tell the clusters on T48RVV: the study's clusters and ours, by the same classifier."""
    folder = args.reference / "sichuan"
    if not (folder / SCENE).is_file():
        print(f"bench: no {SCENE} in the reference data: no figures of shortcuts")
        return []
    work = args.work / "t48rvv"
    work.mkdir(parents=True, exist_ok=True)
    tiles, labels, study = work / "tiles.parquet", work / "labels.parquet", work / "study.parquet"
    weights = ["--weights", "data/weights/efficientnet_lite0_imagenet.safetensors"]
    Run([args.bin / "granule-split-mpi", "--scene", folder / SCENE, "--granule", GRANULE, "--tile-px", 343, "--min-valid-share", 0.9, "--out", tiles])
    with open(folder / "t48rvv_tiles.csv") as file, open(work / "study.csv", "w") as out:
        out.writelines(f"{int(r['row1']) - 1},{int(r['col1']) - 1},{r['study_cluster']}\n" for r in csv.DictReader(file))
    Run([args.bin / "examples/given", "--csv", work / "study.csv", "--granule", GRANULE, "--out", study])
    audits = {"study": Run([args.bin / "stage1-cluster", "audit", "--tiles", tiles, "--clusters", study, "--out", work / "study-audit.parquet"])}
    Run([args.bin / "vlm-label", "classify", "--tiles", tiles, "--prompt", "prompts/classes/settlement.en.md", "--judge", "local", "--canaries", 0,
         "--heads", "data/weights/settlement_heads.safetensors", *weights, "--out", labels])
    ways = {"as they are": [], "normalised by tile": ["--normalise", "tile"]}
    for name, flags in ways.items():
        command = [args.bin / "stage1-cluster", "tiles", "--tiles", tiles, "--labels", labels, *weights, *flags]
        audits[f"ours, {name}"] = Run([*command, "--out", work / "clusters.parquet"])
    found = [row(f"shortcut, clusters as the study reported, {by}", value, "share", "lower", "the study") for by, value in STUDY.items()]
    for name, run in audits.items():
        for by, value in shares(run).items():
            target = STUDY[by] if by in STUDY and name != "study" and by != "largest cluster" else None
            found.append(row(f"shortcut, clusters of {name}, {by}", value, "share", "lower", run.command, target))
    return found


def rows(args):
    return [*beside_sklearn(args, ROWS, args.rounds), *beside_sklearn(args, ALL_ROWS, 1), *shortcuts(args)]
