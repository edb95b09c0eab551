"""Trains the audio encoder to say, in every row, what the mouth does then; the heads that read it are dropped."""

import glob
import os

import numpy as np
import torch
from torch import nn

from common import *
from networks import AudioEncoder
from sound import SEGMENT, log_mel

HOP_ROWS = 50
SCALE = torch.tensor([0.28, 0.30, 0.25, 0.25, 0.2, 0.25])  # about the spread of open, wide, round, press, tuck, tongue
WEIGHT = torch.tensor([3.0, 1.5, 1.0, 0.5, 0.5, 0.5])


class Listener(nn.Module):
    """The encoder with a linear head on each of its states."""

    def __init__(self):
        super().__init__()
        n = AUDIO["n_audio_state"]
        self.encoder = AudioEncoder(AUDIO)
        self.heads = nn.ModuleList(nn.Linear(n, 6) for _ in range(AUDIO["n_audio_layer"] + 1))

    def forward(self, mel, first):
        states = self.encoder(mel, first)
        return [head(states[:, i]) for i, head in enumerate(self.heads)]


def load(work, kind):
    """[(log-mel [80, columns], mouth [rows, 6])]"""
    out = []
    for path in sorted(glob.glob(os.path.join(work, "data", kind + ".mouth"))):
        if ".part" in path:
            continue
        rows = 28 * HOP_ROWS
        mouth = np.fromfile(path, np.float32).reshape(-1, rows, 6)
        speech = np.fromfile(path[:-5] + "speech", np.int16).reshape(len(mouth), -1)
        out += [(log_mel(s / 32768.0).half(), torch.from_numpy(m)) for s, m in zip(speech, mouth)]
    return out


def pieces(rng, data, count, rows):
    """Pieces of speech at any place of the 30 s. In one of four the speech ends within the piece, as files do:
    what comes after is zeros."""
    first = int(rng.integers(0, 1500 - rows + 1))
    mel, mouth, valid = torch.zeros(count, 80, 2 * rows), torch.zeros(count, rows, 6), torch.ones(count, rows, 1)
    for i in range(count):
        m, t = data[rng.integers(len(data))]
        length = min(rows, t.shape[0])
        at = int(rng.integers(0, t.shape[0] - length + 1))
        if rng.random() < 0.25:
            length = int(rng.integers(25, length + 1))
        mel[i, :, : 2 * length] = m[:, 2 * at : 2 * (at + length)].float() + float(rng.normal()) * 0.03
        mouth[i, :length] = t[at : at + length]
        valid[i, length:] = 0
    return mel, mouth, valid, first


def correlation(a, b):
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / (a.norm() * b.norm()))


@torch.no_grad()
def validate(model, data):
    """Correlation of each of the six values, from the last state, on whole 30 s."""
    found, truth = [], []
    for mel, mouth in data:
        padded = torch.zeros(1, 80, SEGMENT)
        padded[0, :, : mel.shape[1]] = mel.float()
        found.append(model(padded, 0)[-1][0, : len(mouth)] * SCALE)
        truth.append(mouth)
    found, truth = torch.cat(found), torch.cat(truth)
    return [correlation(found[:, i], truth[:, i]) for i in range(6)]


def options():
    p = arguments(__doc__, 1500)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--rate", type=float, default=2e-3)
    p.add_argument("--long", type=float, default=0.15, help="the last part of the steps sees whole 30 s")
    return p.parse_args()


def main(args):
    path = os.path.join(args.work, "audio.pt")
    model, first, log = Listener(), 0, Log()
    opt = torch.optim.AdamW(model.parameters(), lr=args.rate, betas=(0.9, 0.99), weight_decay=0.01)
    state = saved(args, path, model, opt)
    if state:
        first = state["step"]
    rng = begin(args, first)
    data = load(args.work, "s[0-9]")
    held_out = {"babble": load(args.work, "sval"), "espeak": load(args.work, "svale")}
    print(len(data), "speeches", flush=True)
    for step in range(first, args.steps):
        for g in opt.param_groups:
            g["lr"] = rate(step, args.steps, args.rate)
        whole = step >= args.steps * (1 - args.long)
        mel, mouth, valid, at = pieces(rng, data, 2 if whole else args.batch, 1500 if whole else 200)
        loss = 0
        for i, found in enumerate(model(mel, at)):
            err = ((found - mouth / SCALE) ** 2 * WEIGHT * valid).sum() / (valid.sum() * WEIGHT.sum())
            loss = loss + err * (1.0 if i == len(model.heads) - 1 else 0.1)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(args, list(model.parameters()))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        if args.worker:
            continue
        log.add(step, loss=loss.detach(), last=err.detach())
        if step % 250 == 249 or step == args.steps - 1:
            save(path, model=model.state_dict(), opt=opt.state_dict(), step=step + 1)
            for kind, speeches in held_out.items():
                print("held out, correlation,", kind, " ".join("%.3f" % c for c in validate(model, speeches)), flush=True)


if __name__ == "__main__":
    launch(main, options())
