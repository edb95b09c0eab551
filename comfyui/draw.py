"""A memory plan as text and as a picture."""

import math

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


# As cli/commands/cmd_score.c has them; docs/score.md says where they are from.
CHANCE, CHANCE_FRAMES, LEAST_FRAMES = 0.38, 75, 40


def score_text(report):
    """A score in the words of `memsafe score`. What is not known has no line."""
    faces = report["frames_with_face"]
    yield f"Frames         {report['frames']}, {faces} of them with a face, {report['fps']:.6g} a second"
    if report["frames_lost"]:
        lost = report["frames_lost"]
        yield f"               the video is damaged: {lost} of its frames could not be decoded or are not there"
    yield from _sync_text(report, faces)
    for key, what in (
        ("identity_drift", "Identity       eyes, brows and nose {:.2f} % of the face's width off"),
        ("outline_drift", "Outline        {:.2f} % of the face's width off the truth's"),
    ):
        if math.isfinite(report[key]):
            yield what.format(100 * report[key])
    yield _flicker_text(report)


def _sync_text(report, faces):
    if faces < LEAST_FRAMES:
        few = "frame with a face is" if faces == 1 else "frames with a face are"
        yield f"Lip sync       not to be judged: {faces} {few} too few; it takes {LEAST_FRAMES}, better {CHANCE_FRAMES}"
    elif not math.isfinite(report["sync_r_unshifted"]):
        yield "Lip sync       not to be judged: the speech is silent, or the mouth does not move"
    else:
        yield (
            f"Lip sync       {report['sync_offset_frames']:+d} frames (mouth after sound), confidence "
            f"{report['sync_confidence']:.3f}, correlation {report['sync_r']:.3f}; "
            f"unshifted {report['sync_r_unshifted']:.3f}"
        )
        follows = report["sync_r_unshifted"] > CHANCE * math.sqrt(CHANCE_FRAMES / faces)
        verdict = "the mouth follows this speech" if follows else "unshifted no more alike than by chance"
        yield f"               {verdict}"


def _flicker_text(report):
    borders, elsewhere = report["flicker_borders"], report["flicker_elsewhere"]
    if not math.isfinite(elsewhere):
        return "Flicker        not known: there are no two frames to compare"
    if not math.isfinite(borders):
        return f"Flicker        {elsewhere:.3f} levels; the clip is too short for a window border"
    ratio = f", ratio {report['flicker_ratio']:.3f}" if math.isfinite(report["flicker_ratio"]) else ""
    return f"Flicker        {borders:.3f} levels at window borders, {elsewhere:.3f} elsewhere{ratio}"


def duration_text(seconds):
    """As the command writes it: 42 s, 3 min 5 s, 2 h 6 min."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    units = (3600, 60, "h", "min") if round(seconds) >= 3600 else (60, 1, "min", "s")
    large, small = divmod(round(seconds / units[1]) * units[1], units[0])
    return f"{large} {units[2]}" + (f" {small // units[1]} {units[3]}" if small else "")


def plan_text(plan, says):
    lines = [f"{says}: rung {plan['rung']}, peak {size_text(plan['peak_bytes'])}"]
    if plan.get("least_bytes"):
        lines.append(f"the smallest budget that works: {size_text(plan['least_bytes'])}")
    if plan.get("total_s"):
        lines.append(f"predicted time: {duration_text(plan['total_s'])}")
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
