"""What the three trainings share: where things lie, the drawn data, checkpoints."""

import argparse
import glob
import json
import math
import os
import tempfile
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SIDE, FRAMES, SECONDS, TRUTH = 128, 16, 3, 12
# Where the mouth is in an aligned face: rows and columns of the latents, and pixels.
MOUTH = (slice(64, 104), slice(32, 96))

UNET = {
    "act_fn": "silu", "add_audio_layer": True, "attention_head_dim": 4, "block_out_channels": [64, 64, 96],
    "center_input_sample": False, "cross_attention_dim": 128,
    "down_block_types": ["DownBlock3D", "CrossAttnDownBlock3D", "CrossAttnDownBlock3D"],
    "mid_block_type": "UNetMidBlock3DCrossAttn",
    "up_block_types": ["CrossAttnUpBlock3D", "CrossAttnUpBlock3D", "UpBlock3D"],
    "downsample_padding": 1, "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 13, "layers_per_block": 1,
    "mid_block_scale_factor": 1, "norm_eps": 1e-5, "norm_num_groups": 8, "out_channels": 4, "sample_size": 16,
    "resnet_time_scale_shift": "default", "use_inflated_groupnorm": True, "use_motion_module": True,
    "motion_module_resolutions": [4, 8], "motion_module_mid_block": False, "motion_module_decoder_only": False,
    "motion_module_type": "Vanilla",
    "motion_module_kwargs": {
        "num_attention_heads": 8, "num_transformer_block": 1,
        "attention_block_types": ["Temporal_Self", "Temporal_Self"], "temporal_position_encoding": True,
        "temporal_position_encoding_max_len": 24, "temporal_attention_dim_div": 1, "zero_initialize": True,
    },
}
# Two rows of audio features a frame, the frame's own: what is around it, the encoder has seen.
UNET_DATA = {
    "num_frames": FRAMES, "resolution": SIDE, "audio_sample_rate": 16000, "video_fps": 25,
    "audio_feat_length": [0, 0], "mask_image_path": "latentsync/utils/mask.png",
}
VAE = {
    "_class_name": "AutoencoderKL", "_diffusers_version": "0.4.2", "act_fn": "silu",
    "block_out_channels": [16, 16, 48, 96], "down_block_types": ["DownEncoderBlock2D"] * 4, "in_channels": 3,
    "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 8, "out_channels": 3, "sample_size": SIDE,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
AUDIO = {
    "n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 128, "n_audio_head": 8, "n_audio_layer": 3,
    "n_vocab": 8, "n_text_ctx": 8, "n_text_state": 128, "n_text_head": 8, "n_text_layer": 1,
}


def arguments(name, steps):
    p = argparse.ArgumentParser(description=name)
    p.add_argument("--work", default=os.path.join(ROOT, "build", "train_demo"), help="data and checkpoints")
    p.add_argument("--steps", type=int, default=steps)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--workers", type=int, default=2, help="processes")
    p.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    return p


def begin(args, first=0):
    """One of args.workers processes. The random numbers depend on seed, worker and the step that it begins at."""
    torch.set_num_threads(1)
    torch.manual_seed(args.seed * 1000003 + args.worker * 1009 + first)
    return np.random.default_rng([args.seed, args.worker, first])


def worker(number, main, args, meeting):
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    args.worker = number
    if args.workers > 1:
        dist.init_process_group("gloo", init_method="file://" + meeting, rank=number, world_size=args.workers)
    main(args)


def launch(main, args):
    """Threads that share the work of small layers wait for each other more than they work: processes do not."""
    os.makedirs(args.work, exist_ok=True)
    if args.workers == 1:
        return worker(0, main, args, None)
    meeting = tempfile.mktemp(dir=args.work)
    torch.multiprocessing.spawn(worker, (main, args, meeting), nprocs=args.workers)


def average_gradients(args, params, done=0.0):
    """Over all workers; so is `done`, which is returned."""
    if args.workers == 1:
        return done
    params = [p for p in params if p.grad is not None]  # a norm that nothing reads has none
    flat = torch.cat([p.grad.reshape(-1) for p in params] + [torch.tensor([float(done)])])
    dist.all_reduce(flat)
    flat /= args.workers
    at = 0
    for p in params:
        p.grad.copy_(flat[at : at + p.numel()].view_as(p))
        at += p.numel()
    return float(flat[-1])


def shards(work, kind="t"):
    """Faces [clips, 2, frames, side, side, 3] and truth of all finished shards, read from disk as needed."""
    out = []
    for path in sorted(glob.glob(os.path.join(work, "data", kind + "*.faces"))):
        if ".part" in path:
            continue
        faces = np.memmap(path, np.uint8, "r").reshape(-1, 2, FRAMES, SIDE, SIDE, 3)
        truth = np.fromfile(path[:-5] + "truth", np.float32).reshape(-1, 2, FRAMES, TRUTH)
        out.append((faces, truth, path[:-6]))
    return out


def pixels(faces):
    """uint8 [..., h, w, 3] -> float [..., 3, h, w] from -1 to 1."""
    return torch.from_numpy(np.array(faces)).movedim(-1, -3).float() / 127.5 - 1


def ssim_map(a, b, size=7, span=2.0):
    """SSIM (Wang et al. 2004) with a box window; one value for each window within the picture."""
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    mean = lambda x: F.avg_pool2d(x, size, 1)
    ma, mb = mean(a), mean(b)
    va, vb, ab = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    return (2 * ma * mb + c1) * (2 * ab + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))


def rate(step, steps, top, low=0.02):
    """Warm-up, then a cosine."""
    warm = min(50, steps // 10)
    if step < warm:
        return top * (step + 1) / warm
    return top * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1, (step - warm) / max(1, steps - warm)))))


def save(path, **parts):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    torch.save(parts, path + ".part")
    os.replace(path + ".part", path)


def saved(args, path, model, opt):
    """What save() wrote, model and optimiser put back to it; None: there is nothing to go on with."""
    if not (args.resume and os.path.exists(path)):
        return None
    state = torch.load(path)
    model.load_state_dict(state["model"])
    opt.load_state_dict(state["opt"])
    return state


class Log:
    def __init__(self, every=50):
        self.every, self.sums, self.n, self.start = every, {}, 0, time.time()

    def add(self, step, **values):
        for k, v in values.items():
            self.sums[k] = self.sums.get(k, 0.0) + float(v.detach() if hasattr(v, "detach") else v)
        self.n += 1
        if step % self.every == self.every - 1:
            text = " ".join(f"{k} {v / self.n:.4f}" for k, v in self.sums.items())
            print(f"step {step + 1}  {text}  {time.time() - self.start:.0f} s", flush=True)
            self.sums, self.n = {}, 0
