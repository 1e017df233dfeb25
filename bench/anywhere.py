#!/usr/bin/env python3
"""The rows of docs/anywhere.md: python3 bench/anywhere.py [forward|stream|train ...]

forward  all 48 blocks of ViT-22B with generated weights, one image in fp32 and 8 in bf16
stream   8 blocks of full width from a checkpoint beside the same in memory, also with the files out of the cache; their tokens beside
         those of generated weights (needs 8 GB of disk)
train    8 blocks of full width, 3 steps with state=file and with state=memory, whose checkpoints are compared, and their plans; then 20
         steps in memory (needs 60 GB of disk)

Peaks are highest resident sets of the process. Nothing else should run on the machine.
"""
import array
import filecmp
import json
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from plan_check import BINARY, IMAGES, run

GIB = 2**30
POLICY = ["update=now", "weights=bf16", "activation=recompute", "precision=bf16", "optim.clip_norm=0"]


def timed(arguments):
    start = time.monotonic()
    out, errors, peak = run([str(word) for word in arguments])
    return out, errors, time.monotonic() - start, peak


def write_images(path, count, size):
    draw = random.Random(0)
    pixels = array.array("f", (draw.uniform(-2, 2) for _ in range(count * 3 * size * size)))
    header = json.dumps({"images": {"dtype": "F32", "shape": [count, 3, size, size], "data_offsets": [0, 4 * len(pixels)]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + pixels.tobytes())


def forward(folder):
    for count, precision in ((1, "fp32"), (8, "bf16")):
        write_images(folder / "images.safetensors", count, 224)
        _, errors, seconds, peak = timed(
            ["features", "22b14", "--weights", "generated", "--seed", 0, "--input", folder / "images.safetensors", "--batch", count]
            + ["--precision", precision, "--out", folder / "f.safetensors"]
        )
        rate = errors.split(" TFLOP/s")[0].rsplit(" ", 1)[1]
        print(f"48 blocks, {count} images in {precision}: {seconds:.1f} s, {rate} TFLOP/s, peak {peak / GIB:.2f} GiB", flush=True)


def stream(folder):
    timed(["model", "init", "22b14", "depth=8", "--dtype", "bf16", "--out", folder / "ckpt"])
    out, _, _, peak = timed(["bench", "stream", folder / "ckpt", "--batch", 8, "--precision", "bf16", "--repeats", 3, "--cold", "--json"])
    print("stream", out, flush=True)
    write_images(folder / "images.safetensors", 8, 224)
    tokens = []
    for words in ([folder / "ckpt", "store=streamed"], [folder / "ckpt"], ["22b14", "depth=8", "--weights", "generated", "--seed", 0]):
        _, errors, seconds, peak = timed(
            ["features", *words, "--input", folder / "images.safetensors", "--batch", 8, "--precision", "bf16", "--only", "tokens,pooled"]
            + ["--out", folder / "f.safetensors"]
        )
        raw = (folder / "f.safetensors").read_bytes()
        tokens.append(raw[8 + int.from_bytes(raw[:8], "little") :])
        print(f"8 blocks {words[1:] or 'resident'}, 8 images in bf16: {seconds:.1f} s, peak {peak / GIB:.2f} GiB; {errors.splitlines()[-2]}", flush=True)
    print(f"tokens and pooled of the three: {'the same bits' if len(set(tokens)) == 1 else 'DIFFERENT'}", flush=True)


def train(folder):
    size = "decode|gray|resize(56)|value_range(-1,1)"
    config = folder / "wide.toml"
    config.write_text(
        'total_steps = 3\nlog_steps = 1\neval_steps = 1000\nkeep_last = 1\n[model]\nname = "22b14"\ndepth = 8\nimg_size = 56\nin_chans = 1\n'
        f'num_classes = 10\nhead_bias_init = -2.0\n[data]\nsource = "idx"\nroot = "{IMAGES}"\nbatch_size = 16\npp_train = "{size}"\n'
        f'pp_eval = "{size}"\nval = ""\n[optim]\nlr = 1e-5\n[schedule]\nname = "constant"\n'
    )
    for state in ("file", "memory"):
        plan = json.loads(timed(["plan", config, "mode=train", *POLICY, f"state={state}", "--json"])[0])
        _, _, seconds, peak = timed(["train", config, *POLICY, f"state={state}", "--out", folder / state, "--quiet"])
        planned = plan["memory_bytes"]["host"]
        rows = [json.loads(line) for line in (folder / state / "metrics.jsonl").read_text().splitlines()]
        step = statistics.median(16 / row["img_per_sec"] for row in rows)
        print(
            f"8 blocks train, state={state}: 3 steps in {seconds:.0f} s, a step {step:.1f} s (planned {plan['step_seconds']:.1f}), "
            f"peak {peak / GIB:.2f} GiB, planned {planned / GIB:.2f} ({planned / peak - 1:+.1%})",
            flush=True,
        )
    for name in ("model.safetensors", "optimizer.safetensors"):
        same = filecmp.cmp(folder / "file/ckpt/latest" / name, folder / "memory/ckpt/latest" / name, shallow=False)
        print(f"{name} of both: {'the same bytes' if same else 'DIFFERENT'}", flush=True)
    shutil.rmtree(folder / "file")
    shutil.rmtree(folder / "memory")
    _, _, seconds, peak = timed(["train", config, *POLICY, "total_steps=20", "--out", folder / "long", "--quiet"])
    losses = [json.loads(line)["training_loss"] for line in (folder / "long/metrics.jsonl").read_text().splitlines()]
    print(f"20 steps in memory: {seconds:.0f} s, peak {peak / GIB:.2f} GiB, losses {' '.join(f'{loss:.3f}' for loss in losses)}", flush=True)


def main():
    print(subprocess.run([BINARY, "env"], capture_output=True, text=True, check=True).stdout, flush=True)
    for name in sys.argv[1:] or ["forward", "stream", "train"]:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            {"forward": forward, "stream": stream, "train": train}[name](pathlib.Path(folder))


if __name__ == "__main__":
    main()
