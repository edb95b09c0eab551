#!/usr/bin/env python3
"""Times networks in PyTorch and in memsafe on the same machine, in turn, and prints the ratios.

    bench/compare_torch.py --latentsync DIR [unet vae-encode vae-decode whisper] [--size 256] [--frames 16] [--batch 1]
                           [--dtype float32] [--threads N] [--rounds 2] [--repeat 2]

DIR is a checkout of bytedance/LatentSync: its UNet is timed, and diffusers' AutoencoderKL and transformers' WhisperEncoder in the
sizes of the official checkpoints. Needs torch, diffusers 0.32, transformers, einops and omegaconf in the Python that runs it, and
`make build`. A round runs either side in a process of its own, `repeat` times each; the least time of all rounds counts and the
largest resident set. PyTorch gets jemalloc preloaded when it is installed (libjemalloc2): with glibc's malloc it is up to 1.7 times
slower. Both sides have random weights; the time does not depend on them.
"""
import argparse
import glob
import os
import re
import resource
import subprocess
import sys
import time
import types

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NETWORKS = ["unet", "vae-encode", "vae-decode", "whisper"]
MODELS = {256: "latentsync-1.5", 512: "latentsync-1.6"}
PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def torch_unet(args):
    """The official UNet and its inputs."""
    import torch
    from omegaconf import OmegaConf

    sys.path.insert(0, args.latentsync)
    # The UNet takes one logging function from a module that imports OpenCV, matplotlib, decord and torchvision.
    sys.modules["latentsync.utils.util"] = types.SimpleNamespace(zero_rank_log=lambda logger, message: None)
    from latentsync.models.unet import UNet3DConditionModel

    config = OmegaConf.load(os.path.join(args.latentsync, "configs/unet/stage2.yaml"))
    unet = UNet3DConditionModel.from_config(OmegaConf.to_container(config.model)).eval()
    side = args.size // 8
    sample = torch.randn(2, 13, args.frames, side, side)
    audio = torch.randn(2 * args.frames, 50, 384)
    return lambda: unet(sample, 501, encoder_hidden_states=audio)


def torch_vae(args):
    """sd-vae-ft-mse's sizes; encoding ends at the posterior's moments."""
    import torch
    from diffusers import AutoencoderKL

    vae = AutoencoderKL(down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
                        block_out_channels=[128, 256, 512, 512], layers_per_block=2, latent_channels=4).eval()
    if args.networks[0] == "vae-encode":
        pictures = torch.randn(args.batch, 3, args.size, args.size)
        return lambda: vae.encode(pictures)
    latents = torch.randn(args.batch, 4, args.size // 8, args.size // 8)
    return lambda: vae.decode(latents)


def torch_whisper(_):
    """Whisper tiny's encoder on 30 seconds."""
    import torch
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    encoder = WhisperEncoder(WhisperConfig(d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536)).eval()
    mel = torch.randn(1, 80, 3000)
    return lambda: encoder(mel, output_hidden_states=True)


def torch_side(args):
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    torch.set_default_dtype(getattr(torch, args.dtype))
    make = {"unet": torch_unet, "whisper": torch_whisper}.get(args.networks[0], torch_vae)
    best = float("inf")
    with torch.no_grad():
        run = make(args)
        for _ in range(args.repeat):
            start = time.perf_counter()
            run()
            best = min(best, time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"RESULT {best:.4f} {peak:.2f} torch {torch.__version__}")


def run_torch(args, network):
    env = dict(os.environ)
    jemalloc = glob.glob("/usr/lib/*/libjemalloc.so.2")
    if jemalloc:
        env["LD_PRELOAD"] = jemalloc[0]
    else:
        print("libjemalloc2 is not installed: PyTorch will be slower than it could be", file=sys.stderr)
    command = [sys.executable, os.path.abspath(__file__), "--torch-side", network]
    for name in ["latentsync", "frames", "batch", "size", "dtype", "repeat", "threads"]:
        command += [f"--{name}", str(getattr(args, name))]
    text = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds, peak, version = re.search(r"RESULT (\S+) (\S+) (.*)", text).groups()
    return float(seconds), float(peak), version


def run_memsafe(args, network):
    command = [os.path.join(ROOT, "build/memsafe-bench"), network.split("-")[0], "--shape", MODELS[args.size],
               "--threads", str(args.threads), "--precision", PRECISIONS[args.dtype], "--repeat", str(args.repeat)]
    if network == "unet":
        command += ["--frames", str(args.frames)]
    if network.startswith("vae"):
        command += ["--batch", str(args.batch), network.split("-")[1]]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    if args.verbose:
        print(text, end="")
    seconds, peak = re.search(r"best (\S+) s, peak resident set (\S+) GiB", text).groups()
    return float(seconds), float(peak)


def compare(args, network):
    torch_runs, own_runs = [], []
    for _ in range(args.rounds):
        torch_runs.append(run_torch(args, network))
        own_runs.append(run_memsafe(args, network))
    torch_seconds, seconds = min(run[0] for run in torch_runs), min(run[0] for run in own_runs)
    torch_peak, peak = max(run[1] for run in torch_runs), max(run[1] for run in own_runs)
    what = {"unet": f"UNet step, {args.frames} frames x 2, {args.size} px", "whisper": "Whisper encoder, 30 s"}
    what = what.get(network, f"{network}, {args.batch} pictures of {args.size} px")
    print(f"{what}, {args.dtype}, {args.threads} threads")
    print(f"  {torch_runs[0][2]:16s} {torch_seconds:9.3f} s  {torch_peak:6.2f} GiB")
    print(f"  {'memsafe':16s} {seconds:9.3f} s  {peak:6.2f} GiB")
    print(f"  memsafe takes {seconds / torch_seconds:.2f} of the time and {peak / torch_peak:.2f} of the memory", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"{', '.join(NETWORKS)} (default all)")
    parser.add_argument("--latentsync", required=True)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--size", type=int, default=256, choices=[256, 512])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--verbose", action="store_true", help="print memsafe's own report too")
    parser.add_argument("--torch-side", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    unknown = set(args.networks) - set(NETWORKS)
    if unknown:
        parser.error(f"no network {', '.join(sorted(unknown))}")
    if args.torch_side:
        torch_side(args)
        return
    for network in args.networks or NETWORKS:
        compare(args, network)


if __name__ == "__main__":
    main()
