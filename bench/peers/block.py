"""The parallel block of a preset in PyTorch, forward, backward and optimizer, beside `vit22b bench block`; runs in turn.

    block.py MODEL [--device cuda] [--batch N] [--rounds N] [--peers eager,autocast,compile,compile-autocast]

eager and compile keep weights in bf16 with PyTorch's fused AdamW in bf16; autocast keeps them in float32. The block is
timm's ParallelScalingBlock with RMSNorm, QK norm and tanh GELU, of the preset's sizes. vit22b updates by Adafactor,
bf16 weights with stochastic rounding. Rows of a table; rates are of the block's products and attention.
"""
import argparse
import json
import os
import statistics
import subprocess
import time
from functools import partial

import timm
import torch
from timm.layers import RmsNorm
from timm.models.vision_transformer import ParallelScalingBlock

project = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
binary = os.path.join(project, "build", "release", "vit22b")


def make_step(peer, config, tokens, batch, device):
    width = config["embed_dim"]
    block = ParallelScalingBlock(width, config["num_heads"], mlp_ratio=config["mlp_ratio"], qkv_bias=False, qk_norm=True,
                                 act_layer=partial(torch.nn.GELU, approximate="tanh"), norm_layer=RmsNorm).to(device)
    has_masters = "autocast" in peer
    if not has_masters:
        block = block.to(torch.bfloat16)
    x = torch.randn(batch, tokens, width, device=device, dtype=torch.float32 if has_masters else torch.bfloat16,
                    requires_grad=True)
    optimizer = torch.optim.AdamW(block.parameters(), lr=0.0, fused=True)
    run = torch.compile(block, mode="max-autotune-no-cudagraphs") if "compile" in peer else block
    seed = torch.randn_like(x)

    def step():
        with torch.autocast(device, torch.bfloat16, enabled=has_masters):
            y = run(x)
        y.backward(seed.to(y.dtype))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        x.grad = None
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def seconds_of(step):
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("--device", default="cuda")
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--peers", default="eager,autocast,compile,compile-autocast")
    a = p.parse_args()
    show = json.loads(subprocess.run([binary, "model", "show", a.model, "--json"], check=True, capture_output=True, text=True).stdout)
    config = show["config"]
    side = config["img_size"][0] if isinstance(config["img_size"], list) else config["img_size"]
    tokens = (side // config["patch_size"]) ** 2
    peers = {name: make_step(name, config, tokens, a.batch, a.device) for name in a.peers.split(",")}
    for step in peers.values():
        for _ in range(3):
            step()
    times, ours, work = {name: [] for name in peers}, [], "block forward, backward and update"
    for _ in range(a.rounds):
        rows = json.loads(subprocess.run(
            [binary, "bench", "block", a.model, "--device", a.device, "--batch", str(a.batch), "--precision", "bf16", "--bf16-weights",
             "--repeats", "5", "--json"], check=True, capture_output=True, text=True).stdout)
        row = next(r for r in rows if r["work"] == work)
        ours.append((row["seconds_median"], row["gflops"]))
        for name, step in peers.items():
            times[name] += [seconds_of(step) for _ in range(5)]
    mine = statistics.median(s for s, _ in ours)
    rate = statistics.median(g for _, g in ours) / 1e3
    label = f"{a.model} block, batch {a.batch}: forward, backward, update"
    print(f"| {label} | vit22b fused | {mine * 1e3:.2f} ms | {rate:.1f} TFLOP/s | 1 |")
    for name, all_times in times.items():
        theirs = statistics.median(all_times)
        print(f"| {label} | {name} (torch {torch.__version__}, timm {timm.__version__}) | {theirs * 1e3:.2f} ms | "
              f"{rate * mine / theirs:.1f} TFLOP/s | {theirs / mine:.2f} |")


if __name__ == "__main__":
    main()
