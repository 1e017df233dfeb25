"""A step of a depth head on a frozen DINOv2-S: `vit22b depth` beside PyTorch eager, in turn.

    depth_head.py CKPT DATA [--head dpt|linear] [--channels 256] [--rounds 3] [--steps 12] [--batch 8] [--threads 2]

CKPT is timm's DINOv2-S (a folder), DATA a folder as script/data/depth makes it (224 x 168). vit22b's steps are a run's own, as its metrics.jsonl has
them: decoding, views, the frozen model, the head, the update and the log are in them. PyTorch's have pictures and depths in memory: timm's model
without gradients, transformers' DPTNeck and DPTDepthEstimationHead (or a convolution of one place), siglog on depths at the pixels, backward, fused AdamW; in
channels last and not, of which the faster counts.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import timm
import torch
import torch.nn.functional as F
from torch import nn

project = pathlib.Path(__file__).resolve().parents[2]
binary = project / "build/release/vit22b"
HEIGHT, WIDTH, PATCH = 168, 224, 14
BLOCKS = [2, 5, 8, 11]


class Dpt(nn.Module):
    def __init__(self, width, channels):
        super().__init__()
        from transformers import DPTConfig
        from transformers.models.dpt.modeling_dpt import DPTDepthEstimationHead, DPTNeck

        config = DPTConfig(neck_hidden_sizes=[width // 8, width // 4, width // 2, width], fusion_hidden_size=channels, readout_type="ignore", hidden_size=width)
        self.neck, self.head = DPTNeck(config), DPTDepthEstimationHead(config)

    def forward(self, tokens):
        return self.head(self.neck(tokens, HEIGHT // PATCH, WIDTH // PATCH))


class Linear(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, tokens):
        x = tokens[-1][:, 1:].transpose(1, 2).unflatten(2, (HEIGHT // PATCH, WIDTH // PATCH))
        return F.interpolate(self.head(x), scale_factor=4, mode="bilinear").squeeze(1).relu()


def siglog(predicted, truth):
    g = (predicted + 0.001).log() - (truth + 0.001).log()
    return (g.var((1, 2)) + 0.15 * g.mean((1, 2)) ** 2).sqrt().mean()


def torch_step(arguments, is_channels_last):
    backbone = timm.create_model(f"local-dir:{arguments.checkpoint}", pretrained=True, img_size=(HEIGHT, WIDTH), num_classes=0).eval()
    width = backbone.embed_dim
    model = Dpt(width, arguments.channels) if arguments.head == "dpt" else Linear(width)
    if is_channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-3, fused=True)
    images, truth = torch.randn(arguments.batch, 3, HEIGHT, WIDTH), torch.rand(arguments.batch, HEIGHT, WIDTH) * 5 + 1

    def step():
        with torch.no_grad():
            maps = backbone.forward_intermediates(images, indices=BLOCKS, norm=True, output_fmt="NLC", intermediates_only=True)
        tokens = [torch.cat([m[:, :1], m], 1) for m in maps]
        depth = model(tokens)
        depth = F.interpolate(depth[:, None], (HEIGHT, WIDTH), mode="bilinear").squeeze(1)
        siglog(depth, truth).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def torch_rate(step, arguments):
    step()
    seconds = []
    for _ in range(max(3, arguments.steps // 2)):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return arguments.batch / statistics.median(seconds)


def own_rate(arguments, folder):
    out = pathlib.Path(folder) / f"run{len(list(pathlib.Path(folder).iterdir()))}"
    command = [binary, "depth", arguments.checkpoint, "--data", f"depth:{arguments.data}", "--out", out, "--quiet", "--threads", str(arguments.threads), "data.val=",
               f"depth.head={arguments.head}", f"depth.channels={arguments.channels}", "depth.output=log", "depth.gradient_weight=0", f"data.batch_size={arguments.batch}",
               f"model.img_size={HEIGHT}x{WIDTH}", f"total_steps={arguments.steps}", "log_steps=1", "eval_epochs=0", "ckpt_epochs=0"]  # fmt: skip
    if arguments.head == "dpt":
        command.append("depth.layers=" + ",".join(map(str, BLOCKS)))
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    rows = [json.loads(row) for row in (out / "metrics.jsonl").read_text().splitlines()]
    return statistics.median(row["img_per_sec"] for row in rows[2:] if "img_per_sec" in row)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("checkpoint", type=pathlib.Path)
    p.add_argument("data", type=pathlib.Path)
    p.add_argument("--head", default="dpt", choices=["dpt", "linear"])
    p.add_argument("--channels", type=int, default=256)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--steps", type=int, default=12)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--threads", type=int, default=2)
    arguments = p.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    steps = [torch_step(arguments, is_last) for is_last in (False, True)]
    own, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            own.append(own_rate(arguments, folder))
            theirs.append(max(torch_rate(step, arguments) for step in steps))
    ratios = [a / b for a, b in zip(own, theirs)]
    print(f"{arguments.head}, batch {arguments.batch}: vit22b {statistics.median(own):.2f} img/s, PyTorch {torch.__version__} eager {statistics.median(theirs):.2f} img/s: "
          f"{statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f}, {arguments.rounds} rounds)")  # fmt: skip


main()
