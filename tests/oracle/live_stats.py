"""`model stats` and `model diff` against plain numpy: weights as safetensors has them, tokens and attention as timm makes them.
Usage: live_stats.py VIT22B
"""
import json
import pathlib
import subprocess
import tempfile

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

from checks import near, program, run, tell

torch.set_num_threads(1)
out = pathlib.Path(tempfile.mkdtemp())
rng = np.random.default_rng(9)
SMALL = ["embed_dim=48", "depth=3", "num_heads=4", "patch_size=4", "num_classes=6", "img_size=24"]


def model(name, seed, *more):
    subprocess.run([program, "model", "init", "ti16", *SMALL, *more, "--randomize-all", "--seed", str(seed), "--out", out / name, "-q"], check=True)
    config = json.loads((out / name / "config.json").read_text())
    config["vit22b"]["pp_eval"] = "decode|rgb|value_range(-1,1)"  # pictures have the model's size
    (out / name / "config.json").write_text(json.dumps(config))
    (out / name / "manifest.json").unlink(missing_ok=True)
    return timm.create_model(f"local-dir:{out / name}", pretrained=True).eval()


def spread(x):
    x = np.asarray(x, np.float64).ravel()
    d = x - x.mean()
    return {"norm": np.linalg.norm(x), "outlier_ratio": np.abs(x).max() / np.sqrt((x**2).mean()), "kurtosis": (d**4).mean() / (d**2).mean() ** 2}


def close(what, got, want):
    """Relative, of each."""
    for a, b in zip(np.ravel(got), np.ravel(want), strict=True):
        near(what, a / b, 1)


def close_all(what, got, want):
    for name, value in want.items():
        close(f"{what}: {name}", got[name], value)


(out / "pictures").mkdir()
pictures = []
for i in range(11):
    pixels = rng.integers(0, 256, (24, 24, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(out / "pictures" / f"{i:03d}.png")
    pictures.append(pixels.astype(np.float32) / 127.5 - 1)
images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def check(name, net):
    said = run("model", "stats", out / name, "--images", out / "pictures", "--batch", 4)
    weights = load_file(out / name / "model.safetensors")
    seen = []
    for block in net.blocks:
        attention = getattr(block, "attn", block)  # of a parallel block its own
        attention.fused_attn = False
        attention.attn_drop.register_forward_hook(lambda module, args, output: seen.append(output.double().numpy()))
    with torch.no_grad():
        blocks = net.forward_intermediates(images, output_fmt="NLC", norm=False, intermediates_only=True, return_prefix_tokens=net.num_prefix_tokens > 0)
    tokens = [torch.cat(b[::-1], 1).double().numpy() if isinstance(b, tuple) else b.double().numpy() for b in blocks]
    assert len(said["blocks"]) == len(tokens) == len(seen) == 3
    for i, block in enumerate(said["blocks"]):
        own = {key.removeprefix(f"blocks.{i}."): value for key, value in weights.items() if key.startswith(f"blocks.{i}.")}
        matrices = {key: value for key, value in own.items() if value.ndim == 2}
        close_all("matrices", block, spread(np.concatenate([m.ravel() for m in matrices.values()])))
        close("spectral norm", block["spectral_norm"], max(np.linalg.norm(m.astype(np.float64), 2) for m in matrices.values()))
        by_name = {parameter["name"]: parameter for parameter in block["parameters"]}
        assert set(matrices) <= set(by_name), (set(matrices), set(by_name))
        for key, values in own.items():
            if key in by_name and not key.endswith("out_proj.bias"):  # two in the file, one here
                close_all(key, by_name[key], spread(values))
        for key, values in matrices.items():
            close(f"{key}: spectral norm", by_name[key]["spectral_norm"], np.linalg.norm(values.astype(np.float64), 2))
        x, p, prefix = tokens[i], seen[i], net.num_prefix_tokens
        norms = np.linalg.norm(x, axis=-1)
        close_all("tokens", block["tokens"], {**spread(x), "norm": norms.mean(), "largest_norm": norms.max()})
        if prefix:
            close("prefix norm", block["tokens"]["prefix_norm"], norms[:, :prefix].mean())
        entropy = -(p * np.log(p)).sum(-1).mean((0, 2))
        close("entropy", block["entropy"], entropy)
        close("entropy share", block["entropy_share"], entropy / np.log(p.shape[-1]))
        mean = p.mean(2)
        information = (-(mean * np.log(mean)).sum(-1) + (p * np.log(p)).sum(-1).mean(2)).mean(0)
        assert block["dead_heads"] == [h for h in range(4) if information[h] < 0.01 * np.log(p.shape[-1])]
        ratio = norms[:, prefix:] / np.median(norms[:, prefix:], axis=1, keepdims=True)
        assert block["artefacts"]["count"] == (ratio > 3).sum() and block["artefacts"]["images"] == (ratio > 3).any(1).sum()
        close("largest ratio", block["artefacts"]["largest_ratio"], ratio.max())


check("serial", model("serial", 1, "block=serial", "reg_tokens=2"))
check("mean", model("mean", 2, "block=serial", "class_token=false", "global_pool=avg"))
check("parallel", model("parallel", 3))

# Two files of one model: the difference is numpy's.
first = load_file(out / "serial" / "model.safetensors")
second = {key: value + rng.normal(0, 1e-3, value.shape).astype(np.float32) if "mlp" in key else value for key, value in first.items()}
(out / "moved").mkdir()
(out / "moved" / "config.json").write_bytes((out / "serial" / "config.json").read_bytes())
save_file(second, out / "moved" / "model.safetensors")
said = run("model", "diff", out / "serial", out / "moved")
changed = {key for key in first if "mlp" in key}
assert {row["name"] for row in said["different"]} == changed and said["equal"] == len(first) - len(changed)
for row in said["different"]:
    a, b = first[row["name"]].astype(np.float64), second[row["name"]].astype(np.float64)
    near("max_abs", row["max_abs"], np.abs(a - b).max(), 1e-9)
    near("relative", row["relative"], np.linalg.norm(a - b) / np.linalg.norm(a), 1e-9)
assert [row["relative"] for row in said["different"]] == sorted((row["relative"] for row in said["different"]), reverse=True)

tell()
