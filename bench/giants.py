#!/usr/bin/env python3
"""The largest open vision transformers with random weights of their exact shapes: script/giant NAME...

Each is written in bf16 under its family's names, run and deleted, one after the other: 8 images in bf16 with the files out of the
system's cache and weights streamed, beside `plan`'s time; then, where the weights fit twice into what memory is free and a pass takes
less than 100 s, beside the same in memory (`bench stream`, files in the cache, in turn, medians of 3). Disk is asked first. Prints a
Markdown table's rows.
"""
import json
import os
import pathlib
import shutil
import sys
import tempfile

from anywhere import GIB, timed, write_images

BATCH = 8
MOST_SECONDS = 100  # of a pass that is repeated, in turn with the one in memory
TIMM = {"pe_core_g"}
ALL = ["dinov2_g", "siglip2_giant", "clip_bigg", "pe_core_g", "aimv2_3b", "internvit_6b", "dinov3_7b", "eva_clip_8b", "eva_clip_18b"]

def available_bytes():
    fields = dict(line.split(":", 1) for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024

def evict(folder):
    """Takes the files out of the system's cache."""
    for path in folder.rglob("*.safetensors"):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)

def measure(name, folder):
    shown = json.loads(timed(["model", "show", name, "--json"])[0])
    size, side = 2 * shown["total_parameters"], shown["config"]["img_size"]
    side = int(side if not isinstance(side, list) else side[0])
    free = shutil.disk_usage(folder).free
    if free < size * 1.05:
        sys.exit(f"{name}: needs {size / 1e9:.1f} GB of disk in {folder}, {free / 1e9:.1f} GB are free")
    checkpoint = folder / name
    layout = ["--to", "timm"] if name in TIMM else ["--to", "hf", "--shard-size", "5GB"]  # timm reads one file
    *_, written, _ = timed(["model", "init", name, *layout, "--dtype", "bf16", "--out", checkpoint])
    write_images(folder / "images.safetensors", BATCH, side)
    evict(checkpoint)
    plan = json.loads(timed(["plan", name, "mode=infer", f"batch={BATCH}", "precision=bf16", "store=streamed", "--json"])[0])
    _, errors, seconds, peak = timed(
        ["features", checkpoint, "--input", folder / "images.safetensors", "--batch", BATCH, "--precision", "bf16", "--only", "pooled", "store=streamed"]
        + ["--out", folder / "f.safetensors"]
    )
    resident = "–"
    if 2 * size < available_bytes() and seconds < MOST_SECONDS:
        out = json.loads(timed(["bench", "stream", checkpoint, "--batch", BATCH, "--precision", "bf16", "--repeats", 3, "--json"])[0])
        resident = f"{out['streamed_over_resident']:.2f}"
    print(
        f"| {name} | {shown['total_parameters'] / 1e9:.2f} | {side} | {size / 1e9:.1f} | {written:.0f} | {seconds / BATCH:.2f} | "
        f"{plan['step_seconds'] / BATCH:.2f} ({seconds / plan['step_seconds'] - 1:+.0%}) | {peak / GIB:.2f} | {resident} |",
        flush=True,
    )
    for line in errors.splitlines():
        if "units read" in line:
            print(f"{name}: {line}", file=sys.stderr, flush=True)

def main():
    print(timed(["env"])[0], file=sys.stderr, flush=True)
    print("| model | billions | image | GB | written in s | s an image | planned | peak GiB | streamed / resident |\n|---|---|---|---|---|---|---|---|---|")
    for name in sys.argv[1:] or ALL:
        with tempfile.TemporaryDirectory(dir=".", prefix="giant-") as folder:
            measure(name, pathlib.Path(folder))

main()
