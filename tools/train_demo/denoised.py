"""What the denoiser makes of the drawn clips, sampled as in a run: the latents that a decoder has to draw from. Each clip is done
as drawn or mirrored, by turns."""

import os

import torch

from common import *
from diffusion import sample
from latents import mask_of
from networks import UNet3D


@torch.no_grad()
def main(args):
    torch.set_num_threads(1)
    unet = UNet3D(UNET).to(args.device)
    unet.load_state_dict(weights(args, args.unet, "ema"))
    mask = mask_of(args.work)[1].to(args.device)
    args.random = random_numbers(args)
    draw = lambda *shape: torch.randn(shape, generator=args.random, device=args.device)
    for kind in ("val", "t"):
        for path in shards(args.work, kind, ".latents.pt"):
            if os.path.exists(path + ".denoised.pt"):
                continue
            parts, found = torch.load(path + ".latents.pt", args.device), []
            mirrored = torch.arange(parts["full"].shape[1], device=args.device) % 2
            for c in torch.arange(len(mirrored), device=args.device).split(args.batch):
                full, masked = (parts[k][mirrored[c], c].float() for k in ("full", "masked"))
                full = full[:, :, :, 0] + full[:, :, :, 1] * draw(*full[:, :, :, 0].shape)
                masked = masked[:, :, 0] + masked[:, :, 1] * draw(*masked[:, :, 0].shape)
                # What is to be said is each of the two speeches; the reference says the other.
                shape = (len(c), 2, FRAMES)
                fixed = torch.cat([mask.expand(*shape, 1, 16, 16), masked[:, None].expand(*shape, 4, 16, 16), full.flip(1)], 3)
                noise = draw(len(c), 2, 1, 4, 16, 16).expand(-1, -1, FRAMES, -1, -1, -1)
                audio = parts["audio"][c].float()
                with torch.autocast(args.device, torch.bfloat16, enabled=args.half):
                    z = sample(unet, *(v.flatten(0, 2) for v in (noise, fixed, audio)), FRAMES, args.sampling)
                found.append(z.half().view(*shape, 4, 16, 16).cpu())
            save(path + ".denoised.pt", denoised=torch.cat(found), mirrored=mirrored.cpu())


if __name__ == "__main__":
    p = arguments(__doc__, 0)
    p.add_argument("--unet", default="unet_windows.pt")
    p.add_argument("--sampling", type=int, default=5, help="denoising steps")
    p.add_argument("--batch", type=int, help="clips at once; on a GPU 16, else 1")
    args = p.parse_args()
    args.batch = args.batch or (1 if args.device == "cpu" else 16)
    main(args)
