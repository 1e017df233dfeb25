"""Logits of pictures through timm's create_transform and model against a folder's, every crop mode. torch 2.11.0, timm 1.0.31.

Usage: live_pixels.py VIT22B_BINARY     Prints the largest difference of logits over the largest logit, a line a case.
"""
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data import create_transform, resolve_data_config

from make_images import picture

BOUNDS = {"png": 1e-5, "jpg": 1e-4}
PICTURES = [(37, 53), (64, 48), (17, 90), (90, 17), (33, 33), (100, 31), (29, 41), (55, 54), (127, 67), (25, 24), (60, 43), (31, 200)]


def folder_of(size, cfg, folder):
    """A small random ViT as timm saves it, and the model itself."""
    args = dict(img_size=size, patch_size=4, embed_dim=48, depth=3, num_heads=4, num_classes=11)
    model = timm.create_model("vit_base_patch16_224", **args).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors")
    config = {"architecture": "vit_base_patch16_224", "num_classes": 11, "model_args": {**args, "img_size": list(size)}, "pretrained_cfg": cfg}
    (folder / "config.json").write_text(json.dumps(config))
    return model


def main():
    binary, worst = sys.argv[1], {"png": 0.0, "jpg": 0.0}
    sizes, modes, methods = [(24, 24), (24, 36)], ["center", "squash", "border"], ["bilinear", "bicubic"]
    for size, mode, method, crop in itertools.product(sizes, modes, methods, [0.9, 1.0]):
        cfg = {"input_size": [3, *size], "crop_pct": crop, "crop_mode": mode, "interpolation": method, "mean": [0.485, 0.456, 0.406],
               "std": [0.229, 0.224, 0.225], "num_classes": 11, "first_conv": "patch_embed.proj", "classifier": "head"}
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            model = folder_of(size, cfg, folder)
            transform = create_transform(**resolve_data_config(pretrained_cfg=cfg))
            for kind in ("png", "jpg"):
                paths = []
                for h, w in PICTURES:
                    paths.append(folder / f"{h}x{w}.{kind}")
                    Image.fromarray(picture(h, w, h)).save(paths[-1])
                subprocess.run([binary, "features", folder, *paths, "--out", folder / "out.safetensors", "--threads", "1", "-q"], check=True)
                got = load_file(folder / "out.safetensors")["logits"]
                with torch.no_grad():
                    want = model(torch.stack([transform(Image.open(p).convert("RGB")) for p in paths]))
                off = ((got - want).abs().max() / want.abs().max()).item()
                print(f"{size[0]}x{size[1]} {mode} {method} crop_pct {crop} {kind}: {off:.1e}")
                worst[kind] = max(worst[kind], off)
    for kind, bound in BOUNDS.items():
        print(f"{kind}: worst {worst[kind]:.1e}, bound {bound:.0e}")
    sys.exit(any(worst[kind] > bound for kind, bound in BOUNDS.items()))


if __name__ == "__main__":
    main()
