"""The largest open models as `vit22b model init NAME --to hf|timm` writes them, read by the libraries that they are of: the same
tokens, pooled features and embeddings. Full width and two blocks (--small: 96 wide), every parameter random. EVA-CLIP 8B and 18B are
read by their rules, restated here: RMSNorm, norms before the branches (8B) or behind them (18B).
torch 2.11.0, transformers 5.24.0, timm 1.0.31.

Usage: live_giants.py VIT22B_BINARY [--small] [NAME...]     Prints a line a case; the last one says how many were right.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import timm
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

BOUND = 1e-5  # of the largest value
# What each is written as, the images' side, and a small model's keys.
GIANTS = {
    "dinov2_g": ("hf", 70, "num_heads=6 mlp_hidden=256"),
    "siglip2_giant": ("hf", 64, "num_heads=4 mlp_hidden=200"),
    "clip_bigg": ("hf", 56, "num_heads=6 mlp_hidden=200 joint_dim=40"),
    "pe_core_g": ("timm", 56, "num_heads=4 mlp_hidden=560 pool_heads=2"),
    "aimv2_3b": ("hf", 56, "num_heads=4 mlp_hidden=256"),
    "internvit_6b": ("hf", 56, "num_heads=3 mlp_hidden=200"),
    "dinov3_7b": ("hf", 64, "num_heads=4 mlp_hidden=192"),
    "eva_clip_8b": ("hf", 56, "num_heads=4 mlp_hidden=200 joint_dim=40"),
    "eva_clip_18b": ("hf", 56, "num_heads=4 mlp_hidden=200 joint_dim=40"),
}


def rms(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def eva_clip(folder, images):
    """EVA-CLIP 8B and 18B's vision tower, from its file."""
    config, w = json.loads((folder / "config.json").read_text()), {}
    for file in folder.glob("*.safetensors"):
        w |= load_file(file)
    eps, heads, width = config["layer_norm_eps"], config["num_attention_heads"], config["hidden_size"]
    at = "vision_model.embeddings."
    x = torch.nn.functional.conv2d(images, w[at + "patch_embedding.weight"], w[at + "patch_embedding.bias"], stride=config["patch_size"]).flatten(2).mT
    x = torch.cat([w[at + "class_embedding"].expand(len(x), 1, -1), x], 1) + w[at + "position_embedding.weight"]
    for i in range(config["num_hidden_layers"]):
        at = f"vision_model.encoder.layers.{i}."

        def attend(y):
            q, k, v = [(y @ w[f"{at}self_attn.{part}_proj.weight"].T).unflatten(-1, (heads, -1)).transpose(1, 2) for part in "qkv"]
            y = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            return y @ w[at + "self_attn.out_proj.weight"].T + w[at + "self_attn.out_proj.bias"]

        def mlp(y):
            y = torch.nn.functional.gelu(y @ w[at + "mlp.fc1.weight"].T + w[at + "mlp.fc1.bias"])
            return y @ w[at + "mlp.fc2.weight"].T + w[at + "mlp.fc2.bias"]

        for branch, norm in ((attend, w[at + "layer_norm1.weight"]), (mlp, w[at + "layer_norm2.weight"])):
            x = x + (rms(branch(x), norm, eps) if config["post_layernorm"] else branch(rms(x, norm, eps)))
    assert x.shape[-1] == width
    pooled = rms(x[:, 0], w["vision_model.post_layernorm.weight"], eps)
    return {"image_embedding": pooled @ w["visual_projection.weight"].T}


@torch.no_grad()
def outputs_of(name, folder, images):
    if name.startswith("eva_clip"):
        return eva_clip(folder, images)
    if name == "pe_core_g":
        model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        return {"tokens": model.forward_features(images), "logits": model(images)}
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    model, report = getattr(hf, architecture).from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    lacks = {kind: names for kind, names in report.items() if names}
    assert not lacks, f"transformers says {lacks}"
    out = model.eval()(images)
    if name == "clip_bigg":
        return {"image_embedding": out.image_embeds}
    return {"tokens": out.last_hidden_state} | ({"pooled": out.pooler_output} if name in ("siglip2_giant", "dinov3_7b", "dinov2_g") else {})


def check(binary, out, name, is_small):
    to, side, small = GIANTS[name]
    folder = out / name
    keys = ["depth=2", f"img_size={side}", *(["embed_dim=96", *small.split()] if is_small else [])]
    subprocess.run([binary, "model", "init", name, *keys, "--to", to, "--randomize-all", "--seed", "7", "--out", folder, "-q"], check=True)
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    save_file({"images": images}, out / "in.safetensors")
    want = outputs_of(name, folder, images)
    subprocess.run([binary, "features", folder, "--input", out / "in.safetensors", "--out", out / "out.safetensors", "-q"], check=True)
    got = load_file(out / "out.safetensors")
    off = {key: ((got[key] - value).abs().max() / value.abs().max()).item() for key, value in want.items()}
    is_right = max(off.values()) < BOUND
    print(f"{name}, as {to}: {'right' if is_right else 'WRONG'}: " + "  ".join(f"{key} {value:.1e}" for key, value in off.items()), flush=True)
    return is_right


def main():
    hf.utils.logging.set_verbosity_error()
    hf.utils.logging.disable_progress_bar()
    binary, *words = sys.argv[1:]
    is_small, names = "--small" in words, [word for word in words if word != "--small"] or list(GIANTS)
    results = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            results.append(check(binary, pathlib.Path(folder), name, is_small))
    print(f"{len(results)} cases, {results.count(False)} wrong")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
