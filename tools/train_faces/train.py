#!/usr/bin/env python3
"""Trains the demo model's face nets on the drawn world and writes them as ONNX.

    tools/train_faces/train.py landmarks [--steps N] [--stop N] [--out FOLDER]
    tools/train_faces/train.py detector --negatives FOLDER --held-out FOLDER [--from FILE] [--margin X] [--steps N] [--stop N] [--out FOLDER]

Without a name both, one after the other. The detector needs pictures that hold no drawn face: a folder (with what lies in its
folders) to train on, and another to report on that shares no source with it. The same pictures, seeds, steps and library versions give the same nets on one kind of CPU.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parent))
import data
import export
import negatives
import nets

ROOT = Path(__file__).resolve().parents[2]
FILES = {"detector": "det_10g.onnx", "landmarks": "2d106det.onnx"}
LIPS = [52, 64, 63, 71, 67, 68, 61, 58, 59, 53, 56, 55, 65, 66, 62, 70, 69, 57, 60, 54]
GAPS = [(66, 54), (62, 60), (70, 57)]  # upper and lower inner edge of the lips


# ---- landmarks


def landmark_loss(out, target):
    out = out.view(-1, data.POINTS, 2)
    weight = torch.ones(data.POINTS)
    weight[LIPS] = 2
    error = (out - target).abs() * weight[None, :, None]
    gap = 0
    for top, bottom in GAPS:
        gap = gap + ((out[:, bottom] - out[:, top]) - (target[:, bottom] - target[:, top])).abs().mean()
    return error.mean() + 0.5 * gap


def landmark_report(net, held_out):
    """Mean error as a part of the face's width (outer points of the outline), and the mouth's opening."""
    net.eval()
    errors, gaps = [], []
    with torch.no_grad():
        for i in range(0, len(held_out), 25):
            crop, target = held_out.batch(np.arange(i, i + 25))
            out = net(crop.flip(1)).view(-1, data.POINTS, 2)
            width = target[..., 0].amax(1) - target[..., 0].amin(1)
            errors += ((out - target).norm(dim=2).mean(1) / width).tolist()
            gaps += [torch.stack([(p[:, 60] - p[:, 62]).norm(dim=1) for p in (out, target)], 1)]
    gaps = torch.cat(gaps)
    net.train()
    return f"error {100 * np.mean(errors):.2f} % (worst {100 * max(errors):.2f} %), opening's correlation {np.corrcoef(gaps.T.numpy())[0, 1]:.4f}"


def landmark_step(net, crops, rng, _step):
    crop, target = crops.batch(rng.choice(len(crops), 24, replace=False), rng)
    return landmark_loss(net(crop.flip(1)), target)


# ---- detector


def grid_of(h, w, stride):
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    return torch.stack([x, y], -1).float() * stride  # a cell's corner, where distances start


def level_targets(box, h, w, stride, level):
    """Which anchors of a level are faces (1), background (0) or neither (-1): [n,2,h,w]."""
    grid = grid_of(h, w, stride)
    centre, size = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
    away = ((grid[None] - centre[:, None, None]) / size[:, None, None]).abs().amax(-1)  # 0.5 at the box's edge
    longest = size.amax(1)
    # The nearest cell always counts, however small the face.
    nearest = away == away.flatten(1).amin(1)[:, None, None]
    label = torch.zeros(len(box), nets.ANCHORS, h, w)
    for a in range(nets.ANCHORS):
        low, high = nets.EDGES[2 * level + a], nets.EDGES[2 * level + a + 1]
        mine = ((longest >= low) & (longest < high))[:, None, None]
        near = ((longest >= low / 1.25) & (longest < high * 1.25))[:, None, None]
        label[:, a] = torch.where(mine & ((away < 0.14) | nearest), 1.0, torch.where(near & (away < 0.3), -1.0, 0.0))
    return label


def iou_of(a, b):
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    both = (high - low).clamp(min=0).prod(-1)
    area = lambda r: (r[..., 2:] - r[..., :2]).clamp(min=0).prod(-1)
    return both / (area(a) + area(b) - both + 1e-6)


def detector_loss(outputs, box, keys):
    score_loss, box_loss, point_loss, positives = 0, 0, 0, 0
    for level, (stride, (score, dist, points)) in enumerate(zip(nets.STRIDES, outputs)):
        n, _, h, w = score.shape
        label = level_targets(box, h, w, stride, level)
        p = torch.sigmoid(score)
        focal = torch.where(label > 0, (1 - p) ** 2, 0.75 * p**2)
        focal = focal * F.binary_cross_entropy_with_logits(score, (label > 0).float(), reduction="none")
        score_loss = score_loss + (focal * (label >= 0)).sum()
        at = (label > 0).nonzero()
        if len(at):
            i, a, y, x = at.T
            positives += len(at)
            corner = torch.stack([x, y], 1).float() * stride
            d = dist.view(n, nets.ANCHORS, 4, h, w)[i, a, :, y, x] * stride
            found = torch.cat([corner - d[:, :2], corner + d[:, 2:]], 1)
            side = (box[i, 2:] - box[i, :2]).amax(1, keepdim=True)
            box_loss = box_loss + (1 - iou_of(found, box[i])).sum() + 2 * (found - box[i]).abs().div(side).mean(1).sum()
            k = points.view(n, nets.ANCHORS, 5, 2, h, w)[i, a, :, :, y, x] * stride + corner[:, None]
            point_loss = point_loss + ((k - keys[i]).abs() / side[:, :, None]).mean((1, 2)).sum()
    return (score_loss + box_loss + 2 * point_loss) / max(positives, 1)


HARDEST = 12  # anchors of a picture without a face that count once more


def nobody_loss(outputs):
    """Of pictures without a face: all anchors as in detector_loss(), and those that are most wrong. And each picture's
    highest score."""
    logits = torch.cat([score.flatten(1) for score, _, _ in outputs], 1)
    focal = 0.75 * torch.sigmoid(logits) ** 2 * F.softplus(logits)
    hardest = F.softplus(logits.topk(HARDEST, 1).values).mean()
    return focal.sum(1).mean() + 2 * hardest, torch.sigmoid(logits.detach().amax(1))


# Canvas, range of the faces' longer sides, pictures with a face and without. The run's canvas is 512; small ones are quicker.
MIXES = [(128, 14, 110, 16, 20), (256, 60, 240, 6, 9), (256, 60, 240, 6, 9), (512, 150, 470, 2, 3)]
BEHIND = 0.25  # of the pictures with a face have another picture around the drawn one


def detector_batch(scenes, rng, step):
    """The net's input, in it first those with a face, their boxes and key points; those without, as bytes."""
    canvas, low, high, faces, others = MIXES[step % len(MIXES)]
    which = rng.choice(len(scenes), faces, replace=False)
    behind = rng.binomial(faces, BEHIND)
    nobody = scenes.negatives.batch(others, rng, canvas)
    around = data.planes(np.stack([scenes.negatives.fresh(rng, canvas) for _ in range(behind)])) if behind else None
    picture, box, keys = scenes.batch(which, rng, canvas, low, high, around)
    picture = data.camera(torch.cat([picture, data.planes(nobody)]), rng)
    return (picture.flip(1) - 127.5) * (1 / 128), box, keys, nobody


def detector_step(net, scenes, rng, step):
    picture, box, keys, nobody = detector_batch(scenes, rng, step)
    faces = len(box)
    outputs = net(picture)
    loss, scores = nobody_loss([[v[faces:] for v in level] for level in outputs])
    scenes.negatives.keep(nobody, scores.tolist())
    return loss + detector_loss([[v[:faces] for v in level] for level in outputs], box, keys)


def best_box(outputs, n):
    """The box of the highest score of each picture, and that score."""
    best = [(-1.0, None)] * n
    for stride, (score, dist, _) in zip(nets.STRIDES, outputs):
        _, _, h, w = score.shape
        p, at = torch.sigmoid(score).flatten(1).max(1)
        for i in range(n):
            if p[i] > best[i][0]:
                a, y, x = int(at[i]) // (h * w), int(at[i]) // w % h, int(at[i]) % w
                d = dist[i, 4 * a : 4 * a + 4, y, x] * stride
                corner = torch.tensor([x, y]).float() * stride
                best[i] = (float(p[i]), torch.cat([corner - d[:2], corner + d[2:]]))
    return best


def detector_report(net, held_out):
    net.eval()
    rng = np.random.default_rng(1)
    found, overlaps, total = 0, [], 0
    with torch.no_grad():
        for i in range(0, len(held_out), 8):
            canvas, low, high = MIXES[i // 8 % len(MIXES)][:3]
            picture, box, _ = held_out.batch(np.arange(i, i + 8), rng, canvas, low, high)
            picture = data.spoil(picture, rng)
            best = best_box(net((picture.flip(1) - 127.5) * (1 / 128)), len(box))
            for (score, mine), truth in zip(best, box):
                overlap = float(iou_of(mine, truth))
                found += score >= 0.5 and overlap >= 0.5
                overlaps.append(overlap)
                total += 1
        taken = 0
        for i in range(len(held_out.nobody)):
            picture = data.planes(np.asarray(negatives.letterbox(held_out.nobody[i], 512))[None])
            outputs = net((picture.flip(1) - 127.5) * (1 / 128))
            taken += best_box(outputs, 1)[0][0] >= 0.5
    net.train()
    report = f"recall {found / total:.4f} of {total}, mean overlap {np.mean(overlaps):.3f}"
    return report + f", {taken} of {len(held_out.nobody)} pictures without a face taken for one"


# ---- both


def go_on_from(net, path, batch):
    """Takes the detector's weights from a file that export.py wrote, where the norms are folded into the convolutions. The
    norms are made anew such that the net computes the same of `batch`."""
    held = [t for t in onnx.load(path).graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    held = iter([torch.from_numpy(onnx.numpy_helper.to_array(t).astype("f4")) for t in held])
    hooks = []

    def take(conv, bias):
        conv.weight.data.copy_(next(held))
        bias.data.copy_(next(held))

    def renew(norm, inputs):
        x = inputs[0].transpose(0, 1).flatten(1)
        norm.running_mean.copy_(x.mean(1))
        norm.running_var.copy_(x.var(1, correction=0))
        norm.weight.data.copy_((norm.running_var + norm.eps).sqrt())
        norm.bias.data.add_(norm.running_mean)

    def take_unit(unit):
        take(unit.conv, unit.norm.bias)
        hooks.append(unit.norm.register_forward_pre_hook(renew))

    for unit in [*net.stem, *(u for down in net.down for u in down)]:
        take_unit(unit)
    for conv in net.lateral:
        take(conv, conv.bias)
    for head in net.heads:
        take_unit(head.tower)
        for conv in (head.score, head.box, head.points):
            take(conv, conv.bias)
    assert next(held, None) is None
    with torch.no_grad():
        net.eval()(batch)
    for hook in hooks:
        hook.remove()
    net.train()


PARTS = {
    "detector": (nets.Detector, data.Scenes, detector_step, detector_report, 6000, 5e-3, export.write_detector),
    "landmarks": (nets.Landmarks, data.Crops, landmark_step, landmark_report, 6000, 4e-3, export.write_landmarks),
}


def train(part, o):
    make, view, step_of, report, steps, rate, write = PARTS[part]
    steps, rate = o.steps or steps, o.rate or rate
    out = Path(o.out) / FILES[part]
    torch.manual_seed(1247)
    rng = np.random.default_rng(1247)
    drawn = data.frames(o.draw_faces, o.cache, 1, o.people, 4)
    records = view(drawn)
    held_out = view(data.frames(o.draw_faces, o.cache, data.HELD_OUT, 50, 4))
    if part == "detector":
        records.negatives = negatives.Negatives(o.negatives, o.cache, drawn)
        held_out.nobody = negatives.Pictures(o.held_out, o.cache)
        print(f"{len(records.negatives.pictures)} pictures without a drawn face, {len(held_out.nobody)} held out", flush=True)
    net = make()
    if part == "detector" and o.start:
        go_on_from(net, o.start, detector_batch(records, rng, 1)[0])
    print(f"{part}: {sum(v.numel() for v in net.parameters())} parameters, {len(records)} frames", flush=True)
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-4)
    started, mean = time.time(), 0.0
    for step in range(min(steps, o.stop or steps)):
        warm = min(1, (step + 1) / 100)
        for group in optimiser.param_groups:
            group["lr"] = rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        loss = step_of(net, records, rng, step)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        mean = float(loss.detach()) if step == 0 else 0.98 * mean + 0.02 * float(loss.detach())
        if step % 100 == 99:
            print(f"step {step + 1} of {steps}: loss {mean:.4f}, {time.time() - started:.0f} s", flush=True)
        if step % 400 == 399 or step + 1 in (steps, o.stop):
            print(f"held out: {report(net, held_out)}", flush=True)
            out.parent.mkdir(parents=True, exist_ok=True)
            write(net, out, *([o.margin] if part == "detector" else []))
    print(f"{out}: {out.stat().st_size} bytes")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("part", choices=PARTS, nargs="?")
    p.add_argument("--steps", type=int, help="length of the schedule")
    p.add_argument("--stop", type=int, help="end after so many of its steps")
    p.add_argument("--draw-faces", default=str(ROOT / "build/tools/draw_faces"))
    p.add_argument("--cache", default=str(ROOT / "build/train_faces"), help="drawn frames are kept there")
    p.add_argument("--people", type=int, default=600, help="seeds 1 ... PEOPLE are trained on")
    p.add_argument("--negatives", help="folder of pictures without a drawn face, to train the detector on")
    p.add_argument("--held-out", help="folder of such pictures to report on")
    p.add_argument("--from", dest="start", metavar="FILE", help="detector to go on from, that was written before")
    p.add_argument("--margin", type=float, default=0.0, help="taken off the detector's scores before the sigmoid, in the file")
    p.add_argument("--rate", type=float, help="greatest learning rate")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--out", default=str(ROOT / "models/demo/auxiliary/models/buffalo_l"))
    o = p.parse_args()
    assert o.people < data.HELD_OUT
    if o.part != "landmarks" and not (o.negatives and o.held_out):
        p.error("the detector needs --negatives and --held-out")
    torch.set_num_threads(o.threads)
    for part in [o.part] if o.part else PARTS:
        train(part, o)


if __name__ == "__main__":
    main()
