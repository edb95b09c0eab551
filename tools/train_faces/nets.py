"""The two nets. Names of the parts are those that export.py walks."""

import torch
from torch import nn

STRIDES = (8, 16, 32)
ANCHORS = 2
# A face belongs to the level and anchor in whose range its longer side lies; the ranges' geometric means are
# SCRFD's anchors of 16 to 512 pixels.
EDGES = (0.0, 22.6, 45.3, 90.5, 181.0, 362.0, 1e9)


class Unit(nn.Module):
    """Convolution without bias, batch norm, ReLU; with `add` the input is added before the ReLU."""

    def __init__(self, cin, cout, k=3, stride=1, act=True, add=False):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, k, stride, k // 2, bias=False)
        self.norm = nn.BatchNorm2d(cout)
        self.act, self.add = act, add

    def forward(self, x):
        y = self.norm(self.conv(x))
        y = y + x if self.add else y
        return torch.relu(y) if self.act else y


class Head(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.tower = Unit(c, c)
        self.score = nn.Conv2d(c, ANCHORS, 1)
        self.box = nn.Conv2d(c, 4 * ANCHORS, 1)
        self.points = nn.Conv2d(c, 10 * ANCHORS, 1)
        nn.init.constant_(self.score.bias, -4.6)
        nn.init.constant_(self.box.bias, 2.0)

    def forward(self, x):
        x = self.tower(x)
        return self.score(x), self.box(x), self.points(x)


class Detector(nn.Module):
    """Of SCRFD's form: a backbone down to stride 32, a feature pyramid, a head a level."""

    def __init__(self, c=(12, 24, 32, 40), neck=24):
        super().__init__()
        self.stem = nn.Sequential(Unit(3, c[0], k=7, stride=4))
        self.down = nn.ModuleList(
            [
                nn.Sequential(Unit(c[0], c[1], stride=2), Unit(c[1], c[1], add=True)),
                nn.Sequential(Unit(c[1], c[2], stride=2), Unit(c[2], c[2], add=True)),
                nn.Sequential(Unit(c[2], c[3], stride=2), Unit(c[3], c[3], add=True), Unit(c[3], c[3], add=True)),
            ]
        )
        self.lateral = nn.ModuleList([nn.Conv2d(w, neck, 1) for w in c[1:]])
        self.heads = nn.ModuleList([Head(neck) for _ in STRIDES])

    def forward(self, x):
        """x: (v - 127.5) / 128. Per level: score logits [n,2,h,w], box [n,8,h,w], points [n,20,h,w] in strides."""
        x = self.stem(x)
        levels = []
        for down in self.down:
            x = down(x)
            levels.append(x)
        levels = [lat(v) for lat, v in zip(self.lateral, levels)]
        for i in (1, 0):
            levels[i] = levels[i] + nn.functional.interpolate(levels[i + 1], scale_factor=2.0, mode="nearest")
        return [head(v) for head, v in zip(self.heads, levels)]


class Landmarks(nn.Module):
    """192 x 192 values 0 to 255 -> 212 numbers, -1 to 1 across the crop."""

    def __init__(self, c=(24, 32, 40, 48), last=20, rank=48):
        super().__init__()
        self.body = nn.Sequential(
            Unit(3, c[0], k=7, stride=4),
            Unit(c[0], c[1], stride=2),
            Unit(c[1], c[1], add=True),
            Unit(c[1], c[1], add=True),
            Unit(c[1], c[2], stride=2),
            Unit(c[2], c[2], add=True),
            Unit(c[2], c[2], add=True),
            Unit(c[2], c[3], stride=2),
            Unit(c[3], c[3], add=True),
            Unit(c[3], last, k=1),
        )
        self.shape = nn.Linear(last * 36, rank)
        self.points = nn.Linear(rank, 212)

    def forward(self, x):
        x = self.body((x - 127.5) * (1 / 128))
        return self.points(self.shape(x.flatten(1)))
