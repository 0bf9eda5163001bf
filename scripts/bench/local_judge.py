"""The offline judge on labelled pictures: `rows` trains it as data/README.md says and reads the figures of its own cross-validation."""

import json
import tempfile
from pathlib import Path

from common import Run

WEIGHTS = Path("data/weights/efficientnet_lite0_imagenet.safetensors")


def rows(args):
    """Figures of a training that is run now; `args` has `bin`, the folder of our programs, and `reference`, that of the labelled pictures.

    Figure by figure: name, value, unit, target, better, command. The heads that the project ships are left alone.
    """
    labelled = Path(args.reference) / "nk_labels"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "heads.safetensors"
        run = Run(
            [Path(args.bin) / "vlm-label", "train-local", "--labels", labelled / "labels.csv", "--images", labelled / "images"]
            + ["--weights", WEIGHTS, "--out", out]
        )
        found = json.loads(out.with_suffix(".json").read_text())["training"]["figures"]
    command = "vlm-label train-local --labels labels.csv --images images --weights " + str(WEIGHTS) + " --out heads.safetensors"

    def row(name, value, unit, better, target=None):
        return {"name": name, "value": value, "unit": unit, "target": target, "better": better, "command": command}

    colours = found["macro_f1_of_colour_statistics"]
    figures = [
        # T5: it beats both, so the better of the two is the least that counts.
        row("local judge macro-f1, 5-fold by picture", found["macro_f1"], "share", "higher", max(colours, found["macro_f1_of_majority"])),
        row("local judge macro-f1, sd over draws of folds", found["macro_f1_sd"], "share", "lower"),
        row("local judge macro-f1, 5-fold by blocks of neighbours", found["macro_f1_by_blocks"], "share", "higher"),
        row("local judge macro-f1, turned, other light, haze, blur", found["macro_f1_of_altered_views"], "share", "higher"),
        row("local judge macro-f1 of colour statistics", colours, "share", "higher"),
        row("local judge macro-f1 of the commonest class", found["macro_f1_of_majority"], "share", "higher"),
    ]
    for name, of in found["classes"].items():
        figures += [row(f"local judge f1 of {name}", of["f1"], "share", "higher"), row(f"local judge f1 part, recall of {name}", of["recall"], "share", "higher")]
    return figures + [
        row("local judge f1 pictures, calibration error", found["calibration_error"], "share", "lower"),
        row("local judge f1 pictures, brier score", found["brier"], "share", "lower"),
        row("local judge f1 run, training and figures", run.seconds, "s", "lower"),
    ]
