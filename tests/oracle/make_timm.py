"""Checkpoint folders written by timm, every parameter randomised, with timm's own outputs.

Run: .deps/oracle/bin/python tests/oracle/make_timm.py   (script/oracle-env makes the environment)
Made with torch 2.11.0, timm 1.0.31. Writes tests/oracle/timm_*/{config.json,model.safetensors,expected.safetensors}.
"""
import json
import pathlib

import timm
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
SMALL = dict(embed_dim=24, depth=2, num_heads=2, mlp_ratio=3.0, num_classes=7, patch_size=4)
PAPER = dict(qkv_bias=False, qk_norm=True, class_token=False, global_pool="map", norm_layer="rmsnorm",
             act_layer="gelu_tanh", pre_norm=False)
CASES = {
    "timm_parallel": ("vit_base_patch16_xp_224", dict(SMALL, **PAPER, img_size=(8, 12), in_chans=3)),
    "timm_parallel_bias": ("vit_base_patch16_xp_224",
                           dict(SMALL, **dict(PAPER, qkv_bias=True, qk_norm=False, norm_layer="layernorm", act_layer="gelu",
                                              global_pool="avg"), img_size=(8, 8), in_chans=1, init_values=0.1, reg_tokens=1)),
    "timm_serial": ("vit_base_patch16_224", dict(SMALL, img_size=(8, 8), in_chans=1, init_values=0.1, reg_tokens=2)),
    "timm_serial_map": ("vit_base_patch16_224",
                        dict(SMALL, img_size=(12, 8), in_chans=3, class_token=False, global_pool="map", qk_norm=True)),
}


def main():
    for name, (architecture, args) in CASES.items():
        generator = torch.Generator().manual_seed(len(name))
        model = timm.create_model(architecture, **args).eval()
        with torch.no_grad():
            for key, p in model.named_parameters():
                p.copy_(torch.randn(p.shape, generator=generator) * (0.2 if p.dim() < 2 else p.shape[-1] ** -0.5))
                if "norm" in key and key.endswith("weight") and p.dim() == 1:
                    p.add_(1)
            height, width = args["img_size"]
            images = torch.randn(3, args["in_chans"], height, width, generator=generator)
            tokens = model.forward_features(images)
            expected = {"images": images, "tokens": tokens, "pooled": model.forward_head(tokens, pre_logits=True),
                        "logits": model(images)}
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors")
        save_file({k: v.contiguous() for k, v in expected.items()}, folder / "expected.safetensors")
        config = {"architecture": architecture, "num_classes": args["num_classes"], "num_features": args["embed_dim"],
                  "global_pool": model.global_pool, "model_args": args,
                  "pretrained_cfg": {"input_size": [args["in_chans"], height, width], "interpolation": "bicubic",
                                     "crop_pct": 0.9, "crop_mode": "center", "mean": [0.5] * args["in_chans"],
                                     "std": [0.5] * args["in_chans"], "num_classes": args["num_classes"],
                                     "first_conv": "patch_embed.proj", "classifier": "head"}}
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        print(name, sum(p.numel() for p in model.parameters()), "parameters")


if __name__ == "__main__":
    main()
