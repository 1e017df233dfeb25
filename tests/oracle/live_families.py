"""Checkpoints of Hugging Face's transformers and of open_clip, small and with every parameter random, read from the
folders that those libraries write: tokens, pooled features, logits and image embeddings beside the libraries' own.
torch 2.11.0, transformers 5.24.0, open_clip 3.3.0.

Usage: live_families.py VIT22B_BINARY [PATTERN]     Prints a line a case; the last one says how many were right.
"""
import fnmatch
import json
import pathlib
import subprocess
import sys
import tempfile

import open_clip
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

BOUND = 1e-5  # of the largest value
SIZES = dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=3, intermediate_size=100)
CLIP_TEXT = dict(vocab_size=50, hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=40,
                 max_position_embeddings=8)


def classes(name):
    """A model's class and its configuration's: ViT, ViTForImageClassification."""
    config = name.removesuffix("ForImageClassification").removesuffix("WithProjection").removesuffix("Model")
    return getattr(hf, name), getattr(hf, config + "Config")


# A case: the class, its configuration, the images' sides, and what its outputs are called.
CASES = {
    "vit": ("ViTModel", dict(SIZES, image_size=32, patch_size=8), (32, 32), ["tokens"]),
    "vit classifier": ("ViTForImageClassification", dict(SIZES, image_size=32, patch_size=8, num_labels=7), (32, 32), ["logits"]),
    "vit other size": ("ViTModel", dict(SIZES, image_size=32, patch_size=8), (40, 24), ["tokens"]),
    "vit without biases": ("ViTModel", dict(SIZES, image_size=32, patch_size=8, qkv_bias=False, hidden_act="quick_gelu"), (32, 32), ["tokens"]),
    "deit": ("DeiTModel", dict(SIZES, image_size=32, patch_size=8), (32, 32), ["tokens"]),
    "vit_msn": ("ViTMSNModel", dict(SIZES, image_size=32, patch_size=8), (32, 32), ["tokens"]),
    "ijepa": ("IJepaModel", dict(SIZES, image_size=32, patch_size=8), (32, 32), ["tokens"]),
    "ijepa classifier": ("IJepaForImageClassification", dict(SIZES, image_size=32, patch_size=8, num_labels=7), (32, 32), ["logits"]),
    "dinov2": ("Dinov2Model", dict(SIZES, image_size=56, patch_size=14), (56, 56), ["tokens", "pooled"]),
    "dinov2 other size": ("Dinov2Model", dict(SIZES, image_size=56, patch_size=14), (28, 70), ["tokens", "pooled"]),
    "dinov2 swiglu": ("Dinov2Model", dict(SIZES, image_size=56, patch_size=14, use_swiglu_ffn=True), (56, 56), ["tokens", "pooled"]),
    "dinov2 classifier": ("Dinov2ForImageClassification", dict(SIZES, image_size=56, patch_size=14, num_labels=7), (56, 56), ["logits"]),
    "dinov2 registers": ("Dinov2WithRegistersModel", dict(SIZES, image_size=56, patch_size=14), (56, 56), ["tokens", "pooled"]),
    "dinov2 registers other size": ("Dinov2WithRegistersModel", dict(SIZES, image_size=56, patch_size=14), (28, 70), ["tokens", "pooled"]),
    "dinov3": ("DINOv3ViTModel", dict(SIZES, image_size=32, patch_size=8, num_register_tokens=4, num_attention_heads=4), (32, 32), ["tokens", "pooled"]),
    "dinov3 other size": ("DINOv3ViTModel", dict(SIZES, image_size=32, patch_size=8, num_register_tokens=4, num_attention_heads=4), (24, 40), ["tokens", "pooled"]),
    "dinov3 gated, in shards": ("DINOv3ViTModel", dict(SIZES, image_size=32, patch_size=8, num_register_tokens=4, num_attention_heads=4, use_gated_mlp=True,
                                                       hidden_act="silu", query_bias=False, value_bias=False, max_shard_size="60KB"), (32, 32), ["tokens", "pooled"]),
    "clip": ("CLIPVisionModelWithProjection", dict(SIZES, image_size=32, patch_size=8, projection_dim=20), (32, 32), ["image_embedding"]),
    "clip vision": ("CLIPVisionModel", dict(SIZES, image_size=32, patch_size=8), (32, 32), ["pooled"]),
    "clip both towers": ("CLIPModel", dict(vision_config=dict(SIZES, image_size=32, patch_size=8), text_config=CLIP_TEXT, projection_dim=20), (32, 32), ["image_embedding"]),
    "clip classifier": ("CLIPForImageClassification", dict(vision_config=dict(SIZES, image_size=32, patch_size=8), num_labels=7), (32, 32), ["logits"]),
    "siglip": ("SiglipVisionModel", dict(SIZES, image_size=32, patch_size=8), (32, 32), ["tokens", "pooled"]),
    "siglip with an edge": ("SiglipVisionModel", dict(SIZES, image_size=36, patch_size=8), (36, 36), ["tokens", "pooled"]),
    "siglip both towers": ("SiglipModel", dict(vision_config=dict(SIZES, image_size=32, patch_size=8), text_config=CLIP_TEXT), (32, 32), ["pooled"]),
    "siglip classifier": ("SiglipForImageClassification", dict(vision_config=dict(SIZES, image_size=32, patch_size=8), num_labels=7), (32, 32), ["logits"]),
    "aimv2": ("Aimv2VisionModel", dict(SIZES, image_size=32, patch_size=8), (32, 32), ["tokens", "pooled"]),
    "aimv2 native, other size": ("Aimv2VisionModel", dict(SIZES, image_size=32, patch_size=8, is_native=True, use_head=False), (24, 40), ["tokens"]),
    "internvl": ("InternVLVisionModel", dict(SIZES, image_size=[32, 32], patch_size=[8, 8], use_qk_norm=True, norm_type="rms_norm"), (32, 32), ["tokens"]),
    "internvl layer norm": ("InternVLVisionModel", dict(SIZES, image_size=[32, 32], patch_size=[8, 8], attention_bias=True, use_mean_pooling=False), (32, 32), ["tokens"]),
}

OPEN_CLIP = {
    "open_clip": dict(embed_dim=20, vision_cfg=dict(image_size=32, layers=3, width=48, head_width=16, patch_size=8),
                      text_cfg=dict(context_length=8, vocab_size=50, width=24, heads=2, layers=1)),
    "open_clip quick_gelu": dict(embed_dim=20, quick_gelu=True, vision_cfg=dict(image_size=32, layers=3, width=48, head_width=16, patch_size=8, mlp_ratio=3.7),
                                 text_cfg=dict(context_length=8, vocab_size=50, width=24, heads=2, layers=1)),
    "open_clip clipa": dict(embed_dim=20, vision_cfg=dict(image_size=32, layers=3, width=48, head_width=16, patch_size=8, no_ln_pre=True, pool_type="avg",
                                                          final_ln_after_pool=True, pos_embed_type="sin_cos_2d"),
                            text_cfg=dict(context_length=8, vocab_size=50, width=24, heads=2, layers=1, pool_type="last", no_causal_mask=True)),
}


@torch.no_grad()
def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        spread = p[0].numel() ** -0.5 if p.dim() >= 2 and p.shape[0] > 1 else 0.3
        p.copy_(torch.randn(p.shape, generator=generator) * spread)
        if "norm" in name.rsplit(".", 2)[-2:][0] and name.endswith("weight"):
            p.add_(1)


@torch.no_grad()
def outputs_of_hf(model, images):
    kwargs = {"interpolate_pos_encoding": True} if images.shape[2] != images.shape[3] and type(model).__name__ == "ViTModel" else {}
    name = type(model).__name__
    if name == "CLIPModel":
        embedding = model.get_image_features(pixel_values=images)
        return {"image_embedding": embedding if torch.is_tensor(embedding) else embedding.pooler_output}
    if name == "SiglipModel":
        embedding = model.get_image_features(pixel_values=images)
        return {"pooled": embedding if torch.is_tensor(embedding) else embedding.pooler_output}
    out = model(images, **kwargs)
    return {"tokens": getattr(out, "last_hidden_state", None), "pooled": getattr(out, "pooler_output", None),
            "logits": getattr(out, "logits", None), "image_embedding": getattr(out, "image_embeds", None)}


def run(binary, folder, images, out, *more):
    save_file({"images": images}, out / "in.safetensors")
    done = subprocess.run([binary, "features", folder, "--input", out / "in.safetensors", "--out", out / "out.safetensors", "--threads", "1", "-q", *more], capture_output=True, text=True)
    if done.returncode != 0:
        return None, f"exit code {done.returncode}: {(done.stderr.strip() or ' ').splitlines()[-1]}"
    return load_file(out / "out.safetensors"), None


def judged(name, got, want, refusal):
    if got is None:
        print(f"{name}: WRONG: {refusal}", flush=True)
        return False
    missing = [k for k in want if k not in got or got[k].shape != want[k].shape]
    off = {k: ((got[k] - w).abs().max() / w.abs().max()).item() for k, w in want.items() if k not in missing}
    is_right = not missing and max(off.values()) < BOUND
    print(f"{name}: {'right' if is_right else 'WRONG'}: " + "  ".join(f"{k} {v:.1e}" for k, v in off.items()) +
          (f"  without {missing}, has {[(k, list(v.shape)) for k, v in got.items()]}" if missing else ""), flush=True)
    return is_right


def check_hf(binary, out, pattern):
    results = []
    for i, (name, (cls, config, size, wanted)) in enumerate(CASES.items()):
        if not fnmatch.fnmatch(name, pattern):
            continue
        model_class, config_class = classes(cls)
        arguments = {k: v for k, v in config.items() if k != "max_shard_size"}
        model = model_class(config_class(**arguments)).eval()
        randomise(model, i)
        folder = out / f"hf{i}"
        model.save_pretrained(folder, max_shard_size=config.get("max_shard_size", "1GB"))
        images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(i))
        want = {k: v for k, v in outputs_of_hf(model, images).items() if k in wanted}
        for more in ([], ["store=streamed", "--engine", "reference"]) if "shards" in name else ([],):
            results.append(judged(" ".join([name, *more]), *run_of(binary, folder, images, out, want, more)))
    return results


def run_of(binary, folder, images, out, want, more):
    got, refusal = run(binary, folder, images, out, *more)
    return got, want, refusal


def check_open_clip(binary, out, pattern):
    results = []
    for i, (name, cfg) in enumerate(OPEN_CLIP.items()):
        if not fnmatch.fnmatch(name, pattern):
            continue
        model = open_clip.model.CLIP(**cfg).eval()
        randomise(model, i)
        folder = out / f"open_clip{i}"
        folder.mkdir()
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
        (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg, "preprocess_cfg": {}}))
        images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(i))
        with torch.no_grad():
            want = {"image_embedding": model.encode_image(images)}
        got, refusal = run(binary, folder, images, out)
        results.append(judged(name, got, want, refusal))
    return results


def main():
    hf.utils.logging.set_verbosity_error()
    hf.utils.logging.disable_progress_bar()
    binary, pattern = sys.argv[1], (sys.argv[2:] or ["*"])[0]
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        results = check_hf(binary, out, pattern) + check_open_clip(binary, out, pattern)
    print(f"{len(results)} cases, {results.count(False)} wrong")
    sys.exit(0 if results and all(results) else 1)


if __name__ == "__main__":
    main()
