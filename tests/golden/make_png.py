"""Makes tests/golden/png/*.png, one small image of each kind, and prints the SHA-256 of the pixels that Pillow decodes
to RGB and to grey. Written with Pillow 13.0 and zlib only; run: python tests/golden/make_png.py"""
import hashlib, io, os, struct, sys, zlib
import numpy as np
from PIL import Image

out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "png")
os.makedirs(out, exist_ok=True)
H, W = 9, 13
y, x = np.mgrid[0:H, 0:W]
ramp = ((y * 19 + x * 7) % 256).astype(np.uint8)
rgb = np.stack([ramp, 255 - ramp, (ramp.astype(int) * 3 % 256).astype(np.uint8)], -1)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(depth, colour, rows, extra=b""):
    """rows: bytes of each row, filter type 0."""
    ihdr = struct.pack(">IIBBBBB", W, H, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + r for r in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def adam7(image):
    """Interlaced RGB: Pillow cannot write it."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    data = b""
    for y0, x0, dy, dx in passes:
        part = image[y0::dy, x0::dx]
        if part.size:
            data += b"".join(b"\0" + r.tobytes() for r in part)
    ihdr = struct.pack(">IIBBBBB", W, H, 8, 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


def by_pillow(image, **options):
    f = io.BytesIO()
    image.save(f, "PNG", **options)
    return f.getvalue()


alpha = ((x * 37 + y) % 256).astype(np.uint8)
palette = Image.fromarray((ramp % 5).astype(np.uint8), "P")
palette.putpalette([10, 20, 30, 200, 100, 0, 0, 255, 0, 255, 255, 255, 7, 7, 9])
bits = np.packbits(ramp > 100, axis=1)
wide = np.stack([rgb, 255 - rgb], -1).reshape(H, W * 6)  # high byte, low byte
files = {
    "grey8": by_pillow(Image.fromarray(ramp)),
    "rgb8": by_pillow(Image.fromarray(rgb)),
    "rgba8": by_pillow(Image.fromarray(np.concatenate([rgb, alpha[..., None]], -1))),
    "greyalpha8": by_pillow(Image.fromarray(np.stack([ramp, alpha], -1), "LA")),
    "palette": by_pillow(palette),
    "palette_trns": by_pillow(palette, transparency=b"\x00\x80\xff\xff\xff"),
    "grey1": raw_png(1, 0, [r.tobytes() for r in bits]),
    "rgb16": raw_png(16, 2, [r.tobytes() for r in wide]),
    "interlaced": adam7(rgb),
}
for name, data in files.items():
    with open(os.path.join(out, name + ".png"), "wb") as f:
        f.write(data)
    image = Image.open(io.BytesIO(data))
    colour = np.asarray(image.convert("RGB"))
    grey = np.asarray(image.convert("L") if image.mode in "1L" else image.convert("RGB").convert("L"))
    if image.mode == "LA":
        grey = np.asarray(image)[..., 0]
    print(f'        {{"{name}", {3 if image.mode in ("RGB", "RGBA", "P") else 1},\n'
          f'         "{hashlib.sha256(colour.tobytes()).hexdigest()}",\n'
          f'         "{hashlib.sha256(grey.tobytes()).hexdigest()}"}},')
print(sys.version, Image.__version__, file=sys.stderr)
