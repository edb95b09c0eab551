"""Measures a model folder with memsafe itself, on people and voices that were not trained on (seeds from 1000000).

For each: a clip, new speech for the same movements, `memsafe run`, and then, in the aligned faces, opening of the mouth
(read by reader.py) against the truth of the new and of the old speech, SSIM in the mouth, how well teeth can be told
(teeth.py), and how much changes from frame to frame at borders of windows and elsewhere.
"""

import json
import os
import subprocess

import numpy as np
import torch

from check_networks import read_safetensors
from common import *
from export import write_safetensors
from reader import load
from teeth import OPEN_PX, agreement, lips_of, luma_in_mouth, within


def frames_of(path, size):
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
                         check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, size, size, 3)


def aligned(stage, frames, landmarks, folder):
    write_safetensors(folder + "/case", {"in.frames": frames, "in.landmarks": landmarks})
    subprocess.run([stage, "align", "--resolution", str(SIDE), "--in", folder + "/case", "--out",
                    folder + "/aligned"], check=True)
    return read_safetensors(folder + "/aligned")


def one(args, seed, reader, folder, size=384):
    memsafe, draw = args.build + "/memsafe", args.build + "/tools/draw_clip"
    name = lambda n: f"{folder}/{n}"
    common = ["--frames", str(args.frames), "--size", f"{size}x{size}", "--synth", args.synth]
    subprocess.run([draw, "--seed", str(seed), *common, "-o", name("in.mp4"), "--track", name("in.jsonl")], check=True)
    subprocess.run([draw, "--seed", str(seed), "--speech-seed", str(seed + 1000), *common, "-o", name("truth.avi"),
                    "--track", name("truth.jsonl"), "--speech", name("new.wav")], check=True)
    subprocess.run([memsafe, "run", "--video", name("in.mp4"), "--audio", name("new.wav"), "--track", name("in.jsonl"),
                    "--model", args.model, *args.more, "--report", name("report.json"), "--steps", str(args.sampling), "--guidance", str(args.guidance), "--codec",
                    "ffv1", "--audio-out", "none", "--frames", str(args.frames), "--threads", "2", "--seed", str(args.noise), "-y", "-o",
                    name("out.mkv")], check=True, stdout=subprocess.DEVNULL)
    with open(name("report.json")) as f:
        report = json.load(f)
    tracks = {k: [json.loads(line) for line in open(name(k + ".jsonl"))] for k in ("in", "truth")}
    landmarks = np.array([r["landmarks106"] for r in tracks["in"]], np.float32)
    found = {k: aligned(args.build + "/memsafe-stage", frames_of(name(f), size), landmarks, folder)
             for k, f in (("in", "in.mp4"), ("truth", "truth.avi"), ("out", "out.mkv"))}
    faces = {k: v["out.faces"].permute(0, 3, 1, 2) for k, v in found.items()}
    said = np.array([r["landmarks106"] for r in tracks["truth"]], np.float32)
    inside = within(lips_of(said, found["truth"]["out.affine"].numpy(), *found["truth"]["out.crops"].shape[1:3]))
    x = {k: v.float() / 127.5 - 1 for k, v in faces.items()}
    with torch.no_grad():
        opening = {k: reader(v)[:, 0].numpy() for k, v in x.items()}
    drawn = {k: np.array([r["mouth_opening"] for r in v]) for k, v in tracks.items()}
    box = (..., MOUTH[0], MOUTH[1])
    luma = {k: luma_in_mouth(v) for k, v in x.items()}
    teeth = agreement(luma["out"], luma["truth"], inside * (inside.sum((1, 2, 3), keepdim=True) > OPEN_PX * 16))
    moved = (x["out"][box] - x["truth"][box]).diff(dim=0).abs().mean((1, 2, 3)).numpy()
    drawn_moved = x["truth"][box].diff(dim=0).abs().mean((1, 2, 3)).numpy()
    border = np.arange(1, len(moved) + 1) % 16 == 0
    flicker = lambda frames: float(moved[frames].sum() / drawn_moved[frames].sum())  # fast mouths err more, border or not
    return {
        "new speech": correlation(opening["out"], drawn["truth"]),
        "old speech": correlation(opening["out"], drawn["in"]),
        "new and old": correlation(drawn["truth"], drawn["in"]),
        "reader on truth": correlation(opening["truth"], drawn["truth"]),
        "SSIM mouth": float(ssim_map(luma["out"], luma["truth"]).mean()),
        "SSIM unchanged": float(ssim_map(luma["in"], luma["truth"]).mean()),
        "teeth, correlation": teeth[0],
        "teeth, strength": teeth[1],
        "PSNR mouth": 10 * math.log10(4 / float((x["out"][box] - x["truth"][box]).pow(2).mean())),
        "seconds of denoising": report["seconds"]["denoise"],
        "flicker at borders / elsewhere": flicker(border) / flicker(~border),
        "not by the movement": float(moved[border].mean() / moved[~border].mean()),
    }


def main():
    p = arguments(__doc__, 0)
    p.add_argument("--model", default=os.path.join(ROOT, "models", "demo"))
    p.add_argument("--build", default=os.path.join(ROOT, "build"))
    p.add_argument("--synth", default="espeak", help="babble, espeak or mixed")
    p.add_argument("--people", type=int, default=6)
    p.add_argument("--first", type=int, default=1000000)
    p.add_argument("--frames", type=int, default=96)
    p.add_argument("--sampling", type=int, default=20, help="denoising steps")
    p.add_argument("--noise", type=int, default=1247, help="seed of the runs")
    p.add_argument("--guidance", type=float, default=1.5)
    args, args.more = p.parse_known_args()  # what is left is for memsafe run
    torch.set_num_threads(1)
    reader, rows = load(args), []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(args.people):
            rows.append(one(args, args.first + 17 * i, reader, folder))
            print(args.first + 17 * i, " ".join(f"{k} {v:.3f};" for k, v in rows[-1].items()), flush=True)
    for name, of in (("mean", np.mean), ("lowest", np.min), ("highest", np.max)):
        print(name, " ".join(f"{k} {of([r[k] for r in rows]):.3f};" for k in rows[0]))


if __name__ == "__main__":
    main()
