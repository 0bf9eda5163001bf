"""ResNet-18 beside PyTorch on the processor, images a second: inference, and training with Adam. A part of learning.py.

Ours and the peer's alternate; a ratio is formed within a round and the median of the rounds counts. Both see random images, use the same
number of threads, and leave out their first step. EfficientNet-Lite0, which the programs look with, and burn's own operations stand beside.
"""

import sys
from statistics import median

from common import Run

THREADS = 2
# Pixels on a side, images a step.
SIZES = ((224, 32), (128, 16))
JOBS = ("forward", "train")


def row(name, value, unit, run, target=None):
    return {"name": name, "value": value, "unit": unit, "target": target, "better": "higher", "command": run.command}


def rate(run, job):
    return run.reported()[job]["images_per_s"]


def beside_torch(args, timer, px, batch):
    flags = ["--threads", THREADS, "--px", px, "--batch", batch]
    ours, theirs = {job: [] for job in JOBS}, {job: [] for job in JOBS}
    for _ in range(args.rounds):
        run = Run([timer, "--job", "forward", "--job", "train", *flags])
        peer = Run([sys.executable, args.peers / "resnet_torch.py", *flags])
        for job in JOBS:
            ours[job].append(rate(run, f"resnet18_{job}"))
            theirs[job].append(rate(peer, f"resnet_torch_{job}"))
    for job in JOBS:
        size = f"{px}px_batch_{batch}"
        yield row(f"{job}_resnet18_{size}", median(ours[job]), "images a second", run)
        yield row(f"{job}_resnet18_torch_{size}", median(theirs[job]), "images a second", peer)
        ratio = median(a / b for a, b in zip(ours[job], theirs[job]))
        yield row(f"{job}_resnet18_vs_torch_{size}", ratio, "times as fast", run, 1.0)


def by_burn(timer):
    flags = ["--threads", THREADS, "--steps", 3]
    for backbone, jobs in (("resnet18", JOBS), ("efficientnet-lite0", JOBS[:1])):
        for job in jobs:
            run = Run([timer, "--backbone", backbone, "--job", job, "--job", f"{job}-burn", *flags])
            ours, burns = rate(run, f"{backbone}_{job}"), rate(run, f"{backbone}_{job}_burn")
            yield row(f"{job}_{backbone}_224px", ours, "images a second", run)
            yield row(f"{job}_{backbone}_vs_burn_224px", ours / burns, "times as fast", run)


def rows(args):
    timer = args.bin / "examples/speed"
    for px, batch in SIZES:
        yield from beside_torch(args, timer, px, batch)
    yield from by_burn(timer)
