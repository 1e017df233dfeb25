"""--img-size, --crop-pct and --interpolation against timm's own model and transform of the same words. torch 2.11.0, timm 1.0.31.

Usage: live_pixel_flags.py VIT22B_BINARY     Prints the largest difference of logits over the largest logit, a line a case.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data import create_transform, resolve_data_config

BOUND = 1e-5
SIZES = [(97, 61), (64, 64), (50, 133)]
CASES = {
    "its own": ([], {}, {}),
    "--img-size 48": (["--img-size", "48"], {"img_size": 48}, {"input_size": (3, 48, 48)}),
    "--img-size 48x32": (["--img-size", "48x32"], {"img_size": (48, 32)}, {"input_size": (3, 48, 32)}),
    "--crop-pct 0.7": (["--crop-pct", "0.7"], {}, {"crop_pct": 0.7}),
    "--crop-pct 1": (["--crop-pct", "1"], {}, {"crop_pct": 1.0}),
    "--interpolation bilinear": (["--interpolation", "bilinear"], {}, {"interpolation": "bilinear"}),
    "all of them": (
        ["--img-size", "64", "--crop-pct", "0.95", "--interpolation", "bilinear"],
        {"img_size": 64},
        {"input_size": (3, 64, 64), "crop_pct": 0.95, "interpolation": "bilinear"},
    ),
}  # fmt: skip


def make_pictures(folder):
    random = np.random.default_rng(0)
    for i, (height, width) in enumerate(SIZES):
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / f"p{i}.png")
    return sorted(folder.glob("p*.png"))


def make_checkpoint(folder):
    """A small random ViT as timm stores it, with ImageNet's preprocessing."""
    torch.manual_seed(0)
    args = {"img_size": 32, "patch_size": 16, "embed_dim": 48, "depth": 2, "num_heads": 3, "num_classes": 7}
    model = timm.create_model("vit_tiny_patch16_224", **args)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn(p.shape))
    cfg = {"tag": "", "input_size": [3, 32, 32], "crop_pct": 0.875, "interpolation": "bicubic", "num_classes": 7,
           "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "first_conv": "patch_embed.proj", "classifier": "head"}  # fmt: skip
    folder.mkdir()
    config = {"architecture": "vit_tiny_patch16_224", "num_classes": 7, "model_args": args, "pretrained_cfg": cfg}
    (folder / "config.json").write_text(json.dumps(config))
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors")
    return cfg


def of_timm(checkpoint, pictures, model_args, cfg, changes):
    model = timm.create_model(f"local-dir:{checkpoint}", pretrained=True, **model_args).eval()
    transform = create_transform(**resolve_data_config(changes, pretrained_cfg=cfg))
    with torch.no_grad():
        return torch.cat([model(transform(Image.open(path).convert("RGB"))[None]) for path in pictures])


def of_vit22b(binary, checkpoint, pictures, flags, out):
    words = [binary, "features", checkpoint, *pictures, *flags, "--out", out / "out.safetensors", "-q"]
    subprocess.run(words, check=True)
    return load_file(out / "out.safetensors")["logits"]


def main():
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        pictures = make_pictures(out)
        cfg = make_checkpoint(out / "m")
        for name, (flags, model_args, changes) in CASES.items():
            want = of_timm(out / "m", pictures, model_args, cfg, changes)
            got = of_vit22b(sys.argv[1], out / "m", pictures, flags, out)
            difference = ((got - want).abs().max() / want.abs().max()).item()
            print(f"{name:28s} {difference:.1e}", flush=True)
            worst = max(worst, difference)
    print(f"worst {worst:.1e}, bound {BOUND:.0e}")
    sys.exit(worst > BOUND)


if __name__ == "__main__":
    main()
