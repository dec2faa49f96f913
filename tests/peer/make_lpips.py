#!/usr/bin/env python3
"""LPIPS (AlexNet, v0.1) of the lpips package on hash weights: writes tests/golden/lpips_golden.json.

For development only: the test suite reads what this script wrote. Needs torch, torchvision, lpips, numpy.
The weights are hash numbers of the tensors' names, as in tests/hash_weights.c.
"""
import json
import sys
from importlib.metadata import version

import lpips
import numpy as np
import torch


def numbers(name, n):
    """r_i in [-1, 1) of a name."""
    h = 2166136261
    for c in name.encode():
        h = ((h ^ c) * 16777619) & 0xFFFFFFFF
    v = (h + np.arange(n, dtype=np.uint64) * 2654435761) & 0xFFFFFFFF
    v ^= v >> 16
    v = (v * 0x7FEB352D) & 0xFFFFFFFF
    v ^= v >> 15
    v = (v * 0x846CA68B) & 0xFFFFFFFF
    v ^= v >> 16
    return 2 * ((v >> 8) / 2.0**24) - 1


def fill(tensor, name, middle, scale):
    r = middle + scale * numbers(name, tensor.numel())
    tensor.copy_(torch.from_numpy(r.astype(np.float32)).reshape(tensor.shape))


def network():
    net = lpips.LPIPS(net="alex", version="0.1", pnet_rand=True, pretrained=False, verbose=False)
    with torch.no_grad():
        for s in range(1, 6):
            for number, layer in getattr(net.net, f"slice{s}").named_children():
                if not hasattr(layer, "weight"):
                    continue
                fan_in = layer.weight[0].numel()
                fill(layer.weight, f"features.{number}.weight", 0, 1.5 / fan_in**0.5)
                fill(layer.bias, f"features.{number}.bias", 0, 0.02)
        for i, lin in enumerate(net.lins):
            fill(lin.model[1].weight, f"lin{i}.model.1.weight", 0.5, 0.5)
    return net.eval()


def image(name, h, w):
    u = (0.5 + 0.5 * numbers(name, 3 * h * w)).astype(np.float32)
    return torch.from_numpy(np.floor(256 * u).astype(np.float32) / np.float32(255)).reshape(1, 3, h, w)


def main():
    net, cases = network(), []
    for k, (h, w) in enumerate([(64, 64), (64, 64), (32, 32), (37, 50)]):
        a, b = image(f"lpips_a{k}", h, w), image(f"lpips_b{k}", h, w)
        if k == 1:
            b = 0.9 * a + 0.1 * b
        with torch.no_grad():
            value, layers = net(a, b, retPerLayer=True, normalize=True)
        cases.append({"h": h, "w": w, "mix": 0.9 if k == 1 else 0, "value": float(value),
                      "layers": [float(x) for x in layers]})
    made = {p: version(p) for p in ("lpips", "torch", "torchvision")}
    path = sys.argv[1] if len(sys.argv) > 1 else "tests/golden/lpips_golden.json"
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"made_with": made, "cases": cases}, f, indent=1)
        f.write("\n")


main()
