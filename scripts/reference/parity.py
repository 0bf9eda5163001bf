"""What the parity scripts share: an input any language can repeat, and the figures a Rust test compares."""

import json

import numpy as np
import torch

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
INPUT = (
    "x[c,h,w] = (((h*31 + w*17 + c*101 + (h*w)%13) % 256) / 255 - mean[c]) / std[c]; "
    "whole numbers up to the %, then float32 at every step; shape [1, 3, height, width]"
)


def formula_input(height, width):
    """The input of INPUT, float32 [1, 3, height, width]."""
    c, h, w = np.ogrid[:3, :height, :width]
    pixel = ((h * 31 + w * 17 + c * 101 + (h * w) % 13) % 256).astype(np.float32)
    mean = np.array(MEAN, np.float32).reshape(3, 1, 1)
    std = np.array(STD, np.float32).reshape(3, 1, 1)
    x = (pixel / np.float32(255) - mean) / std
    return torch.from_numpy(x)[None]


def case(height, width, forward):
    """The constants of one input size; `forward` maps an input to (features [d], logits [k], {stage: mean}).

    `forward` takes float32 and float64 inputs alike: the distance between the two runs is the error of
    float32 arithmetic, hence the floor of any tolerance.
    """
    x = formula_input(height, width)
    features, logits, stages = forward(x)
    features64, logits64, _ = forward(x.double())
    wide = features.double()
    return {
        "height": height,
        "width": width,
        "input_mean": x.double().mean().item(),
        "stage_means": stages,
        "features_first16": features[:16].tolist(),
        "features_sum": wide.sum().item(),
        "features_l2": wide.norm().item(),
        "features_nonzero": int((features != 0).sum()),
        "features_float32_error": (wide - features64).abs().max().item(),
        "logits_first8": logits[:8].tolist(),
        "logits_argmax": int(logits.argmax()),
        "logits_float32_error": (logits.double() - logits64).abs().max().item(),
    }


def write_json(path, constants):
    """Writes and prints the constants."""
    text = json.dumps(constants, indent=2) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(text, end="")
