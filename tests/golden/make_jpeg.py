#!/usr/bin/env python3
"""Small JPEG files and what Pillow decodes from them, for tests/test_jpeg.c.

Writes tests/golden/jpeg/NAME.jpg and, as PNG, the decoded bytes: NAME.png; and
folder.tsv: the SHA-256 of four of them converted and resized as a data set. The picture is a smooth
gradient with a disc, made here. Made with Python 3.11, Pillow 9.4.0 (what the original used; newer ones shrink some sizes
vertically first), NumPy 1.
"""
import hashlib
import pathlib

import numpy as np
from PIL import Image

OUT = pathlib.Path(__file__).parent / "jpeg"


def picture(w, h):
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    disc = (x - w / 2) ** 2 + (y - h / 2) ** 2 < (min(w, h) / 3) ** 2
    a = np.stack([255 * x / w, 255 * y / h, 127 + 100 * np.sin(x / 3 + y / 5)], -1)
    a[disc] = (230, 20, 60)
    return Image.fromarray(np.clip(a, 0, 255).astype(np.uint8))


def main():
    OUT.mkdir(exist_ok=True)
    cases = {
        "full": (picture(33, 17), dict(quality=95, subsampling=0)),
        "half": (picture(29, 31), dict(quality=75, subsampling=1)),
        "quarter": (picture(32, 24), dict(quality=85, subsampling=2)),
        "progressive": (picture(40, 40), dict(quality=90, subsampling=2, progressive=True)),
        "grey": (picture(19, 23).convert("L"), dict(quality=90)),
        "cmyk": (picture(16, 16).convert("CMYK"), dict(quality=90)),
    }
    for name, (image, options) in cases.items():
        image.save(OUT / f"{name}.jpg", **options)
        if name != "cmyk":
            Image.open(OUT / f"{name}.jpg").save(OUT / f"{name}.png")
    names = ("full.jpg", "grey.jpg", "half.jpg", "quarter.png")  # in the order of their paths
    with open(OUT / "folder.tsv", "w") as f:
        print("# size channels sha256 of bytes [n][size][size][channels]", file=f)
        for size, mode in ((16, "RGB"), (16, "L"), (24, "RGB"), (10, "L")):
            h = hashlib.sha256()
            for name in names:
                image = Image.open(OUT / name).convert(mode)
                h.update(image.resize((size, size), Image.BILINEAR).tobytes())
            print(size, 3 if mode == "RGB" else 1, h.hexdigest(), sep="\t", file=f)


main()
