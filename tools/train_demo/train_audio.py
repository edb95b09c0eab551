"""Trains the audio encoder to say, in every row, what the mouth does then; the heads that read it are dropped."""

import glob
import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from common import *
from networks import AudioEncoder
from sound import SEGMENT, log_mel

HOP_ROWS = 50
# About the spread of open, wide, round, press, tuck and tongue; how much each counts.
SCALE, WEIGHT = [0.28, 0.30, 0.25, 0.25, 0.2, 0.25], [3.0, 1.5, 1.0, 0.5, 0.5, 0.5]


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


def load(args, kind):
    """Log-mels [speeches, 80, columns] and mouths [speeches, rows, 6]."""
    mels, mouths = [], []
    for path in sorted(glob.glob(os.path.join(args.work, "data", kind + ".mouth"))):
        if ".part" in path:
            continue
        mouth = torch.from_numpy(np.fromfile(path, np.float32)).view(-1, 28 * HOP_ROWS, 6)
        for s in torch.from_numpy(np.fromfile(path[:-5] + "speech", np.int16)).view(len(mouth), -1):
            mels.append(log_mel(s.to(args.device) / 32768.0).half())
        mouths.append(mouth.to(args.device))
    return torch.stack(mels), torch.cat(mouths)


def pieces(args, mels, mouths, count, rows):
    """Pieces of speech at any place of the 30 s. In one of four the speech ends within the piece, as files do:
    what comes after is zeros."""
    first = int(torch.randint(0, 1500 - rows + 1, ()))
    length = min(rows, mouths.shape[1])
    which = integers(args, 0, len(mels), (count, 1))
    at = integers(args, 0, mouths.shape[1] - length + 1, (count, 1))
    ends = torch.where(chance(args, 0.25, count, 1), integers(args, 25, length + 1, (count, 1)), length)
    row, column = (torch.arange(n, device=args.device) for n in (length, 2 * length))
    louder = torch.randn((count, 1, 1), generator=args.random, device=args.device) * 0.03
    mel = (mels[which, :, 2 * at + column].transpose(1, 2).float() + louder) * (column < 2 * ends)[:, None]
    valid = (row < ends)[..., None].float()
    missing = rows - length
    return F.pad(mel, (0, 2 * missing)), F.pad(mouths[which, at + row] * valid, (0, 0, 0, missing)), F.pad(valid, (0, 0, 0, missing)), first


def validate(model, mels, mouths):
    """Correlation of each of the six values, from the last state, on whole 30 s."""
    scale, rows = torch.tensor(SCALE, device=mels.device), mouths.shape[1]
    whole = F.pad(mels.float(), (0, SEGMENT - mels.shape[2]))
    found = torch.cat([model(m[None], 0)[-1][0, :rows] * scale for m in whole])
    return [correlation(f.cpu(), m.cpu()) for f, m in zip(found.T, mouths.flatten(0, 1).T)]


def options():
    p = arguments(__doc__, 1500)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--rate", type=float, default=2e-3)
    p.add_argument("--long", type=float, default=0.15, help="the last part of the steps sees whole 30 s, a sixth as many")
    return p.parse_args()


def main(args):
    model = Listener().to(args.device)
    scale, weight = torch.tensor(SCALE, device=args.device), torch.tensor(WEIGHT, device=args.device)
    data = load(args, "s[0-9e]*")
    held_out = {"babble": load(args, "sval"), "espeak": load(args, "svale")}
    print(len(data[0]), "speeches", flush=True)

    def loss_of(done):
        whole = done >= 1 - args.long
        mel, mouth, valid, at = pieces(args, *data, max(1, args.batch // 6) if whole else args.batch, 1500 if whole else 200)
        loss = 0
        for i, found in enumerate(model(mel, at)):
            err = ((found.float() - mouth / scale) ** 2 * weight * valid).sum() / (valid.sum() * sum(WEIGHT))
            loss = loss + err * (1.0 if i == len(model.heads) - 1 else 0.1)
        return loss, {"loss": loss, "last": err}

    def show():
        for kind, speeches in held_out.items():
            print("held out, correlation,", kind, " ".join("%.3f" % c for c in validate(model, *speeches)), flush=True)

    fit(args, "audio", model, list(model.parameters()), loss_of, show, decay=0.01)


if __name__ == "__main__":
    launch(main, options())
