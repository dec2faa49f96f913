#!/usr/bin/env python3
"""Bytes that Pillow's bilinear resize gives for the pictures of tests/test_resize.c.

Writes tests/golden/resize.tsv: w h c out_w out_h, then the SHA-256 of the output bytes [h][w][c].
Picture bytes come from the generator below, which tests/test_resize.c repeats. The same is done for
the data set: the SHA-256 of every image of a split, resized to 32 x 32 (tests/golden/fashion.tsv),
and for the boot target (tests/golden/shoe.tsv).

Made with Python 3.11, Pillow 9.4.0, NumPy 1. Newer versions of Pillow (13.0) turn the two passes round for some
sizes, the last two of SHAPES among them; 9.4, which the original used, never did. Usage: make_resize.py FOLDER_OF_FASHION_MNIST
"""
import gzip
import hashlib
import pathlib
import sys

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
SHAPES = [  # w h c out_w out_h
    (28, 28, 1, 32, 32), (28, 28, 1, 64, 64), (178, 218, 3, 64, 64), (999, 997, 3, 14, 14),
    (512, 512, 3, 20, 20), (512, 512, 1, 32, 32), (7, 5, 3, 7, 9), (7, 5, 3, 3, 5), (9, 9, 1, 9, 9),
    (1, 1, 3, 4, 4), (64, 48, 1, 1, 1), (33, 17, 3, 31, 19), (300, 5, 1, 2, 11),
    (19, 23, 3, 16, 16), (20, 50, 1, 40, 10),
]


def picture(w, h, c):
    x = np.uint32(w * 65536 + h * 256 + c)
    out = np.empty(w * h * c, np.uint8)
    with np.errstate(over="ignore"):
        for i in range(out.size):
            x = np.uint32(x * np.uint32(1664525) + np.uint32(1013904223))
            out[i] = x >> np.uint32(24)
    return out.reshape(h, w, c)


def resize(a, w, h):
    image = Image.fromarray(a[:, :, 0] if a.shape[2] == 1 else a)
    return np.asarray(image.resize((w, h), Image.BILINEAR)).reshape(h, w, a.shape[2])


def idx_images(path):
    raw = gzip.decompress(path.read_bytes())
    return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28, 1)


def sha(a):
    return hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()


def main():
    with open(HERE / "resize.tsv", "w") as f:
        print("# w h c out_w out_h sha256", file=f)
        for w, h, c, ow, oh in SHAPES:
            print(w, h, c, ow, oh, sha(resize(picture(w, h, c), ow, oh)), sep="\t", file=f)
    folder = pathlib.Path(sys.argv[1])
    train = idx_images(folder / "train-images-idx3-ubyte.gz")
    test = idx_images(folder / "t10k-images-idx3-ubyte.gz")
    big = [np.stack([resize(a, 32, 32) for a in s]) for s in (train, test)]
    with open(HERE / "fashion.tsv", "w") as f:
        print("# split limit sha256", file=f)
        for name, a in (("train", big[0]), ("test", big[1]), ("train+test", np.concatenate(big))):
            print(name, 0, sha(a), sep="\t", file=f)
        print("train", 100, sha(big[0][:100]), sep="\t", file=f)
        print("train+test", 60001, sha(np.concatenate(big)[:60001]), sep="\t", file=f)
    with open(HERE / "shoe.tsv", "w") as f:
        print("# size channels sha256 of float32 [C][H][W]", file=f)
        for size, c in ((32, 1), (32, 3), (64, 3)):
            x = resize(train[0], size, size).astype(np.float32) / np.float32(255)
            y = x / np.float32(1.00001) * np.float32(2) - np.float32(1)
            y = np.where(y <= np.float32(-0.4), np.float32(-0.4), y).transpose(2, 0, 1)
            print(size, c, sha(np.repeat(y, c, 0).astype("<f4")), sep="\t", file=f)


main()
