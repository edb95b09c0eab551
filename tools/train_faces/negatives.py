"""Pictures that hold no drawn face: from a folder, made up, and drawn faces that are none any more.

Those that the net takes for faces come again, until it does not (hard negatives).
"""

import hashlib
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageOps

LONGEST = 448  # of a picture as it is kept
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
POOL = 192  # hard negatives that are kept for each size of canvas


def pictures(folder, cache):
    """The pictures of a folder and its folders, [(offset, height, width, source)] into one array of bytes that `cache` keeps;
    source is a number for each of the folders in it."""
    files = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
    listing = "\n".join(f"{p.relative_to(folder)} {p.stat().st_size}" for p in files)
    base = Path(cache) / f"pictures-{hashlib.sha1(listing.encode()).hexdigest()[:12]}"
    table, pixels = base.with_suffix(".npy"), base.with_suffix(".bin")
    if not table.exists():
        base.parent.mkdir(parents=True, exist_ok=True)
        rows, sources = [], {}
        with open(pixels, "wb") as out:
            for file in files:
                picture = opened(file)
                if picture is not None and min(picture.size) >= 32:
                    picture.thumbnail((LONGEST, LONGEST), Image.LANCZOS)
                    source = sources.setdefault(file.relative_to(folder).parts[:-1][:1], len(sources))
                    rows.append((out.tell(), picture.height, picture.width, source))
                    out.write(picture.tobytes())
        if not rows:
            raise SystemExit(f"{folder}: no pictures")
        np.save(table, np.array(rows))
    return np.load(table), np.memmap(pixels, "u1", "r")


def opened(file):
    """RGB, grey where it is transparent; None for what is no picture."""
    try:
        picture = Image.open(file)
        if picture.mode in ("RGBA", "LA", "P", "PA"):
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, (200, 200, 200, 255)), picture)
        return picture.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as e:
        print(f"{file} is left out: {e}", flush=True)
        return None


class Pictures:
    def __init__(self, folder, cache):
        self.table, self.bytes = pictures(folder, cache)

        # A source of a hundred times as many pictures comes up ten times as often.
        _, source, counts = np.unique(self.table[:, 3], return_inverse=True, return_counts=True)
        self.weights = np.cumsum(counts[source] ** -0.5)

    def __len__(self):
        return len(self.table)

    def any(self, rng):
        at = np.searchsorted(self.weights, rng.random() * self.weights[-1])
        return self[min(at, len(self) - 1)]

    def __getitem__(self, i):
        offset, h, w, _ = (int(v) for v in self.table[i])
        return Image.fromarray(self.bytes[offset : offset + 3 * h * w].reshape(h, w, 3))


def letterbox(picture, side):
    """As src/face/detect_input.c makes the detector's input: the longer side fills the square, black below or beside."""
    scale = side / max(picture.size)
    small = picture.resize([max(1, int(v * scale)) for v in picture.size], Image.BILINEAR, reducing_gap=None)
    out = Image.new("RGB", (side, side))
    out.paste(small, (0, 0))
    return out


def window(picture, rng, side):
    """Some part of a picture, or all of it, at any size and place."""
    w, h = picture.size
    scale = side / max(w, h) * math.exp(rng.uniform(math.log(0.5), math.log(3.0)))
    filter = Image.BILINEAR
    if scale < 1 and rng.random() < 0.5:  # half of them without aliasing
        picture = picture.resize((max(1, round(w * scale)), max(1, round(h * scale))), Image.BOX)
        w, h = picture.size
        scale = 1.0
    elif rng.random() < 0.2:
        filter = Image.NEAREST
    aspect = math.exp(rng.uniform(-0.2, 0.2))
    sx, sy = scale * aspect, scale / aspect
    place = []
    for length in (w * sx, h * sy):
        slack = side - length
        place.append(rng.uniform(min(slack, 0) * 1.1, max(slack, 0) + 0.1))
    out = picture.transform(
        (side, side), Image.AFFINE, (1 / sx, 0, -place[0] / sx, 0, 1 / sy, -place[1] / sy), filter
    )
    if rng.random() < 0.5:
        out = out.transpose(Image.FLIP_LEFT_RIGHT)
    if rng.random() < 0.1:
        out = out.transpose([Image.ROTATE_90, Image.ROTATE_180, Image.ROTATE_270][rng.integers(3)])
    return out


def smooth(picture, rng):
    """Some pictures as if they were drawn: without grain, in few tones, with even areas."""
    kind = rng.random()
    if kind < 0.08:
        return picture.filter(ImageFilter.MedianFilter(int(rng.choice([3, 5, 7]))))
    if kind < 0.12:
        return picture.filter(ImageFilter.ModeFilter(int(rng.choice([3, 5]))))
    if kind < 0.17:
        return ImageOps.posterize(picture, int(rng.integers(3, 6)))
    if kind < 0.22:
        return picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 2.5))))
    if kind < 0.25:
        return ImageOps.autocontrast(picture, cutoff=3)
    return picture


def colour(rng):
    return tuple(int(v) for v in rng.integers(0, 256, 3))


def field(rng, side):
    """A colour, a gradient, stripes, rings, a chess board or noise of any grain."""
    y, x = np.mgrid[0:side, 0:side].astype("f4") / side
    a, b = (np.array(colour(rng), "f4") for _ in range(2))
    kind = rng.integers(7)
    angle, pitch = rng.uniform(0, 2 * np.pi), math.exp(rng.uniform(math.log(1.5), math.log(60)))
    along = x * math.cos(angle) + y * math.sin(angle)
    if kind == 0:
        t = np.zeros_like(x)
    elif kind == 1:
        t = (along - along.min()) / (np.ptp(along) + 1e-6)
    elif kind == 2:
        t = 0.5 + 0.5 * np.sin(2 * np.pi * pitch * along)
        t = (t > 0.5).astype("f4") if rng.random() < 0.5 else t
    elif kind == 3:
        cx, cy = rng.random(2)
        t = 0.5 + 0.5 * np.sin(2 * np.pi * pitch * np.hypot(x - cx, y - cy))
    elif kind == 4:
        t = (np.floor(x * pitch) + np.floor(y * pitch)) % 2
    else:
        cells = int(math.exp(rng.uniform(math.log(3), math.log(side))))
        shape = (cells, cells, 3) if kind == 5 else (cells, cells)
        grain = (rng.random(shape) * 255).astype("u1")
        filter = Image.NEAREST if rng.random() < 0.3 else Image.BICUBIC
        grain = np.asarray(Image.fromarray(grain).resize((side, side), filter), "f4") / 255
        t = grain if kind == 6 else None
        if t is None:
            return Image.fromarray((a + (b - a) * grain).clip(0, 255).astype("u1"))
    return Image.fromarray((a + (b - a) * t[..., None]).clip(0, 255).astype("u1"))


def shapes(rng, side):
    """Ellipses, polygons and lines on a field: drawn, and no face."""
    out = field(rng, side)
    draw = ImageDraw.Draw(out)
    for _ in range(rng.integers(3, 40)):
        cx, cy = rng.uniform(0, side, 2)
        rx, ry = np.exp(rng.uniform(math.log(2), math.log(side / 3), 2))
        kind = rng.integers(4)
        if kind == 0:
            draw.ellipse((cx - rx, cy - ry, cx + rx, cy + ry), fill=colour(rng))
        elif kind == 1:
            draw.rectangle((cx - rx, cy - ry, cx + rx, cy + ry), fill=colour(rng))
        elif kind == 2:
            turns = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
            draw.polygon([(cx + rx * math.cos(t), cy + ry * math.sin(t)) for t in turns], fill=colour(rng))
        else:
            draw.line((cx - rx, cy - ry, cx + rx, cy + ry), fill=colour(rng), width=int(rng.integers(1, 8)))
    return out


def broken(rgb, box, rng):
    """A drawn face whose parts have changed places: the same colours and edges, no face."""
    rgb = rgb.copy()
    side = len(rgb)
    x1, y1, x2, y2 = (int(v) for v in np.clip(np.round(box), 0, side))
    n = int(rng.integers(3, 6))
    h, w = (y2 - y1) // n, (x2 - x1) // n
    if h < 2 or w < 2:
        return Image.fromarray(255 - rgb)
    tiles = [(y1 + i * h, x1 + j * w) for i in range(n) for j in range(n)]
    old = rgb.copy()
    order = rng.permutation(len(tiles))
    for (y, x), k in zip(tiles, order):
        v, u = tiles[k]
        rgb[y : y + h, x : x + w] = old[v : v + h, u : u + w]
    return Image.fromarray(rgb)


class Negatives:
    """Batches of them, [n,3,side,side] (RGB, 0 to 255), half of them such as were taken for faces before."""

    def __init__(self, folder, cache, records):
        self.pictures = Pictures(folder, cache)
        self.records = records
        self.pools = {}

    def fresh(self, rng, side):
        kind = rng.random()
        if kind < 0.76:
            return smooth(window(self.pictures.any(rng), rng, side), rng)
        if kind < 0.84:
            return field(rng, side)
        if kind < 0.92:
            return shapes(rng, side)
        record = self.records[rng.integers(len(self.records))]
        return window(broken(record["rgb"], record["box"], rng), rng, side)

    def batch(self, n, rng, side):
        pool = self.pools.setdefault(side, [])
        out = []
        for i in range(n):
            if i % 2 and len(pool) >= n:
                out.append(pool.pop(rng.integers(len(pool))))
            else:
                out.append(np.asarray(self.fresh(rng, side)))
        return np.stack(out)

    def keep(self, rgb, scores):
        """Those of a batch's pictures that were taken for faces, or nearly."""
        pool = self.pools[rgb.shape[1]]
        for picture, score in zip(rgb, scores):
            if score > 0.1:
                if len(pool) < POOL:
                    pool.append(picture)
                else:
                    pool[int(score * 1e6) % POOL] = picture
