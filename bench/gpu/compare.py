#!/usr/bin/env python3
"""Networks on a card in memsafe and in PyTorch, with the same weights: times, memory, and how far the results are apart.

    bench/gpu/compare.py BUILD WORK [NETWORK...] [--device cuda] [--shape latentsync-1.5] [--dtypes float16,bfloat16]
                         [--modes eager,compile] [--frames 16] [--batch 4] [--repeat 10] [--steps 20] [--minutes 7]
    bench/gpu/compare.py BUILD WORK --table

NETWORK is one of unet, vae-encode, vae-decode, window (default: all). BUILD is what tools/build_gpu has built, WORK keeps models with
random weights, cases, and a line of JSON for each measurement (rows.jsonl): what is there is not measured again, PyTorch's ever and
memsafe's with the same binaries. When the minutes are over, what is left is left to the next call. --table prints what was measured of
this build as a table of Markdown.

`off` is how far a result is from PyTorch's in float32: root of the mean square, relative. --device simt --torch-device cpu --shape tiny
tries this script where no card is. What the weights are does not matter for the time.
"""
import argparse
import glob
import hashlib
import json
import os
import re
import subprocess
import sys
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from cases import read_case, write_case  # noqa: E402

NETWORKS = ["unet", "vae-encode", "vae-decode", "window"]
PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def build_of(folder):
    """What memsafe's rows are of: its binaries."""
    digest = hashlib.sha256()
    for path in [os.path.join(folder, name) for name in ("memsafe", "memsafe-bench", "memsafe-stage")] + sorted(
            glob.glob(os.path.join(folder, "plugins", "*.so"))):
        if os.path.exists(path):
            with open(path, "rb") as file:
                digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()[:12]


class Work:
    def __init__(self, args):
        self.args = args
        self.path = os.path.join(args.work, "rows.jsonl")
        self.rows = []
        self.build = build_of(args.build)
        self.until = time.monotonic() + 60 * args.minutes
        os.makedirs(args.work, exist_ok=True)
        if os.path.exists(self.path):
            with open(self.path) as file:
                self.rows = [json.loads(line) for line in file]

    def row(self, **key):
        return next((r for r in self.rows if all(r.get(k) == v for k, v in key.items())), None)

    def own_row(self, **key):
        return self.row(side="memsafe", build=self.build, **key)

    def add(self, row):
        self.rows.append(row)
        with open(self.path, "a") as file:
            file.write(json.dumps(row) + "\n")

    def run(self, command, what):
        """Output; None when the time is over, or it failed (then it says so)."""
        left = self.until - time.monotonic()
        if left < 5:
            raise TimeoutError(what)
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=left)
        except subprocess.TimeoutExpired:
            raise TimeoutError(what) from None
        if done.returncode:
            print(f"compare: {what}: status {done.returncode}: {done.stderr.strip()[-600:]}", file=sys.stderr)
            return None
        return done.stdout

    def program(self, name):
        return os.path.join(self.args.build, name)


def model_of(work, shape):
    folder = os.path.join(work.args.work, shape)
    if not os.path.exists(os.path.join(folder, "unet.json")):
        if work.run([work.program("memsafe"), "models", "--synthesize", shape, "-o", folder, "--dtype", "fp16"], "models") is None:
            raise SystemExit("compare: no model")
        # The text is JSON; a build without YAML reads it under this name.
        with open(os.path.join(folder, "unet.yaml")) as file:
            text = file.read()
        with open(os.path.join(folder, "unet.json"), "w") as file:
            file.write(text)
    return folder


def case_of(work, folder, network):
    args = work.args
    path = os.path.join(work.args.work, f"case-{args.shape}-{network}-{args.frames}-{args.batch}.safetensors")
    if os.path.exists(path):
        return path
    with open(os.path.join(folder, "unet.json")) as file:
        config = json.load(file)
    side, random = config["data"]["resolution"], np.random.default_rng(1)
    if network == "unet":
        tensors = {
            "in.sample": random.standard_normal((1, 13, args.frames, side // 8, side // 8), np.float32),
            "in.audio_embeds": random.standard_normal((args.frames, 50, config["model"]["cross_attention_dim"]), np.float32),
        }
    elif network == "vae-encode":
        tensors = {
            "in.pixels_u8": random.integers(0, 256, (args.batch, 3, side, side), np.uint8),
            "in.normal": random.standard_normal((args.batch, 4, side // 8, side // 8), np.float32),
        }
    else:
        tensors = {"in.latent": random.standard_normal((args.batch, 4, side // 8, side // 8), np.float32)}
    write_case(path, tensors)
    return path


def off(found, wanted):
    """Of all tensors together, relative."""
    top = sum(float(np.square(found[k].astype(np.float64) - wanted[k]).sum()) for k in wanted)
    below = sum(float(np.square(wanted[k].astype(np.float64)).sum()) for k in wanted)
    return (top / below) ** 0.5 if np.isfinite(top) else float("inf")


def torch_result(work, folder, network, dtype, mode):
    args = work.args
    out = os.path.join(args.work, f"out-{args.shape}-{network}-{dtype}-{mode}.safetensors")
    command = [sys.executable, os.path.join(HERE, "torch_side.py"), folder, network, "--dtype", dtype, "--mode", mode,
               "--device", args.torch_device, "--repeat", str(args.repeat), "--steps", str(args.steps)]
    if network != "window":
        command += ["--case", case_of(work, folder, network), "--out", out]
    text = work.run(command, f"PyTorch {mode}, {network}, {dtype}")
    if text is None:
        return None, None
    return json.loads(text.strip().splitlines()[-1]), out


def own_time(work, network, dtype):
    args = work.args
    command = [work.program("memsafe-bench"), "run" if network == "window" else network.split("-")[0], "--shape", args.shape,
               "--device", args.device, "--precision", PRECISIONS[dtype]]
    if network == "window":
        command += ["--frames", str(args.frames), "--steps", str(args.steps)]
    elif network == "unet":
        command += ["--frames", str(args.frames), "--repeat", str(args.repeat + 1)]
    else:
        command += [network.split("-")[1], "--batch", str(args.batch), "--repeat", str(args.repeat + 1)]
    text = work.run(command, f"memsafe, {network}, {dtype}")
    if text is None:
        return None
    if network == "window":
        weights, arena = re.search(r"weights (\S+) GiB .* arena (\S+) MiB", text).groups()
        return {"seconds": float(re.search(r"^  (\S+) s, \S+ s a frame", text, re.M).group(1)),
                "peak_bytes": float(weights) * 2**30 + float(arena) * 2**20}
    seconds, kept, memory = re.search(r"median (\S+) s of \d+, activations (\S+), device memory (\S+) MiB", text).groups()
    if kept != dtype:
        print(f"compare: {args.device} keeps activations in {kept}, not in {dtype}", file=sys.stderr)
    return {"seconds": float(seconds), "peak_bytes": float(memory) * 2**20, "activations": kept}


def own_result(work, folder, network, dtype, device):
    args = work.args
    out = os.path.join(args.work, f"out-{args.shape}-{network}-{dtype}-memsafe-{device}.safetensors")
    command = [work.program("memsafe-stage"), network, "--model", folder, "--in", case_of(work, folder, network), "--out", out,
               "--device", device, "--precision", PRECISIONS[dtype]]
    if network == "unet":
        command += ["--timesteps", "501"]
    return out if work.run(command, f"memsafe's result, {network}, {dtype}") is not None else None


def wanted_result(work, folder, network):
    """PyTorch in float32, on the card or where --torch-device is."""
    args = work.args
    out = os.path.join(args.work, f"out-{args.shape}-{network}-float32-eager.safetensors")
    if not os.path.exists(out):
        torch_result(work, folder, network, "float32", "eager")
    return read_case(out) if os.path.exists(out) else None


def compare(work, network):
    args, failed = work.args, 0
    folder = model_of(work, args.shape)
    wanted = None if network == "window" else wanted_result(work, folder, network)
    for dtype in args.dtypes.split(","):
        key = {"shape": args.shape, "network": network, "dtype": dtype, "device": args.device}
        if not work.own_row(**key):
            found = own_time(work, network, dtype)
            if found and wanted is not None:
                out = own_result(work, folder, network, dtype, args.device)
                found["off"] = off(read_case(out), wanted) if out else None
            failed += not found or (wanted is not None and found.get("off") is None)
            if found:
                work.add({"side": "memsafe", "build": work.build, **key, **found, "frames": args.frames, "batch": args.batch})
        for mode in args.modes.split(","):
            if work.row(side=mode, **key):
                continue
            found, out = torch_result(work, folder, network, dtype, mode)
            failed += not found and mode == "eager"  # torch.compile wants a C compiler, headers of Python and Triton
            if found and wanted is not None:
                found["off"] = off(read_case(out), wanted)
            if found:
                work.add({"side": mode, **key, **found, "frames": args.frames, "batch": args.batch})
        ours, theirs = work.own_row(**key), work.row(side="eager", **key)
        if ours and theirs and "off" not in ours:
            print(f"{args.shape} {network} {dtype}: memsafe {ours['seconds']:.5f} s; PyTorch {theirs['seconds']:.5f} s", flush=True)
        if ours and theirs and "off" in ours:
            # Roundings differ; what is several times farther off than PyTorch in the same type is a fault.
            good = ours["off"] <= max(4 * theirs["off"], 1e-4)
            print(f"{args.shape} {network} {dtype}: memsafe {ours['seconds']:.5f} s, off by {ours['off']:.2e}; PyTorch "
                  f"{theirs['seconds']:.5f} s, off by {theirs['off']:.2e}{'' if good else ': TOO FAR OFF'}", flush=True)
            failed += not good
    return failed


def table(work):
    print("| model | network | type | memsafe | PyTorch eager | compiled | eager / memsafe | memory | eager's | off | eager's |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    seen = []
    for r in work.rows:
        key = {k: r[k] for k in ("shape", "network", "dtype", "device")}
        if key in seen:
            continue
        seen.append(key)
        own = work.own_row(**key) or {}
        eager, compiled = (work.row(side=s, **key) or {} for s in ("eager", "compile"))

        def number(row, name, form, by=1.0):
            return form % (row[name] / by) if row.get(name) is not None else "-"

        ratio = "%.2f" % (eager["seconds"] / own["seconds"]) if own and eager else "-"
        print(f"| {r['shape']} | {r['network']} | {r['dtype']} | {number(own, 'seconds', '%.1f ms', 1e-3)} | "
              f"{number(eager, 'seconds', '%.1f ms', 1e-3)} | {number(compiled, 'seconds', '%.1f ms', 1e-3)} | {ratio} | "
              f"{number(own, 'peak_bytes', '%.2f GiB', 2**30)} | {number(eager, 'peak_bytes', '%.2f GiB', 2**30)} | "
              f"{number(own, 'off', '%.1e')} | {number(eager, 'off', '%.1e')} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("work")
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--device", default="cuda", help="of memsafe")
    parser.add_argument("--torch-device", default="cuda")
    parser.add_argument("--shape", default="latentsync-1.5", choices=["latentsync-1.5", "latentsync-1.6", "tiny"])
    parser.add_argument("--dtypes", default="float16,bfloat16")
    parser.add_argument("--modes", default="eager,compile")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=7)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    work = Work(args)
    if args.table:
        table(work)
        return 0
    failed = 0
    try:
        for network in args.networks or NETWORKS:
            if network not in NETWORKS:
                parser.error(f"no network {network}")
            failed += compare(work, network)
    except TimeoutError as what:
        print(f"compare: the time was over before this: {what}; call again", file=sys.stderr)
        return 75
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
