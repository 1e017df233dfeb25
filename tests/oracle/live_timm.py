"""Folders written by vit22b, loaded by timm, and the reverse; every parameter randomised. torch 2.11.0, timm 1.0.31.

Usage: live_timm.py VIT22B_BINARY     Prints the largest difference of logits over the largest logit, a line a case.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import timm
import torch
from safetensors.torch import load_file, save_file

BOUND = 1e-5
SMALL = ["embed_dim=48", "depth=3", "num_heads=4", "patch_size=4", "num_classes=11"]
CASES = {
    "parallel square 3 channels": ["img_size=16"],
    "parallel rectangular 1 channel": ["img_size=12x20", "in_chans=1"],
    "parallel odd mlp, layer scale": ["img_size=16", "mlp_ratio=2.7", "init_values=0.1"],
    "serial square 3 channels": ["block=serial", "img_size=16"],
    "serial rectangular 1 channel, registers": ["block=serial", "img_size=8x20", "in_chans=1", "reg_tokens=3"],
    "serial map": ["block=serial", "img_size=16", "class_token=false", "global_pool=map"],
    "serial average, fc_norm": ["block=serial", "img_size=16", "global_pool=avg", "fc_norm=true"],
}


def features(binary, folder, images, out):
    save_file({"images": images}, out / "in.safetensors")
    subprocess.run([binary, "features", folder, "--input", out / "in.safetensors", "--out", out / "out.safetensors", "-q"], check=True)
    return load_file(out / "out.safetensors")["logits"]


def difference(got, want):
    return ((got - want).abs().max() / want.abs().max()).item()


def main():
    binary = sys.argv[1]
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        for i, (name, overrides) in enumerate(CASES.items()):
            ours, theirs = out / f"ours{i}", out / f"theirs{i}"
            subprocess.run([binary, "model", "init", "ti16", *SMALL, *overrides, "--randomize-all", "--seed", str(i), "--out", ours, "-q"], check=True)
            model = timm.create_model(f"local-dir:{ours}", pretrained=True).eval()
            config = json.loads((ours / "config.json").read_text())
            images = torch.randn(2, *config["pretrained_cfg"]["input_size"], generator=torch.Generator().manual_seed(i))
            with torch.no_grad():
                forth = difference(features(binary, ours, images, out), model(images))
                for p in model.parameters():
                    p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
                theirs.mkdir()
                save_file({k: v.contiguous() for k, v in model.state_dict().items()}, theirs / "model.safetensors")
                del config["vit22b"]  # what timm itself writes
                (theirs / "config.json").write_text(json.dumps(config))
                back = difference(features(binary, theirs, images, out), model(images))
            print(f"{name:42s} vit22b -> timm {forth:.1e}   timm -> vit22b {back:.1e}")
            worst = max(worst, forth, back)
    print(f"worst {worst:.1e}, bound {BOUND:.0e}")
    sys.exit(worst > BOUND)


if __name__ == "__main__":
    main()
