"""The three networks, small, with the tensor names of the official checkpoints.

AutoencoderKL is diffusers' (names of 0.18 and later), AudioEncoder the encoder of OpenAI's Whisper, UNet3D the
UNet3DConditionModel of LatentSync. `check_networks.py` holds them against the golden data and against memsafe itself.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

SCALING = 0.18215  # of latents; LatentSync's, whatever the VAE's config says


def conv3(n, m, stride=1):
    return nn.Conv2d(n, m, 3, stride=stride, padding=1)


# ---- AutoencoderKL


class VaeResnet(nn.Module):
    def __init__(self, n, m, groups):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, n, eps=1e-6)
        self.conv1 = conv3(n, m)
        self.norm2 = nn.GroupNorm(groups, m, eps=1e-6)
        self.conv2 = conv3(m, m)
        if n != m:
            self.conv_shortcut = nn.Conv2d(n, m, 1)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)


class VaeAttention(nn.Module):
    def __init__(self, n, groups):
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, n, eps=1e-6)
        self.to_q, self.to_k, self.to_v = (nn.Linear(n, n) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(n, n)])

    def forward(self, x):
        b, c, h, w = x.shape
        y = self.group_norm(x).flatten(2).transpose(1, 2)
        y = F.scaled_dot_product_attention(*(f(y)[:, None] for f in (self.to_q, self.to_k, self.to_v)))[:, 0]
        return x + self.to_out[0](y).transpose(1, 2).reshape(b, c, h, w)


class VaeMiddle(nn.Module):
    def __init__(self, n, groups):
        super().__init__()
        self.resnets = nn.ModuleList([VaeResnet(n, n, groups), VaeResnet(n, n, groups)])
        self.attentions = nn.ModuleList([VaeAttention(n, groups)])

    def forward(self, x):
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Resample(nn.Module):
    """Downwards with diffusers' asymmetric padding, or upwards after doubling the pixels."""

    def __init__(self, n, down):
        super().__init__()
        self.conv = nn.Conv2d(n, n, 3, stride=2) if down else conv3(n, n)
        self.down = down

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self.down else F.interpolate(x, scale_factor=2, mode="nearest"))


class VaeBlock(nn.Module):
    def __init__(self, n, m, layers, groups, resample):
        super().__init__()
        self.resnets = nn.ModuleList([VaeResnet(n if j == 0 else m, m, groups) for j in range(layers)])
        self.down = resample == "down"
        if resample == "down":
            self.downsamplers = nn.ModuleList([Resample(m, True)])
        if resample == "up":
            self.upsamplers = nn.ModuleList([Resample(m, False)])

    def forward(self, x):
        for r in self.resnets:
            x = r(x)
        for r in getattr(self, "downsamplers", getattr(self, "upsamplers", [])):
            x = r(x)
        return x


class VaeEncoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        ch, g = c["block_out_channels"], c["norm_num_groups"]
        self.conv_in = conv3(3, ch[0])
        self.down_blocks = nn.ModuleList(
            VaeBlock(ch[max(i - 1, 0)], ch[i], c["layers_per_block"], g, "down" if i < len(ch) - 1 else None)
            for i in range(len(ch))
        )
        self.mid_block = VaeMiddle(ch[-1], g)
        self.conv_norm_out = nn.GroupNorm(g, ch[-1], eps=1e-6)
        self.conv_out = conv3(ch[-1], 2 * c["latent_channels"])

    def forward(self, x):
        x = self.conv_in(x)
        for b in self.down_blocks:
            x = b(x)
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x))))


class VaeDecoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        ch, g = c["block_out_channels"][::-1], c["norm_num_groups"]
        self.conv_in = conv3(c["latent_channels"], ch[0])
        self.mid_block = VaeMiddle(ch[0], g)
        self.up_blocks = nn.ModuleList(
            VaeBlock(ch[max(i - 1, 0)], ch[i], c["layers_per_block"] + 1, g, "up" if i < len(ch) - 1 else None)
            for i in range(len(ch))
        )
        self.conv_norm_out = nn.GroupNorm(g, ch[-1], eps=1e-6)
        self.conv_out = conv3(ch[-1], 3)

    def forward(self, x):
        x = self.mid_block(self.conv_in(x))
        for b in self.up_blocks:
            x = b(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class AutoencoderKL(nn.Module):
    def __init__(self, config):
        super().__init__()
        n = config["latent_channels"]
        self.encoder, self.decoder = VaeEncoder(config), VaeDecoder(config)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(2 * n, 2 * n, 1), nn.Conv2d(n, n, 1)

    def encode(self, x):
        """Mean and log variance of the latents."""
        mean, logvar = self.quant_conv(self.encoder(x)).chunk(2, 1)
        return mean, logvar.clamp(-30, 20)

    def decode(self, z):
        return self.decoder(self.post_quant_conv(z))


# ---- Whisper's audio encoder


class WhisperAttention(nn.Module):
    def __init__(self, n, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(n, n), nn.Linear(n, n, bias=False)
        self.value, self.out = nn.Linear(n, n), nn.Linear(n, n)

    def forward(self, x):
        b, t, n = x.shape
        q, k, v = (f(x).view(b, t, self.heads, -1).transpose(1, 2) for f in (self.query, self.key, self.value))
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(b, t, n))


class WhisperBlock(nn.Module):
    def __init__(self, n, heads):
        super().__init__()
        self.attn, self.attn_ln = WhisperAttention(n, heads), nn.LayerNorm(n)
        self.mlp = nn.Sequential(nn.Linear(n, 4 * n), nn.GELU(), nn.Linear(4 * n, n))
        self.mlp_ln = nn.LayerNorm(n)

    def forward(self, x):
        x = x + self.attn(self.attn_ln(x))
        return x + self.mlp(self.mlp_ln(x))


def sinusoids(length, n, longest=10000):
    rate = torch.exp(-math.log(longest) / (n // 2 - 1) * torch.arange(n // 2))
    angle = torch.arange(length)[:, None] * rate[None]
    return torch.cat([angle.sin(), angle.cos()], 1)


class AudioEncoder(nn.Module):
    def __init__(self, dims):
        super().__init__()
        n = dims["n_audio_state"]
        self.conv1 = nn.Conv1d(dims["n_mels"], n, 3, padding=1)
        self.conv2 = nn.Conv1d(n, n, 3, stride=2, padding=1)
        self.register_buffer("positional_embedding", sinusoids(dims["n_audio_ctx"], n))
        self.blocks = nn.ModuleList(WhisperBlock(n, dims["n_audio_head"]) for _ in range(dims["n_audio_layer"]))
        self.ln_post = nn.LayerNorm(n)  # in the official files; LatentSync reads the states before it

    def forward(self, mel, first=0):
        """mel [b, 80, 2 t] -> states [b, layers + 1, t, n]. first: row of the 30 s that the piece begins at."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.positional_embedding[first : first + x.shape[1]]
        states = [x]
        for b in self.blocks:
            x = b(x)
            states.append(x)
        return torch.stack(states, 1)


# ---- UNet3D


class WindowNorm(nn.GroupNorm):
    """Group norm of images [b f, c, h, w]: each on its own, or all frames of a window together."""

    def __init__(self, groups, n, eps, per_frame):
        super().__init__(groups, n, eps=eps)
        self.per_frame = per_frame

    def forward(self, x, frames):
        if self.per_frame:
            return super().forward(x)
        bf, c, h, w = x.shape
        y = x.view(bf // frames, frames, c, h, w).transpose(1, 2)
        return super().forward(y).transpose(1, 2).reshape(bf, c, h, w)


class UnetResnet(nn.Module):
    def __init__(self, n, m, time, c):
        super().__init__()
        g, eps, per_frame = c["norm_num_groups"], c["norm_eps"], c.get("use_inflated_groupnorm", False)
        self.norm1, self.conv1 = WindowNorm(g, n, eps, per_frame), conv3(n, m)
        self.time_emb_proj = nn.Linear(time, m)
        self.norm2, self.conv2 = WindowNorm(g, m, eps, per_frame), conv3(m, m)
        if n != m:
            self.conv_shortcut = nn.Conv2d(n, m, 1)

    def forward(self, x, t, frames):
        h = self.conv1(F.silu(self.norm1(x, frames))) + self.time_emb_proj(t)[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h, frames)))
        return h + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)


class Attention(nn.Module):
    def __init__(self, n, heads, context=None):
        super().__init__()
        self.heads, context = heads, context or n
        self.to_q, self.to_k = nn.Linear(n, n, bias=False), nn.Linear(context, n, bias=False)
        self.to_v, self.to_out = nn.Linear(context, n, bias=False), nn.ModuleList([nn.Linear(n, n)])

    def forward(self, x, context=None):
        """Written out: with so few and so narrow tokens the library's fused kernels are slower, above all backwards."""
        context = x if context is None else context
        q, k, v = (
            f(y).view(y.shape[0], y.shape[1], self.heads, -1).transpose(1, 2)
            for f, y in ((self.to_q, x), (self.to_k, context), (self.to_v, context))
        )
        p = (q @ k.transpose(2, 3) * q.shape[3] ** -0.5).softmax(-1)
        return self.to_out[0]((p.to(v.dtype) @ v).transpose(1, 2).flatten(2))


class GatedLinear(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.proj = nn.Linear(n, 2 * m)

    def forward(self, x):
        x, gate = self.proj(x).chunk(2, -1)
        return x * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.net = nn.ModuleList([GatedLinear(n, 4 * n), nn.Identity(), nn.Linear(4 * n, n)])

    def forward(self, x):
        return self.net[2](self.net[0](x))


class SpatialBlock(nn.Module):
    def __init__(self, n, heads, context):
        super().__init__()
        self.norm1, self.attn1 = nn.LayerNorm(n), Attention(n, heads)
        self.norm2, self.attn2 = nn.LayerNorm(n), Attention(n, heads, context)
        self.norm3, self.ff = nn.LayerNorm(n), FeedForward(n)

    def forward(self, x, audio):
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), audio)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    def __init__(self, n, heads, c):
        super().__init__()
        self.norm = nn.GroupNorm(c["norm_num_groups"], n, eps=1e-6)
        self.proj_in, self.proj_out = nn.Conv2d(n, n, 1), nn.Conv2d(n, n, 1)
        self.transformer_blocks = nn.ModuleList([SpatialBlock(n, heads, c["cross_attention_dim"])])

    def forward(self, x, audio):
        h = self.proj_in(self.norm(x))
        h = self.transformer_blocks[0](h.flatten(2).transpose(1, 2), audio)
        return x + self.proj_out(h.transpose(1, 2).reshape(x.shape))


class Positions(nn.Module):
    def __init__(self, n, length):
        super().__init__()
        rate = torch.exp(torch.arange(0, n, 2) * (-math.log(10000.0) / n))
        angle = torch.arange(length)[:, None] * rate
        self.register_buffer("pe", torch.stack([angle.sin(), angle.cos()], 2).reshape(1, length, n))


class TemporalAttention(Attention):
    def __init__(self, n, heads, length):
        super().__init__(n, heads)
        self.pos_encoder = Positions(n, length)

    def forward(self, x):
        return super().forward(x + self.pos_encoder.pe[:, : x.shape[1]])


class TemporalBlock(nn.Module):
    def __init__(self, n, k):
        super().__init__()
        kinds = k["attention_block_types"]
        heads, length = k["num_attention_heads"], k["temporal_position_encoding_max_len"]
        self.attention_blocks = nn.ModuleList(TemporalAttention(n, heads, length) for _ in kinds)
        self.norms = nn.ModuleList(nn.LayerNorm(n) for _ in kinds)
        self.ff, self.ff_norm = FeedForward(n), nn.LayerNorm(n)

    def forward(self, x):
        for a, norm in zip(self.attention_blocks, self.norms):
            x = x + a(norm(x))
        return x + self.ff(self.ff_norm(x))


class TemporalTransformer(nn.Module):
    def __init__(self, n, k):
        super().__init__()
        self.norm = nn.GroupNorm(32, n, eps=1e-6)
        self.proj_in, self.proj_out = nn.Linear(n, n), nn.Linear(n, n)
        self.transformer_blocks = nn.ModuleList(TemporalBlock(n, k) for _ in range(k["num_transformer_block"]))
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, x, frames):
        bf, c, h, w = x.shape
        y = self.norm(x).view(bf // frames, frames, c, h * w).permute(0, 3, 1, 2).reshape(-1, frames, c)
        y = self.proj_in(y)
        for b in self.transformer_blocks:
            y = b(y)
        y = self.proj_out(y).view(bf // frames, h * w, frames, c).permute(0, 2, 3, 1).reshape(bf, c, h, w)
        return x + y


class MotionModule(nn.Module):
    def __init__(self, n, k):
        super().__init__()
        self.temporal_transformer = TemporalTransformer(n, k)

    def forward(self, x, frames):
        return self.temporal_transformer(x, frames)


class UnetBlock(nn.Module):
    """A level on its way down, in the middle or up. widths: (in, out) of each resnet."""

    def __init__(self, widths, c, heads=None, motion=False, resample=None, attentions=None):
        super().__init__()
        time, n = 4 * c["block_out_channels"][0], widths[0][1]
        self.resnets = nn.ModuleList(UnetResnet(a, b, time, c) for a, b in widths)
        count = len(widths) if attentions is None else attentions
        if heads:
            self.attentions = nn.ModuleList(SpatialTransformer(n, heads, c) for _ in range(count))
        if motion:
            self.motion_modules = nn.ModuleList(MotionModule(n, c["motion_module_kwargs"]) for _ in range(count))
        if resample:
            layer = nn.Module()
            layer.conv = conv3(n, n, 2 if resample == "down" else 1)
            setattr(self, resample + "samplers", nn.ModuleList([layer]))

    def layer(self, j, x, t, audio, frames, attend=True):
        x = self.resnets[j](x, t, frames)
        if hasattr(self, "attentions") and attend:
            x = self.attentions[j](x, audio)
        if hasattr(self, "motion_modules") and attend and frames > 1:
            x = self.motion_modules[j](x, frames)
        return x


class TimeEmbedding(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(n, 4 * n), nn.Linear(4 * n, 4 * n)

    def forward(self, x):
        return self.linear_2(F.silu(self.linear_1(x)))


class UNet3D(nn.Module):
    """Frames of windows lie one after the other: sample [b f, 13, h, w], t [b], audio [b f, tokens, width]."""

    def __init__(self, c):
        super().__init__()
        ch, layers = c["block_out_channels"], c["layers_per_block"]
        heads, levels = c["attention_head_dim"], len(ch)
        down = ["CrossAttn" in b for b in c["down_block_types"]]
        up = ["CrossAttn" in b for b in c["up_block_types"]]
        resolutions = c["motion_module_resolutions"] if c["use_motion_module"] else []
        self.width = ch[0]
        self.conv_in = conv3(c["in_channels"], ch[0])
        self.time_embedding = TimeEmbedding(ch[0])
        self.down_blocks, self.up_blocks, skips = nn.ModuleList(), nn.ModuleList(), [ch[0]]
        for i, n in enumerate(ch):
            widths = [(ch[max(i - 1, 0)] if j == 0 else n, n) for j in range(layers)]
            last = i == levels - 1
            self.down_blocks.append(
                UnetBlock(widths, c, heads if down[i] else None, 2**i in resolutions, None if last else "down")
            )
            skips += [n] * (layers if last else layers + 1)
        self.mid_block = UnetBlock([(n, n)] * 2, c, heads, c["motion_module_mid_block"], attentions=1)
        for i, n in enumerate(ch[::-1]):
            widths = []
            for j in range(layers + 1):
                before = n if j else ch[::-1][max(i - 1, 0)]
                widths.append((before + skips.pop(), n))
            resample = "up" if i < levels - 1 else None
            self.up_blocks.append(
                UnetBlock(widths, c, heads if up[i] else None, 2 ** (3 - i) in resolutions, resample)
            )
        self.conv_norm_out = WindowNorm(c["norm_num_groups"], ch[0], c["norm_eps"], c.get("use_inflated_groupnorm", False))
        self.conv_out = conv3(ch[0], c["out_channels"])

    def time(self, t):
        half = self.width // 2
        angle = t.float()[:, None] * torch.exp(-math.log(10000.0) * torch.arange(half, device=t.device) / half)
        return F.silu(self.time_embedding(torch.cat([angle.cos(), angle.sin()], 1)))

    def forward(self, x, t, audio, frames):
        t = self.time(t).repeat_interleave(frames, 0)
        x = self.conv_in(x)
        skips = [x]
        for b in self.down_blocks:
            for j in range(len(b.resnets)):
                x = b.layer(j, x, t, audio, frames)
                skips.append(x)
            if hasattr(b, "downsamplers"):
                x = b.downsamplers[0].conv(x)
                skips.append(x)
        x = self.mid_block.layer(0, x, t, audio, frames)
        x = self.mid_block.layer(1, x, t, audio, frames, attend=False)
        for b in self.up_blocks:
            for j in range(len(b.resnets)):
                x = b.layer(j, torch.cat([x, skips.pop()], 1), t, audio, frames)
            if hasattr(b, "upsamplers"):
                x = b.upsamplers[0].conv(F.interpolate(x, scale_factor=2, mode="nearest"))
        return self.conv_out(F.silu(self.conv_norm_out(x, frames)))
