"""Images per second of timm's training step on the demo's model: plain PyTorch, eager, fp32.

Prints one JSON line. Versions: torch 2.11.0, timm 1.0.31.
"""
import argparse
import json
import time

import timm
import torch
from timm.optim.adafactor_bv import AdafactorBigVision


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--optimizer", default="adafactor", choices=["adafactor", "adamw"])
    a = p.parse_args()
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_base_patch16_xp_224", img_size=28, patch_size=7, in_chans=1, embed_dim=96, depth=4, num_heads=3,
        mlp_ratio=4, qkv_bias=False, qk_norm=True, class_token=False, global_pool="map", norm_layer="rmsnorm",
        act_layer="gelu_tanh", pre_norm=False, num_classes=10)
    if a.optimizer == "adafactor":
        optimizer = AdafactorBigVision(model.parameters(), lr=1e-3, min_dim_size_to_factor=32, weight_decay=0.03)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    x = torch.randn(a.batch, 1, 28, 28)
    y = torch.randint(0, 10, (a.batch,))

    def step():
        loss = torch.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    for _ in range(3):
        step()
    start = time.perf_counter()
    for _ in range(a.steps):
        step()
    seconds = time.perf_counter() - start
    print(json.dumps({"images_per_second": a.batch * a.steps / seconds, "torch": torch.__version__, "timm": timm.__version__,
                      "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
