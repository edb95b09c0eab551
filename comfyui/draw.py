"""A memory plan as text and as a picture."""

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from memsafe._values import size_text

WIDTH, HEIGHT, LEFT, BAR = 960, 640, 24, 72
COLOURS = [
    (66, 106, 90),
    (120, 120, 120),
    (200, 150, 180),
    (30, 60, 110),
    (76, 120, 168),
    (245, 133, 24),
    (84, 162, 75),
    (178, 121, 162),
    (228, 87, 86),
    (114, 183, 178),
    (238, 202, 59),
    (157, 117, 93),
]


PARTS = {
    "resident_bytes": "weights that stay",
    "arena_bytes": "arena of the networks",
    "stream_bytes": "weights that are streamed",
    "codec_bytes": "codecs",
    "frame_bytes": "pictures on their way",
    "process_bytes": "the program",
    "face_bytes": "face networks",
    "buffer_bytes": "buffers and plans",
    "latent_bytes": "latents",
    "cache_bytes": "latent cache",
    "device_own_bytes": "the device itself",
    "launch_bytes": "captured launches",
}


def parts_of(plan):
    """What takes memory: name -> bytes, the largest first."""
    parts = {name: plan.get(key, 0) for key, name in PARTS.items()}
    return {name: value for name, value in sorted(parts.items(), key=lambda p: -p[1]) if value}


def lines_of(report, indent=""):
    """A report, a line for each number."""
    for key, value in report.items():
        if isinstance(value, dict):
            yield f"{indent}{key}"
            yield from lines_of(value, indent + "  ")
        else:
            yield f"{indent}{key}: {value:.4g}" if isinstance(value, float) else f"{indent}{key}: {value}"


def plan_text(plan, says):
    lines = [f"{says}: rung {plan['rung']}, peak {size_text(plan['peak_bytes'])}"]
    if plan.get("least_bytes"):
        lines.append(f"the smallest budget that works: {size_text(plan['least_bytes'])}")
    if plan.get("total_s"):
        lines.append(f"predicted time: {plan['total_s']:.0f} s")
    lines += [f"  {name}: {size_text(value)}" for name, value in parts_of(plan).items()]
    return "\n".join(lines)


def plan_picture(plan):
    """[1][640][960][3]: a bar of the peak's parts, and their names."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), (250, 250, 250))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=28)
    parts, peak = parts_of(plan), max(plan["peak_bytes"], 1)
    pen.text((LEFT, 16), f"rung {plan['rung']}: peak {size_text(peak)}", fill=(20, 20, 20), font=font)
    x, top = float(LEFT), 60
    for n, value in enumerate(parts.values()):
        wide = (WIDTH - 2 * LEFT) * value / max(peak, sum(parts.values()))
        pen.rectangle((x, top, x + wide, top + BAR), fill=COLOURS[n % len(COLOURS)])
        x += wide
    for n, (name, value) in enumerate(parts.items()):
        at = (LEFT, top + BAR + 24 + n * 38)
        pen.rectangle((*at, at[0] + 26, at[1] + 26), fill=COLOURS[n % len(COLOURS)])
        pen.text(
            (at[0] + 42, at[1] - 4),
            f"{name.replace('_', ' ')}  {size_text(value)}",
            fill=(20, 20, 20),
            font=font,
        )
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]
