#!/usr/bin/env python3
"""FID of the pytorch-fid package against `baddiff metric fid`: the same weights, the same PNG files.

For development only: needs torch, torchvision, pytorch-fid, safetensors, pillow, numpy, and a built program.

    tests/peer/fid.py [--n 300] [--baddiff build/release/baddiff] [--work build/tmp/peer_fid]

Weights are random with every batch norm set to the statistics of some images, so that features have the
spread of a trained network's. They are written as .safetensors and .pth; both are tried where the program
reads them. Prints both distances, the relative difference and the versions; exit 1 above 1e-3.
"""
import argparse
import hashlib
import os
import subprocess
import sys
import time
from importlib.metadata import version

import numpy as np
import torch
from PIL import Image
from pytorch_fid import fid_score
from pytorch_fid import inception as peer
from safetensors.torch import save_file

TOLERANCE = 1e-3


def pictures(folder, n, size, seed, contrast):
    """Smooth coloured blobs with some noise, as PNG files."""
    rng = np.random.default_rng(seed)
    os.makedirs(folder, exist_ok=True)
    y, x = np.mgrid[0:size, 0:size] / size
    for i in range(n):
        image = np.full((size, size, 3), rng.uniform(60, 190))
        for _ in range(rng.integers(2, 7)):
            cy, cx, r = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.05, 0.4)
            blob = np.exp(-(((y - cy) ** 2 + (x - cx) ** 2) / r**2))
            image += contrast * blob[..., None] * rng.uniform(-160, 160, 3)
        image += rng.normal(0, 6, image.shape)
        Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8)).save(f"{folder}/{i:05d}.png")


def random_network(images):
    """The network of the package without its download, batch norms set to what `images` give."""
    torch.manual_seed(7)
    keep = peer.load_state_dict_from_url
    peer.load_state_dict_from_url = lambda *_, **__: blank
    blank = None
    net = peer._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    net.Mixed_5b = peer.FIDInceptionA(192, pool_features=32)
    net.Mixed_5c = peer.FIDInceptionA(256, pool_features=64)
    net.Mixed_5d = peer.FIDInceptionA(288, pool_features=64)
    net.Mixed_6b = peer.FIDInceptionC(768, channels_7x7=128)
    net.Mixed_6c = peer.FIDInceptionC(768, channels_7x7=160)
    net.Mixed_6d = peer.FIDInceptionC(768, channels_7x7=160)
    net.Mixed_6e = peer.FIDInceptionC(768, channels_7x7=192)
    net.Mixed_7b = peer.FIDInceptionE_1(1280)
    net.Mixed_7c = peer.FIDInceptionE_2(2048)
    for m in net.modules():
        if isinstance(m, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
        if isinstance(m, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(m.weight, 0.5, 1.5)
            torch.nn.init.normal_(m.bias, 0, 0.2)
            m.momentum = None
    blank = net.state_dict()
    peer.load_state_dict_from_url = lambda *_, **__: blank
    model = peer.InceptionV3([peer.InceptionV3.BLOCK_INDEX_BY_DIM[2048]])
    peer.load_state_dict_from_url = keep
    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = None
    model.train()
    with torch.no_grad():
        model(images)
    model.eval()
    # the blocks of the model are the modules of a whole network: back to its names
    names = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", None, "Conv2d_3b_1x1", "Conv2d_4a_3x3", None,
             "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e",
             "Mixed_7a", "Mixed_7b", "Mixed_7c", None]
    modules = [m for block in model.blocks for m in block]
    state = {f"{name}.{key}": value.clone().contiguous() for name, m in zip(names, modules, strict=True)
             if name for key, value in m.state_dict().items()}
    return model, state


def peer_fid(model, a, b):
    start = time.time()
    stats = [fid_score.compute_statistics_of_path(p, model, 50, 2048, "cpu", 1) for p in (a, b)]
    rate = len(os.listdir(a)) + len(os.listdir(b))
    print(f"pytorch-fid: {rate / (time.time() - start):.2f} images/s with {torch.get_num_threads()} threads")
    return fid_score.calculate_frechet_distance(*stats[0], *stats[1])


def own_fid(program, weights, a, b):
    start = time.time()
    run = subprocess.run([program, "metric", "fid", a, b, "--weights", weights], check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if run.returncode:
        return None, run.stderr.strip()
    name, value = run.stdout.splitlines()[-1].split()
    with open(weights, "rb") as f:
        sha = hashlib.sha256(f.read()).hexdigest()
    n = [len(os.listdir(p)) for p in (a, b)]
    assert name == f"fid-{n[0]}/{n[1]}-inception.{sha[:8]}", name
    return float(value), f"{name}, {sum(n) / (time.time() - start):.2f} images/s over all"


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--n", type=int, default=300)
    ap.add_argument("--baddiff", default="build/release/baddiff")
    ap.add_argument("--work", default="build/tmp/peer_fid")
    o = ap.parse_args()
    a, b = f"{o.work}/a", f"{o.work}/b"
    pictures(a, o.n, 32, 1, 1.0)
    pictures(b, o.n + 20, 32, 2, 0.7)
    calibration = torch.stack([torch.from_numpy(np.array(Image.open(f"{a}/{i:05d}.png"))).permute(2, 0, 1) / 255
                               for i in range(16)])
    model, state = random_network(calibration)
    save_file(state, f"{o.work}/weights.safetensors")
    torch.save(state, f"{o.work}/weights.pth", _use_new_zipfile_serialization=False)
    print(", ".join(f"{p} {version(p)}" for p in ("pytorch-fid", "torch", "torchvision", "numpy", "scipy", "pillow")))
    want, failed = float(peer_fid(model, a, b)), False
    print(f"pytorch-fid {want:.9g}")
    for kind in ("safetensors", "pth"):
        got, text = own_fid(o.baddiff, f"{o.work}/weights.{kind}", a, b)
        if got is None:
            print(f"baddiff, .{kind}: {text}")
            failed |= kind == "safetensors"
            continue
        error = abs(got / want - 1)
        failed |= not error <= TOLERANCE
        print(f"baddiff {got:.9g} from .{kind} ({text}), relative difference {error:.2g}")
    sys.exit(1 if failed else 0)


main()
