"""Whisper's log-mel spectrogram and the audio features of a run, as memsafe makes them."""

import numpy as np
import torch
import torch.nn.functional as F

HOP, SEGMENT = 160, 3000


def mel_filters(bands=80, size=400, rate=16000):
    """Triangles of unit area on Slaney's scale: linear to 1 kHz, then logarithmic."""
    step, corner = 200 / 3, 1000.0
    ratio = np.log(6.4) / 27
    to_mel = lambda f: np.where(f < corner, f / step, corner / step + np.log(np.maximum(f, 1) / corner) / ratio)
    to_hz = lambda m: np.where(m < corner / step, m * step, corner * np.exp(ratio * (m - corner / step)))
    edges = to_hz(np.linspace(0, to_mel(np.float64(rate / 2)), bands + 2))
    bins = np.linspace(0, rate / 2, size // 2 + 1)
    up = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(up, down)) * (2 / (edges[2:] - edges[:-2]))[:, None]


FILTERS = torch.from_numpy(mel_filters()).float()


def log_mel(x):
    """float [..., n] at 16 kHz -> [..., 80, n / 160]."""
    window = torch.hann_window(400, device=x.device)
    s = torch.stft(x, 400, HOP, window=window, center=True, pad_mode="reflect", return_complex=True)
    m = (FILTERS.to(x.device) @ s[..., :-1].abs() ** 2).clamp(min=1e-10).log10()
    return (torch.maximum(m, m.amax((-2, -1), keepdim=True) - 8) + 4) / 4


@torch.no_grad()
def features(encoder, samples):
    """[speeches, n] of up to 30 s -> rows at 50 Hz [speeches, rows, layers + 1, width]; the mels are padded with zeros."""
    mel = log_mel(samples)
    return encoder(F.pad(mel, (0, SEGMENT - mel.shape[-1])))[:, :, : mel.shape[-1] // 2].transpose(1, 2)
