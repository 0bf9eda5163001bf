"""Prints the parity constants of ResNet-18 from torchvision, and the weights they belong to.

No trained weights are shipped: every tensor is a formula with a period of 251, so both checkpoint formats
shrink to a fraction of a megabyte. The files prove the loader and the arithmetic, not the accuracy.
"""

import argparse
import copy
import gzip
import io
import math
from pathlib import Path

import torch
import torchvision
from safetensors.torch import save

from parity import INPUT, MEAN, STD, case, write_json

SIZES = ((64, 64), (128, 96))
WEIGHTS = {
    "v": "v[j] = (((j*37 + i*11) % 251) - 125) / 125, row-major j; i counts the state_dict without num_batches_tracked, from 0",
    "convolutions and fc.weight": "v * sqrt(2 / fan_in), fan_in = in * kernel_h * kernel_w",
    "norm weight": "1 + 0.1*v",
    "norm bias, norm running_mean, fc.bias": "0.1*v",
    "norm running_var": "1 + 0.5*|v|",
    "num_batches_tracked": "0, int64, kept in both files",
    "arithmetic": "float64, rounded once to float32",
}


def formula(name, index, shape):
    """The tensor number `index` of the state dict."""
    j = torch.arange(math.prod(shape), dtype=torch.float64)
    v = ((j * 37 + index * 11) % 251 - 125) / 125
    if name.endswith("running_var"):
        v = 1 + 0.5 * v.abs()
    elif len(shape) > 1:
        v = v * math.sqrt(2 / math.prod(shape[1:]))
    elif name.endswith("weight"):
        v = 1 + 0.1 * v
    else:
        v = 0.1 * v
    return v.reshape(shape).float()


def formula_model():
    """torchvision's resnet18 with the formula's weights, in eval mode."""
    model = torchvision.models.resnet18(weights=None)
    state = model.state_dict()
    names = [name for name in state if not name.endswith("num_batches_tracked")]
    for index, name in enumerate(names):
        state[name] = formula(name, index, state[name].shape)
    model.load_state_dict(state)
    return model.eval()


def run(model, x):
    """Pooled features [512], logits [1000], and the mean after the stem and the four stages."""
    x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    stages = {"stem": x.double().mean().item()}
    for name in ("layer1", "layer2", "layer3", "layer4"):
        x = getattr(model, name)(x)
        stages[name] = x.double().mean().item()
    features = x.mean(dim=(2, 3))
    return features[0], model.fc(features)[0], stages


def write_gz(path, data):
    """Writes gzip without name or time, so that the same weights give the same bytes; returns its size."""
    packed = gzip.compress(data, compresslevel=9, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed)
    return len(packed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the JSON; the two .gz checkpoints go beside it")
    args = parser.parse_args()

    model = formula_model()
    models = {torch.float32: model, torch.float64: copy.deepcopy(model).double()}

    def forward(x):
        features, logits, stages = run(models[x.dtype], x)
        if not torch.allclose(logits, models[x.dtype](x)[0], rtol=1e-5, atol=1e-5):
            raise SystemExit(f"{tuple(x.shape)}: the probed pass differs from torchvision's forward pass")
        return features, logits, stages

    pth = io.BytesIO()
    torch.save(model.state_dict(), pth)
    files = {
        "resnet18.pth.gz": write_gz(args.out.with_name("resnet18.pth.gz"), pth.getvalue()),
        "resnet18.safetensors.gz": write_gz(args.out.with_name("resnet18.safetensors.gz"), save(model.state_dict())),
    }
    write_json(args.out, {
        "original": f"torchvision {torchvision.__version__} resnet18, torch {torch.__version__}, CPU, eval mode",
        "weights": WEIGHTS,
        "files_bytes": files,
        "tensors": len(model.state_dict()),
        "tensors_without_num_batches_tracked": sum("num_batches" not in name for name in model.state_dict()),
        "input": INPUT,
        "mean": MEAN,
        "std": STD,
        "batch_norm_eps": model.bn1.eps,
        "batch_norm_momentum_pytorch": model.bn1.momentum,
        "stages": "mean over the whole output; stem is after the max pool",
        "cases": [case(height, width, forward) for height, width in SIZES],
    })


if __name__ == "__main__":
    with torch.no_grad():
        main()
