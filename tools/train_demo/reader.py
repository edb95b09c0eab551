"""A small net that reads opening and width of the mouth from an aligned face, to measure with; it is not shipped."""

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
        return self.net(x) * x.new_tensor([5.0, 8.0]) + x.new_tensor([5.0, 36.0])


def load(args):
    reader = Reader()
    reader.load_state_dict(weights(args, "reader.pt", device="cpu"))
    return reader.eval()


def main(args):
    reader, data, held_out = Reader().to(args.device), Faces(args), Faces(args, "val")
    normal = lambda *shape: torch.randn(shape, generator=args.random, device=args.device)

    def loss_of(done):
        faces, truth, _ = data.pick()
        n = args.batch
        clip, said, frame = any_of(args, faces.shape[:3], n)
        corner = integers(args, -2, 3, (2, n))
        x = pixels(pieces_of(faces, clip, said, frame, corner[0], corner[1], SIDE, chance(args, 0.5, n)))
        t = truth[clip, said, frame, 6:8]
        # What a decoder leaves out must not matter: half of the faces are blurred, all have some noise.
        x = torch.where(chance(args, 0.5, n, 1, 1, 1), F.avg_pool2d(x, 3, 1, 1), x)
        x = (x * (1 + 0.1 * normal(n, 1, 1, 1)) + 0.1 * normal(n, 3, 1, 1)) + 0.02 * normal(*x.shape)
        loss = (((reader(x) - t) / x.new_tensor([5.0, 8.0])) ** 2).mean()
        return loss, {"loss": loss}

    def show():
        for k, what in enumerate(("opening", "width")):
            found = torch.cat([reader(pixels(f.flatten(0, 2)))[:, k] for f in held_out.faces]).cpu()
            truth = torch.cat([t[..., 6 + k].flatten() for t in held_out.truth]).cpu()
            print("held out, correlation of the %s: %.4f" % (what, correlation(found, truth)))

    fit(args, "reader", reader, list(reader.parameters()), loss_of, show)


if __name__ == "__main__":
    p = arguments(__doc__, 800)
    p.add_argument("--rate", type=float, default=2e-3)
    p.add_argument("--batch", type=int, default=32)
    launch(main, p.parse_args())
