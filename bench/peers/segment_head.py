"""A step of a segmentation head from cached features: `vit22b segment` beside PyTorch eager, in turn.

    segment_head.py CKPT DATA [--head linear|bn_linear|upernet] [--channels 64] [--rounds 3] [--steps 150] [--threads 2]

CKPT is a checkpoint of 224 pixels and patches of 14, DATA a folder as script/data/segment makes it. vit22b's steps are a run's own, as its
metrics.jsonl has them: reading maps from the cache, decoding masks, the update and the log are in them. PyTorch's have their tensors in
memory: maps in float32, masks; the head, F.interpolate to the masks, F.cross_entropy, backward, fused AdamW. UperNet is transformers' heads
behind mmsegmentation's neck, auxiliary head included. Also the rate of training without the cache, and of evaluation beside the backbone's own.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import torch
import torch.nn.functional as F
from torch import nn

project = pathlib.Path(__file__).resolve().parents[2]
binary = project / "build/release/vit22b"
BATCH, GRID, SIDE = 16, 16, 224


class UperNet(nn.Module):
    """transformers' UperNet heads behind mmsegmentation's MultiLevelNeck."""

    def __init__(self, width, channels, classes):
        super().__init__()
        from transformers import UperNetConfig
        from transformers.models.upernet.modeling_upernet import UperNetFCNHead, UperNetHead

        neck = min(width, 2 * channels)
        config = UperNetConfig(hidden_size=channels, num_labels=classes, auxiliary_in_channels=neck, auxiliary_channels=channels,
                               auxiliary_num_convs=1, auxiliary_concat_input=False)  # fmt: skip
        self.lateral = nn.ModuleList(nn.Conv2d(width, neck, 1) for _ in range(4))
        self.conv = nn.ModuleList(nn.Conv2d(neck, neck, 3, padding=1) for _ in range(4))
        self.head, self.aux = UperNetHead(config, [neck] * 4), UperNetFCNHead(config, in_channels=neck)

    def forward(self, maps):
        levels = []
        for x, lateral, conv, scale in zip(maps, self.lateral, self.conv, (4, 2, 1, 0.5)):
            x = lateral(x)
            levels.append(conv(F.interpolate(x, scale_factor=scale, mode="bilinear") if scale != 1 else x))
        return [(self.head(levels), 1), (self.aux(levels), 0.4)]


class Linear(nn.Module):
    def __init__(self, width, classes, has_norm):
        super().__init__()
        self.norm = nn.BatchNorm2d(width) if has_norm else nn.Identity()
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, maps):
        return [(self.head(self.norm(torch.cat(maps, 1) if len(maps) > 1 else maps[0])), 1)]


def torch_step(head, channels, width, classes):
    count = 4 if head == "upernet" else 1
    model = UperNet(width, channels, classes) if head == "upernet" else Linear(width, classes, head == "bn_linear")
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-3, fused=True)
    maps = [torch.randn(BATCH, GRID, GRID, width).permute(0, 3, 1, 2) for _ in range(count)]  # channels last
    masks = torch.randint(0, classes, (BATCH, SIDE, SIDE))

    def step():
        loss = 0
        for scores, weight in model(maps):
            loss = loss + weight * F.cross_entropy(F.interpolate(scores, size=(SIDE, SIDE), mode="bilinear"), masks)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def torch_rate(step, steps):
    for _ in range(3):
        step()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return BATCH / statistics.median(seconds)


def own_rate(arguments, folder, steps, *options):
    out = pathlib.Path(folder) / f"run{len(list(pathlib.Path(folder).iterdir()))}"
    every = max(1, steps // 5)
    command = [binary, "segment", arguments.checkpoint, "--data", f"masks:{arguments.data}", "--out", out, "--quiet", "--threads", str(arguments.threads),
               "data.val=", f"segment.head={arguments.head}", f"segment.channels={arguments.channels}", f"segment.aux_channels={arguments.channels}",
               f"total_steps={steps}", f"log_steps={every}", f"ckpt_steps={steps}", *options]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows = [json.loads(row) for row in (out / "metrics.jsonl").read_text().splitlines()]
    return statistics.median(row["img_per_sec"] for row in rows[1:] if "img_per_sec" in row), out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("checkpoint")
    p.add_argument("data", type=pathlib.Path)
    p.add_argument("--head", default="bn_linear")
    p.add_argument("--channels", type=int, default=64)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--steps", type=int, default=150)
    p.add_argument("--threads", type=int, default=2)
    arguments = p.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    classes = len((arguments.data / "classes.txt").read_text().split("\n")) - 1
    show = subprocess.run([binary, "model", "inspect", arguments.checkpoint, "--json"], check=True, capture_output=True, text=True).stdout
    width = json.loads(show)["config"]["embed_dim"]
    step = torch_step(arguments.head, arguments.channels, width, classes)
    own, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            own.append(own_rate(arguments, folder, arguments.steps, "segment.features=cached")[0])
            theirs.append(torch_rate(step, max(5, arguments.steps // 5)))
        ratios = [a / b for a, b in zip(own, theirs)]
        print(f"{arguments.head}: vit22b {statistics.median(own):.0f} img/s from the cache, PyTorch {torch.__version__} eager {statistics.median(theirs):.0f} img/s "
              f"from memory: {statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f}, {arguments.rounds} rounds)")  # fmt: skip
        live, _ = own_rate(arguments, folder, 10, "segment.features=live")
        print(f"{arguments.head}: {live:.1f} img/s without the cache, in fp32: the cache is {statistics.median(own) / live:.1f} times as fast")


main()
