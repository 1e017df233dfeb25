"""Image towers out of models of images and words, local and from a hub: live_towers.py VIT22B.

Small models of transformers with every parameter random, and OpenVLA's layout around two of timm's: tokens beside the libraries' own
tower, and of the hub's copies, in shards, the bytes that were sent: at most the tower, the headers and 1 MiB.
torch 2.11.0, transformers 5.24.0, timm 1.0.31.
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

from hub_server import Hub

program = sys.argv[1]
BOUND = 1e-5  # of the largest value
SIZES = dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=3, intermediate_size=100)
# Large beside the tower: what a mistake would fetch.
WORDS = dict(vocab_size=20000, hidden_size=64, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, intermediate_size=64, head_dim=32)
torch.manual_seed(0)


def randomised(model):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1 + (1 if "norm" in name and name.endswith("weight") else 0))
    return model.eval()


def llava(vision):
    return hf.LlavaForConditionalGeneration(hf.LlavaConfig(vision_config=vision, text_config=hf.LlamaConfig(**WORDS), image_token_index=9))


CASES = {
    "llava, clip": lambda: llava(hf.CLIPVisionConfig(**SIZES, image_size=32, patch_size=8)),
    "llava, siglip": lambda: llava(hf.SiglipVisionConfig(**SIZES, image_size=32, patch_size=8)),
    "paligemma": lambda: hf.PaliGemmaForConditionalGeneration(hf.PaliGemmaConfig(
        vision_config=hf.SiglipVisionConfig(**SIZES, image_size=32, patch_size=8, vision_use_head=False), text_config=hf.GemmaConfig(**WORDS), image_token_index=9)),
    "internvl": lambda: hf.InternVLForConditionalGeneration(hf.InternVLConfig(
        vision_config=hf.InternVLVisionConfig(**SIZES, image_size=(32, 32), patch_size=(8, 8)), text_config=hf.Qwen2Config(**WORDS), image_token_id=9)),
}


def run(words, **more):
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=120, **more)
    assert done.returncode == 0, (words, done.stderr)


def compare(name, tokens, want):
    difference = ((tokens - want).abs().max() / want.abs().max()).item()
    assert difference <= BOUND, (name, difference)
    print(f"{name}: {difference:.1e}", flush=True)


def tower_of(model):
    inner = model.model if hasattr(model, "model") else model
    tower = inner.vision_tower
    return tower.vision_model if hasattr(tower, "vision_model") else tower


def tokens_of(tower, images):
    """After the final norm; CLIP's own output is before it."""
    with torch.no_grad():
        tokens = tower(images).last_hidden_state
        return tower.post_layernorm(tokens) if isinstance(tower, hf.CLIPVisionModel) or type(tower).__name__ == "CLIPVisionTransformer" else tokens


def of_the_hub(name, folder, own_bytes, images, want, scratch, *more):
    """The same out of a hub's copy, and what it sent."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub = Hub({"me/model": files})
    out = scratch / "far.safetensors"
    headers = sum(8 + int.from_bytes(data[:8], "little") for file, data in files.items() if file.endswith(".safetensors"))
    texts = sum(len(data) for file, data in files.items() if file.endswith((".json", ".txt", ".model")))
    run(["features", "hf:me/model", *more, "--input", images, "--out", out], env=hub.environment(scratch / "home"))
    compare(name + ", from the hub", load_file(out)["tokens"], want)
    assert hub.sent <= own_bytes + headers + texts + 2 ** 20, (name, hub.sent, own_bytes, headers)
    whole = sum(map(len, files.values()))
    print(f"  {hub.sent} bytes of {whole}: tower {own_bytes}, headers {headers}, configs {texts}", flush=True)
    asked = len(hub.asked)
    run(["features", "hf:me/model", *more, "--input", images, "--out", out], env=hub.environment(scratch / "home"))
    assert len(hub.asked) == asked, "asked again for what is there"


def transformers_case(name, make, scratch):
    model = randomised(make())
    folder = scratch / "model"
    model.save_pretrained(folder, max_shard_size="1MB")
    images = torch.randn(2, 3, 32, 32)
    save_file({"images": images}, scratch / "images.safetensors")
    want = tokens_of(tower_of(model), images)
    run(["features", folder, "--input", scratch / "images.safetensors", "--out", scratch / "f.safetensors"])
    compare(name, load_file(scratch / "f.safetensors")["tokens"], want)
    own_bytes = sum(p.numel() * 4 for p in tower_of(model).parameters())
    of_the_hub(name, folder, own_bytes, scratch / "images.safetensors", want, scratch)


def openvla_case(scratch):
    ids = ["vit_small_patch14_reg4_dinov2.lvd142m", "vit_base_patch16_siglip_224.webli"]
    towers = [randomised(timm.create_model(i.split(".")[0], num_classes=0, img_size=224, depth=2)) for i in ids]
    state = {"language_model.embed.weight": torch.randn(1000, 1000)}
    for tower, prefix in zip(towers, ("featurizer", "fused_featurizer")):
        for key, value in tower.state_dict().items():
            state[f"vision_backbone.{prefix}.{key.replace('.gamma', '.scale_factor')}"] = value.contiguous()
    folder = scratch / "openvla"
    folder.mkdir()
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "openvla", "timm_model_ids": ids, "image_sizes": [224, 224]}))
    images = torch.randn(1, 3, 224, 224)
    save_file({"images": images}, scratch / "images.safetensors")
    for tower, name in zip(towers, ("dino", "siglip")):
        with torch.no_grad():
            want = tower.forward_features(images)
        run(["features", folder, "--tower", name, "--input", scratch / "images.safetensors", "--out", scratch / "f.safetensors"])
        compare(f"openvla, {name}", load_file(scratch / "f.safetensors")["tokens"], want)
        own_bytes = sum(p.numel() * 4 for p in tower.parameters())
        of_the_hub(f"openvla, {name}", folder, own_bytes, scratch / "images.safetensors", want, scratch, "--tower", name)
    done = subprocess.run([program, "features", folder, "--input", scratch / "images.safetensors", "--out", scratch / "f.safetensors"], capture_output=True, text=True)
    assert done.returncode == 4 and "dino and siglip" in done.stderr, done.stderr


for name, make in CASES.items():
    with tempfile.TemporaryDirectory() as scratch:
        transformers_case(name, make, pathlib.Path(scratch))
with tempfile.TemporaryDirectory() as scratch:
    openvla_case(pathlib.Path(scratch))
