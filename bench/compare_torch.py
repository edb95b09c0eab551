#!/usr/bin/env python3
"""Times the official UNet in PyTorch and memsafe's on the same machine, in turn, and prints the ratio.

    bench/compare_torch.py --latentsync DIR [--frames 16] [--size 32] [--dtype float32] [--repeat 2]

DIR is a checkout of bytedance/LatentSync. Needs torch, diffusers 0.32, einops and omegaconf in the Python that runs it, and
`make build`. PyTorch runs in its own process with jemalloc preloaded when it is installed (libjemalloc2): with glibc's malloc it is
up to 1.7 times slower. Both sides get random weights; the time of a step does not depend on them.
"""
import argparse
import glob
import os
import re
import resource
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def torch_side(args):
    import torch
    from omegaconf import OmegaConf

    sys.path.insert(0, args.latentsync)
    from latentsync.models.unet import UNet3DConditionModel

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    config = OmegaConf.load(os.path.join(args.latentsync, "configs/unet/stage2.yaml"))
    dtype = getattr(torch, args.dtype)
    unet = UNet3DConditionModel.from_config(OmegaConf.to_container(config.model)).to(dtype).eval()
    sample = torch.randn(2, 13, args.frames, args.size, args.size, dtype=dtype)
    audio = torch.randn(2 * args.frames, 50, 384, dtype=dtype)
    best = float("inf")
    with torch.no_grad():
        for _ in range(args.repeat):
            start = time.perf_counter()
            unet(sample, 501, encoder_hidden_states=audio)
            best = min(best, time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"RESULT {best:.3f} {peak:.2f} torch {torch.__version__}")


def run_torch(args):
    env = dict(os.environ)
    jemalloc = glob.glob("/usr/lib/*/libjemalloc.so.2")
    if jemalloc:
        env["LD_PRELOAD"] = jemalloc[0]
    else:
        print("libjemalloc2 is not installed: PyTorch will be slower than it could be")
    command = [sys.executable, os.path.abspath(__file__), "--torch-side"] + sys.argv[1:]
    text = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds, peak, version = re.search(r"RESULT (\S+) (\S+) (.*)", text).groups()
    return float(seconds), float(peak), version


def run_memsafe(args):
    precision = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}[args.dtype]
    model = {32: "latentsync-1.5", 64: "latentsync-1.6"}[args.size]
    command = [os.path.join(ROOT, "build/memsafe"), "bench", "unet", "--model", model, "--frames", str(args.frames),
               "--threads", str(args.threads), "--precision", precision, "--repeat", str(args.repeat)]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(text, end="")
    seconds, peak = re.search(r"best (\S+) s, peak resident set (\S+) GiB", text).groups()
    return float(seconds), float(peak)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latentsync", required=True)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=32, choices=[32, 64])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--torch-side", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.torch_side:
        torch_side(args)
        return
    torch_seconds, torch_peak, version = run_torch(args)
    seconds, peak = run_memsafe(args)
    print(f"UNet step, {args.frames} frames x 2, latent {args.size}x{args.size}, {args.dtype}, {args.threads} threads")
    print(f"  {version:16s} {torch_seconds:8.2f} s  {torch_peak:6.2f} GiB")
    print(f"  {'memsafe':16s} {seconds:8.2f} s  {peak:6.2f} GiB")
    print(f"  memsafe takes {seconds / torch_seconds:.2f} of the time and {peak / torch_peak:.2f} of the memory")


if __name__ == "__main__":
    main()
