"""How well teeth can be told: what is narrow from left to right within the lips, which is the gaps between teeth, against the
truth's. A bar of one grey has none of it."""

import numpy as np
import torch
import torch.nn.functional as F

from common import MOUTH, SIDE

INNER_LIPS = [65, 66, 62, 70, 69, 57, 60, 54]  # of the 106 points, in turn
OPEN_PX = 1.5  # of the aligned face: a mouth that shows teeth


def luma_in_mouth(x):
    """[n, 3, 128, 128] -> [n, 1, 40, 64]"""
    return x[..., MOUTH[0], MOUTH[1]].mean(-3, keepdim=True)


def upright_lines(luma, width=5):
    """Each pixel less the mean of its row's five around it: teeth are some four pixels wide."""
    return luma - F.avg_pool2d(luma, (1, width), 1, (0, width // 2), count_include_pad=False)


def agreement(luma, truth, where=1.0):
    """Correlation of the lines with the truth's, and their strength: the root mean square as a part of the truth's."""
    a, b = upright_lines(luma) * where, upright_lines(truth) * where
    energy = lambda v: v.pow(2).sum() + 1e-12
    return float((a * b).sum() / (energy(a) * energy(b)).sqrt()), float((energy(a) / energy(b)).sqrt())


def within(polygons):
    """[n, corners, 2] (x, y) in pixels of the aligned face -> [n, 1, 40, 64]: 1 where a pixel of the mouth lies inside."""
    y, x = np.mgrid[MOUTH[0], MOUTH[1]]
    inside = np.zeros((len(polygons), *x.shape), bool)
    for p, q in zip(polygons.swapaxes(0, 1), np.roll(polygons, -1, 1).swapaxes(0, 1)):
        (px, py), (qx, qy) = (v.T[:, :, None, None] for v in (p, q))
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= ((py > y) != (qy > y)) & (x < (qx - px) * (y - py) / (qy - py) + px)
    return torch.from_numpy(inside[:, None]).float()


def lips_of(landmarks, affine, crop_height, crop_width):
    """Inner lips of frames [n, 106, 2] in pixels of the aligned face. affine: [n, 2, 3], frame -> crop."""
    p = landmarks[:, INNER_LIPS]
    crop = np.einsum("nij,nkj->nki", affine[:, :, :2], p) + affine[:, None, :, 2]
    return (crop + 0.5) * SIDE / np.array([crop_width, crop_height]) - 0.5
