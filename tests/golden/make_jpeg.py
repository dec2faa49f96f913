#!/usr/bin/env python3
"""Small JPEG files and what Pillow decodes from them, for tests/test_jpeg.c.

Writes tests/golden/jpeg/NAME.jpg and, as PNG, the decoded bytes: NAME.png. The picture is a smooth
gradient with a disc, made here. Made with Python 3, Pillow 13.0.0 (bundled libjpeg-turbo 3), NumPy.
"""
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


main()
