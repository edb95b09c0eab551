"""Frames of the drawn world (build/tools/draw_faces), and what the two nets are trained on from them."""

import io
import math
import subprocess
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

SIZE = 384  # of the drawn frames
HELD_OUT = 1_000_000  # seeds from here on are never trained on
POINTS = 106
RECORD = np.dtype([("box", "<f4", 4), ("points", "<f4", (POINTS, 2)), ("rgb", "u1", (SIZE, SIZE, 3))])

# The detector's five key points from the 106: eyes (pupils), nose's tip, corners of the mouth.
KEY_POINTS = [34, 88, 86, 52, 61]


def frames(draw_faces, cache, first_seed, people, frames_each):
    """Records of the people first_seed ... first_seed + people - 1, drawn once and kept in `cache`."""
    path = Path(cache) / f"faces-{first_seed}-{people}x{frames_each}.bin"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with open(part, "wb") as out:
            subprocess.run([draw_faces, str(first_seed), str(people), str(frames_each), str(SIZE)], stdout=out, check=True)
        part.rename(path)
    return np.memmap(path, RECORD, "r")


def sample(rgb, scale, shift, out):
    """Pixel p of the outputs shows pixel (p - shift) / scale of the inputs, black outside.

    rgb [n,3,h,w], scale [n], shift [n,2]. Pixel centres are at whole numbers, as OpenCV's warps have them.
    """
    n, _, h, w = rgb.shape
    grid = torch.arange(out, dtype=torch.float32)
    x = (grid[None, :] - shift[:, :1]) / scale[:, None]
    y = (grid[None, :] - shift[:, 1:]) / scale[:, None]
    x = (2 * x + 1) / w - 1
    y = (2 * y + 1) / h - 1
    at = torch.stack([x[:, None, :].expand(n, out, out), y[:, :, None].expand(n, out, out)], -1)
    return F.grid_sample(rgb, at, mode="bilinear", padding_mode="zeros", align_corners=False)


def planes(rgb):
    return torch.from_numpy(np.ascontiguousarray(rgb)).permute(0, 3, 1, 2).float()


def spoil(rgb, rng):
    """Light, colour and noise other than the renderer's own."""
    n = len(rgb)
    gain = torch.from_numpy(rng.uniform(0.8, 1.2, (n, 3, 1, 1)).astype("f4"))
    lift = torch.from_numpy(rng.uniform(-12, 12, (n, 1, 1, 1)).astype("f4"))
    rgb = rgb * gain + lift
    k = n // 2
    if k:
        noise = torch.from_numpy(rng.standard_normal((k, *rgb.shape[1:]), "f4"))
        rgb[:k] += noise * float(rng.uniform(0, 5))
    return rgb.clamp(0, 255)


def jpeg(rgb, quality):
    """What a codec's quantisation leaves of a picture, [3,h,w]."""
    picture = Image.fromarray(rgb.round().permute(1, 2, 0).to(torch.uint8).numpy())
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=quality, subsampling=2)
    return planes(np.asarray(Image.open(held))[None])[0]


GRAIN = torch.from_numpy(np.random.default_rng(59).standard_normal((3, 1024, 1024), "f4"))


def camera(rgb, rng):
    """Light, colour, noise, blur and a codec's traces, on pictures with a face and without alike, in place."""
    h, w = rgb.shape[-2:]
    for picture in rgb:
        picture *= torch.from_numpy(rng.uniform(0.8, 1.2, (3, 1, 1)).astype("f4"))
        picture += float(rng.uniform(-12, 12))
        if rng.random() < 0.06:
            picture[:] = picture.mean(0, keepdim=True)
        if rng.random() < 0.15:
            small = F.interpolate(picture[None], scale_factor=float(rng.uniform(0.3, 0.9)), mode="bilinear", antialias=True)
            picture[:] = F.interpolate(small, size=(h, w), mode="bilinear")[0]
        if rng.random() < 0.4:
            y, x = (int(v) for v in rng.integers(0, 1024 - max(h, w), 2))
            picture.add_(GRAIN[:, y : y + h, x : x + w], alpha=float(rng.uniform(0, 5)))
        picture.clamp_(0, 255)
        if rng.random() < 0.5:
            picture[:] = jpeg(picture, int(rng.integers(12, 90)))
    return rgb


class Crops:
    """For the landmark net: faces out of the frames, on a scale of 128 pixels a box's longer side, with a margin."""

    SIDE = 240

    def __init__(self, records):
        self.rgb = np.empty((len(records), self.SIDE, self.SIDE, 3), "u1")
        self.points = np.empty((len(records), POINTS, 2), "f4")
        for i in range(0, len(records), 50):
            some = records[i : i + 50]
            box = torch.from_numpy(some["box"].copy())
            scale = 128 / torch.maximum(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1])
            shift = self.SIDE / 2 - (box[:, :2] + box[:, 2:]) / 2 * scale[:, None]
            crop = sample(planes(some["rgb"]), scale, shift, self.SIDE)
            self.rgb[i : i + 50] = crop.permute(0, 2, 3, 1).round().clamp(0, 255).numpy()
            points = torch.from_numpy(some["points"].copy())
            self.points[i : i + 50] = (points * scale[:, None, None] + shift[:, None]).numpy()

    def __len__(self):
        return len(self.rgb)

    def batch(self, which, rng=None):
        """Crops as src/face/landmark_crop.c makes them (RGB, 0 to 255) and points from -1 to 1, [n,106,2]; with
        rng, of boxes that are a little wrong."""
        n = len(which)
        scale, shift = torch.ones(n), torch.full((n, 2), 96 - self.SIDE / 2)
        if rng is not None:
            scale = torch.from_numpy(np.exp(rng.uniform(-0.14, 0.14, n)).astype("f4"))
            shift = 96 - self.SIDE / 2 * scale[:, None] + torch.from_numpy(rng.uniform(-9, 9, (n, 2)).astype("f4"))
        rgb = planes(self.rgb[which])
        if rng is not None:
            k = n // 4  # as if of a small picture
            small = F.interpolate(rgb[:k], scale_factor=float(rng.uniform(0.4, 0.9)), mode="bilinear", antialias=True)
            rgb[:k] = F.interpolate(small, size=rgb.shape[-2:], mode="bilinear")
        crop = sample(rgb, scale, shift, 192)
        target = torch.from_numpy(self.points[which]) * scale[:, None, None] + shift[:, None, :]
        return spoil(crop, rng) if rng is not None else crop, target / 96 - 1


class Scenes:
    """For the detector: whole frames at three sizes."""

    def __init__(self, records):
        self.box, self.points = records["box"].copy(), records["points"][:, KEY_POINTS].copy()
        self.rgb = {1: records["rgb"]}
        for factor in (2, 4):
            side = SIZE // factor
            self.rgb[factor] = np.empty((len(records), side, side, 3), "u1")
            for i in range(0, len(records), 50):
                small = F.avg_pool2d(planes(records["rgb"][i : i + 50]), factor)
                self.rgb[factor][i : i + 50] = small.permute(0, 2, 3, 1).round().numpy()

    def __len__(self):
        return len(self.box)

    def batch(self, which, rng, canvas, low, high, behind=None):
        """Letterboxes of side `canvas` with one face each, its longer side `low` to `high` pixels: pictures
        [n,3,canvas,canvas] (RGB, 0 to 255), boxes [n,4], key points [n,5,2]. What the drawn frame leaves free is black,
        in the first of them as `behind` has it, [m,3,canvas,canvas]."""
        n = len(which)
        size = np.exp(rng.uniform(math.log(low), math.log(high), n))
        scale = size / (self.box[which][:, 2:] - self.box[which][:, :2]).max(1)
        middle = float(np.median(scale))
        factor = 1 if middle > 0.75 else 2 if middle > 0.375 else 4
        centre = (factor - 1) / 2
        box = (torch.from_numpy(self.box[which]) - centre) / factor
        keys = (torch.from_numpy(self.points[which]) - centre) / factor
        rgb = planes(self.rgb[factor][which])
        scale = torch.from_numpy(scale.astype("f4")) * factor
        if rng.random() < 0.5:
            last = rgb.shape[-1] - 1
            rgb = rgb.flip(-1)
            box = torch.stack([last - box[:, 2], box[:, 1], last - box[:, 0], box[:, 3]], 1)
            keys = keys[:, [1, 0, 2, 4, 3]]
            keys[..., 0] = last - keys[..., 0]
        # The face whole and anywhere on the canvas, in its middle when it has no room.
        room = canvas - (box[:, 2:] - box[:, :2]) * scale[:, None]
        where = torch.from_numpy(rng.random((n, 2)).astype("f4"))
        shift = torch.where(room > 0, where * room, room / 2) - box[:, :2] * scale[:, None]
        out = sample(rgb, scale, shift, canvas)
        if behind is not None:
            m = len(behind)
            inside = sample(torch.ones_like(rgb[:m, :1]), scale[:m], shift[:m], canvas)
            out[:m] += behind * (1 - inside)
        return out, box * scale[:, None] + shift.repeat(1, 2), keys * scale[:, None, None] + shift[:, None, :]
