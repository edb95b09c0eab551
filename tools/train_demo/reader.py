"""A small net that reads opening and width of the mouth from an aligned face, to measure with; it is not shipped."""

import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from common import *


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.SiLU(), nn.MaxPool2d(2), nn.Conv2d(16, 24, 3, padding=1), nn.SiLU(),
            nn.MaxPool2d(2), nn.Conv2d(24, 32, 3, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(32 * 5 * 8, 64),
            nn.SiLU(), nn.Linear(64, 2),
        )

    def forward(self, faces):
        """[n, 3, 128, 128] from -1 to 1 -> opening and width in pixels."""
        x = F.avg_pool2d(faces[..., MOUTH[0], MOUTH[1]], 2)
        return self.net(x) * torch.tensor([5.0, 8.0]) + torch.tensor([5.0, 36.0])


def load(work):
    reader = Reader()
    reader.load_state_dict(torch.load(os.path.join(work, "reader.pt"))["model"])
    return reader.eval()


def correlation(a, b):
    a, b = np.asarray(a) - np.mean(a), np.asarray(b) - np.mean(b)
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-12))


def main(args):
    reader, rng, log = Reader(), begin(args), Log(200)
    opt = torch.optim.AdamW(reader.parameters(), lr=2e-3)
    data, held_out = shards(args.work), shards(args.work, "val")
    for step in range(args.steps):
        for g in opt.param_groups:
            g["lr"] = rate(step, args.steps, 2e-3)
        x, t = [], []
        for _ in range(32):
            faces, truth, _ = data[rng.integers(len(data))]
            c, k, i = rng.integers(len(faces)), rng.integers(2), rng.integers(FRAMES)
            dy, dx = rng.integers(-2, 3, 2)
            face = np.roll(faces[c, k, i], (dy, dx), (0, 1))
            x.append(face[:, ::-1] if rng.random() < 0.5 else face)
            t.append(truth[c, k, i, 6:8])
        x = pixels(np.stack(x))
        # What a decoder leaves out must not matter: some faces are blurred, all have some noise.
        if rng.random() < 0.5:
            x = F.avg_pool2d(x, 3, 1, 1)
        x = (x * (1 + 0.1 * torch.randn(32, 1, 1, 1)) + 0.1 * torch.randn(32, 3, 1, 1)) + 0.02 * torch.randn_like(x)
        loss = ((reader(x) - torch.tensor(np.stack(t))) ** 2 / torch.tensor([5.0, 8.0]) ** 2).mean()
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        log.add(step, loss=loss)
    save(os.path.join(args.work, "reader.pt"), model=reader.state_dict())
    with torch.no_grad():
        faces, truth, _ = held_out[0]
        found = reader(pixels(faces.reshape(-1, SIDE, SIDE, 3))).numpy()
    for k, what in enumerate(("opening", "width")):
        print("held out, correlation of the %s: %.4f" % (what, correlation(found[:, k], truth[..., 6 + k].ravel())))


if __name__ == "__main__":
    p = arguments(__doc__, 800)
    launch(main, p.parse_args())
