"""What the three trainings share: where things lie, the drawn data, checkpoints."""

import argparse
import glob
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
SIDE, FRAMES, TRUTH = 128, 16, 12
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
    p.add_argument("--minutes", type=float, help="ends after so long, whatever --steps says")
    p.add_argument("--every", type=int, default=250, help="steps from one checkpoint to the next")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--workers", type=int, default=1, help="processes; on a GPU one")
    p.add_argument("--half", action="store_true", help="bfloat16 arithmetic")
    p.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    return p


def random_numbers(args, *more):
    """They depend on the seed, the worker and `more`."""
    seed = 0
    for n in (args.seed, getattr(args, "worker", 0), *more):
        seed = (seed * 1000003 + n) % 2**63
    return torch.Generator(args.device).manual_seed(seed)


def worker(number, main, args, meeting):
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    args.worker = number
    torch.set_num_threads(1)
    if args.device != "cpu":
        torch.set_float32_matmul_precision("high")
    if args.workers > 1:
        dist.init_process_group("gloo", init_method="file://" + meeting, rank=number, world_size=args.workers)
    main(args)


def launch(main, args):
    """Threads that share the work of small layers wait for each other more than they work: processes do not."""
    os.makedirs(args.work, exist_ok=True)
    if args.device != "cpu":
        args.workers = 1
    if args.workers == 1:
        return worker(0, main, args, None)
    meeting = tempfile.mktemp(dir=args.work)
    torch.multiprocessing.spawn(worker, (main, args, meeting), nprocs=args.workers)


def average_gradients(args, params, done):
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


def rate(step, done, top, low=0.02):
    """Warm-up of 50 steps, then a cosine over the part of the training that is done."""
    return top * min(1, (step + 1) / 50) * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1, done))))


def fit(args, name, model, params, loss_of, held_out, decay=1e-4, average=None):
    """Trains until --steps or --minutes are over. loss_of(done) -> loss, {what: value to show}; held_out() is called at every
    checkpoint; average: an AveragedModel of the weights, whose state is saved as `ema`."""
    path = os.path.join(args.work, name + ".pt")
    opt = torch.optim.AdamW(params, lr=args.rate, betas=(0.9, 0.99), weight_decay=decay)
    step, done, begun, log = 0, 0.0, time.time(), Log()
    if args.resume and os.path.exists(path):
        state = torch.load(path, "cpu")
        model.load_state_dict(state["model"])
        opt.load_state_dict(state["opt"])
        if average:
            average.module.load_state_dict(state["ema"])
            average.n_averaged.fill_(state["step"])
        step, done = state["step"], state["done"]
    before = done
    args.random = random_numbers(args, step)
    torch.manual_seed(random_numbers(args, step, 1).initial_seed())
    while done < 1:
        for g in opt.param_groups:
            g["lr"] = rate(step, done, args.rate)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.half):
            loss, shown = loss_of(done)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        step += 1
        done = before + (time.time() - begun) / 60 / args.minutes if args.minutes else step / args.steps
        done = average_gradients(args, params, done)
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        if args.worker:
            continue
        if average:
            average.update_parameters(model)
        log.add(step, **shown)
        if step % args.every == 0 or done >= 1:
            more = {"ema": average.module.state_dict()} if average else {}
            save(path, model=model.state_dict(), opt=opt.state_dict(), step=step, done=done, **more)
            with torch.no_grad():
                held_out()


class Faces:
    """All finished shards: faces [clips, 2, frames, side, side, 3] and their truth, in parts. On a processor a part is a shard, read
    from disk as needed; on a GPU all lie in its memory as one."""

    def __init__(self, args, kind="t", ending=".faces"):
        self.args, self.kind, self.ending, self.known, self.calls = args, kind, ending, [], 0
        self.refresh()

    def refresh(self):
        """More may have been drawn."""
        found = shards(self.args.work, self.kind, self.ending)
        if found == self.known:
            return
        self.known, device = found, self.args.device
        self.faces, self.truth = [drawn_faces(p) for p in found], [drawn_truth(p).to(device) for p in found]
        if device != "cpu":
            self.faces, self.truth = [torch.cat([f.to(device) for f in self.faces])], [torch.cat(self.truth)]

    def pick(self):
        """A part, its truth and its number; looks for newly drawn shards every 100th time."""
        self.calls += 1
        if self.ending == ".faces" and self.calls % 100 == 0:
            self.refresh()
        sizes = [float(len(f)) for f in self.faces]
        k = int(torch.multinomial(torch.tensor(sizes), 1)) if len(sizes) > 1 else 0
        return self.faces[k], self.truth[k], k


def shards(work, kind, ending=".faces"):
    """Paths of the finished shards, without their endings."""
    found = sorted(glob.glob(os.path.join(work, "data", kind + "*" + ending)))
    return [p[: -len(ending)] for p in found if ".part" not in p]


def drawn_faces(path):
    """Of a shard, read as they are asked for: uint8 [clips, 2, frames, side, side, 3]."""
    return torch.from_numpy(np.memmap(path + ".faces", np.uint8, "c")).view(-1, 2, FRAMES, SIDE, SIDE, 3)


def drawn_truth(path):
    return torch.from_numpy(np.fromfile(path + ".truth", np.float32)).view(-1, 2, FRAMES, TRUTH)


def integers(args, low, high, count):
    """Of any shape, from low to high - 1."""
    return torch.randint(low, high, count, generator=args.random, device=args.device)


def chance(args, p, *count):
    return torch.rand(count, generator=args.random, device=args.device) < p


def any_of(args, shape, count):
    """For each of `count` an index into every dimension of shape."""
    return [integers(args, 0, n, (count,)) for n in shape]


def correlation(a, b):
    a, b = (v - v.mean() for v in (np.asarray(a), np.asarray(b)))
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-12))


def pixels(faces):
    """uint8 [..., h, w, 3] -> float [..., 3, h, w] from -1 to 1."""
    return faces.movedim(-1, -3).float() / 127.5 - 1


def pieces_of(faces, clip, said, frame, y, x, side, flip):
    """uint8 [n, side, side, 3] from places y, x of faces, mirrored where flip says so; what is beyond a border is the other side."""
    n = torch.arange(side, device=faces.device)
    rows, columns = (y[:, None] + n) % SIDE, (x[:, None] + torch.where(flip[:, None], n.flip(0), n)) % SIDE
    at = lambda v: v[:, None, None]
    return faces[at(clip), at(said), at(frame), rows[:, :, None], columns[:, None]]


def ssim_map(a, b, size=7, span=2.0):
    """SSIM (Wang et al. 2004) with a box window; one value for each window within the picture."""
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    mean = lambda x: F.avg_pool2d(x, size, 1)
    ma, mb = mean(a), mean(b)
    va, vb, ab = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    return (2 * ma * mb + c1) * (2 * ab + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))


def save(path, **parts):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    torch.save(parts, path + ".part")
    os.replace(path + ".part", path)


def weights(args, name, part="model", device=None):
    """What save() wrote to a file of the work folder."""
    return torch.load(os.path.join(args.work, name), device or args.device)[part]


class Log:
    def __init__(self, every=50):
        self.every, self.sums, self.n, self.start = every, {}, 0, time.time()

    def add(self, step, **values):
        for k, v in values.items():
            self.sums[k] = self.sums.get(k, 0.0) + v.detach()
        self.n += 1
        if step % self.every == 0:
            text = " ".join(f"{k} {float(v) / self.n:.4f}" for k, v in self.sums.items())
            print(f"step {step}  {text}  {time.time() - self.start:.0f} s", flush=True)
            self.sums, self.n = {}, 0
