#!/usr/bin/env python3
"""Holds `vit22b plan` to runs: python3 bench/plan_check.py [PART-OF-A-CASE...], with numpy. Prints a table of planned and measured memory and time.

Each case is planned on this machine, then run: training on Fashion-MNIST enlarged to the model's size, `features` on generated images.
Memory is the highest resident set of the process (of rank 0 where there are several), time the median over the run's later steps.
"""
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import zlib

BINARY = os.environ.get("VIT22B_BINARY", "build/release/vit22b")
IMAGES = "/usr/share/datasets/fashion-mnist"
CASES = {  # name: (model, batch, words of both, ranks)
    "demo7 fp32 adafactor": ("demo7", 128, "mode=train", 1),
    "s16 fp32 adamw": ("s16", 8, "mode=train optim.name=adamw", 1),
    "b16 bf16 adafactor": ("b16", 16, "mode=train precision=bf16", 1),
    "b16 fp32 adamw recompute accumulate=2": ("b16", 8, "mode=train optim.name=adamw activation=recompute accumulate=2", 1),
    "l16 bf16 update=now weights=bf16": ("l16", 8, "mode=train precision=bf16 update=now optim.clip=previous weights=bf16", 1),
    "b16 serial bf16 adamw": ("b16", 8, "mode=train precision=bf16 optim.name=adamw model.block=serial", 1),
    "s16 fp32 2 x 1 sharded": ("s16", 8, "mode=train store=sharded mesh.data=2", 2),
    "s16 fp32 1 x 2": ("s16", 8, "mode=train mesh.model=2", 2),
    "22b14 2 blocks, bf16 in one unit": ("22b14", 2, "mode=train model.depth=2 model.img_size=56 precision=bf16 update=now weights=bf16 optim.clip_norm=0 activation=recompute", 1),
    "s14 segment linear, frozen, 4 taps": ("s16", 16, "mode=train task=segment precision=bf16 model.block=serial model.patch_size=14 segment.head=linear segment.layers=2,5,8,11", 1),
    "s14 segment linear, tuned": ("s16", 16, "mode=train task=segment precision=bf16 model.block=serial model.patch_size=14 segment.head=linear segment.unlock=all", 1),
    "s14 segment bn_linear, last 4 blocks": ("s16", 16, "mode=train task=segment model.block=serial model.patch_size=14 segment.head=bn_linear segment.unlock=4", 1),
    "s14 segment upernet 128, frozen": ("s16", 8, "mode=train task=segment precision=bf16 model.block=serial model.patch_size=14 segment.head=upernet segment.channels=128 segment.aux_channels=64", 1),
    "b16 bf16 features": ("b16", 16, "mode=infer precision=bf16", 1),
    "l16 fp32 features generated": ("l16", 4, "mode=infer store=generated", 1),
    "h14 bf16 features generated": ("h14", 8, "mode=infer precision=bf16 store=generated", 1),
    "s14 depth bn_linear, frozen": ("s16", 16, "mode=train task=depth precision=bf16 model.block=serial model.patch_size=14 depth.head=bn_linear", 1),
    "s14 depth dpt 64, frozen": ("s16", 8, "mode=train task=depth precision=bf16 model.block=serial model.patch_size=14 depth.head=dpt depth.channels=64", 1),
    "s14 depth dpt 64, tuned": ("s16", 8, "mode=train task=depth model.block=serial model.patch_size=14 depth.head=dpt depth.channels=64 depth.output=log depth.unlock=all", 1),
    "22b14 3 blocks bf16 features generated": ("22b14", 4, "mode=infer precision=bf16 store=generated model.depth=3", 1),
}


def run(arguments):
    """Runs the program; returns its stdout, stderr and highest resident set."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen([BINARY, *arguments], stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        out.seek(0), err.seek(0)
        errors = err.read()
        if status != 0:
            sys.exit(f"{' '.join(arguments)} failed:\n{errors}")
        return out.read(), errors, usage.ru_maxrss * 1024


def measured_training(folder, name, batch, words, ranks):
    size = next((w.split("=")[1] for w in words if w.startswith("model.img_size")), "28" if name == "demo7" else "224")
    pp = f"decode|gray|resize({size})|value_range(-1,1)"
    config = folder / "run.toml"
    config.write_text(f'total_steps = 10\nlog_steps = 1\neval_steps = 100\n[model]\nname = "{name}"\nin_chans = 1\nnum_classes = 10\n[data]\n'
                      f'source = "idx"\nroot = "{IMAGES}"\nbatch_size = {batch}\npp_train = "{pp}"\npp_eval = "{pp}"\nval = ""\n')
    out = folder / "run"
    own = [w for w in words if not w.startswith("mode=")]
    _, _, peak = run(["train", str(config), *own, "--out", str(out), "--quiet", *(["--procs", str(ranks)] if ranks > 1 else [])])
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "img_per_sec" in row]
    return (max(row["peak_memory_bytes"] for row in rows) if ranks > 1 else peak,
            statistics.median(batch / row["img_per_sec"] for row in rows[3:]))


def write_png(path, pixels):
    """8 bits, [H, W] grey or [H, W, 3]; or 16 bits of grey, big-endian."""
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8 * pixels.itemsize, 2 if pixels.ndim == 3 else 0, 0, 0, 0)),
             (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts))


def masked_pictures(folder, count=64, side=224, classes=30):
    """Pictures of noise with masks of squares: SRC masks:FOLDER."""
    import numpy
    random = numpy.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name / "train").mkdir(parents=True)
    for i in range(count):
        write_png(folder / "images" / "train" / f"{i}.png", random.integers(0, 256, (side, side, 3), dtype=numpy.uint8))
        write_png(folder / "masks" / "train" / f"{i}.png", random.integers(0, classes, (8, 8), dtype=numpy.uint8).repeat(side // 8, 0).repeat(side // 8, 1))
    (folder / "classes.txt").write_text("".join(f"class {i}\n" for i in range(classes)))


def pictures_with_depths(folder, count=64, side=224):
    """Pictures of noise with depths of 1 to 8 m: SRC depth:FOLDER."""
    import numpy
    random = numpy.random.default_rng(0)
    for name in ("rgb", "depth"):
        (folder / name / "train").mkdir(parents=True)
    for i in range(count):
        write_png(folder / "rgb" / "train" / f"{i}.png", random.integers(0, 256, (side, side, 3), dtype=numpy.uint8))
        write_png(folder / "depth" / "train" / f"{i}.png", random.integers(1000, 8000, (side, side)).astype(">u2"))


def measured_head(folder, name, batch, words):
    task = next(w for w in words if w.startswith("task=")).removeprefix("task=")
    own = [w for w in words if not w.startswith(("mode=", "task="))]
    out = folder / "run"
    _, _, peak = run([task, name, "--data", f"{'masks' if task == 'segment' else task}:{folder / 'data'}", *own, f"data.batch_size={batch}", "total_epochs=0", "total_steps=10", "log_steps=1",
                      "eval_epochs=0", "ckpt_epochs=0", "data.val=", "--out", str(out), "--quiet"])
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return peak, statistics.median(batch / row["img_per_sec"] for row in rows[3:] if "img_per_sec" in row)


def measured_features(folder, name, batch, words):
    model = [w.removeprefix("model.") for w in words if w.startswith("model.")]
    precision = next((w.split("=")[1] for w in words if w.startswith("precision")), "fp32")
    store = "generated" if "store=generated" in words else "resident"
    import numpy
    size = 224
    path = folder / "images.safetensors"

    def features(batches):
        shape = (batches * batch, 3, size, size)
        pixels = numpy.random.default_rng(0).standard_normal(shape, dtype=numpy.float32)
        header = json.dumps({"images": {"dtype": "F32", "shape": shape, "data_offsets": [0, pixels.nbytes]}}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + pixels.tobytes())
        _, errors, peak = run(["features", name, *model, f"store={store}", "--weights", "generated", "--input", str(path), "--batch",
                               str(batch), "--precision", precision, "--out", str(folder / "f.safetensors")])
        return peak, float(errors.split(" images in ")[1].split(" s,")[0])

    # A first batch also pays for fresh pages: the later ones count.
    seconds = []
    for _ in range(3):
        (peak, one), (_, three) = features(1), features(3)
        seconds.append((three - one) / 2)
    if store == "resident":  # without packing the weights, which a first batch does
        out, _, _ = run(["bench", "model", name, "--batch", str(batch), "--precision", precision, "--mode", "infer", "--json"])
        return peak, json.loads(out)["seconds_median"]
    return peak, statistics.median(seconds)


def main():
    wanted = sys.argv[1:]
    print("| run | memory planned | measured | | step planned | measured | |\n|---|---|---|---|---|---|---|")
    for case, (name, batch, text, ranks) in CASES.items():
        if wanted and not any(part in case for part in wanted):
            continue
        words = text.split()
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            is_depth = "task=depth" in words
            is_dense = is_depth or "task=segment" in words
            data = []
            if is_dense:
                (pictures_with_depths if is_depth else masked_pictures)(folder / "data")
                run(["model", "init", name, *[w.removeprefix("model.") for w in words if w.startswith("model.")], "num_classes=0", "--out", str(folder / "ckpt"), "--quiet"])
                name, words = str(folder / "ckpt"), [w for w in words if not w.startswith("model.")]
                data = [f"data.source={'depth' if is_depth else 'masks'}", f"data.root={folder / 'data'}", "data.val="]
            elif "mode=train" in words:
                data = ["model.in_chans=1", "data.source=idx", f"data.root={IMAGES}"]
            planned = json.loads(run(["plan", name, f"batch={batch}", *words, *data, "--json"])[0])
            if is_dense:
                peak, seconds = measured_head(folder, name, batch, words)
            elif "mode=train" in words:
                peak, seconds = measured_training(folder, name, batch, words, ranks)
            else:
                peak, seconds = measured_features(folder, name, batch, words)
        bytes_, step = planned["memory_bytes"]["host"], planned["step_seconds"]
        print(f"| {case}, batch {batch} | {bytes_ / 2**20:.0f} MiB | {peak / 2**20:.0f} MiB | {100 * (bytes_ / peak - 1):+.1f} % "
              f"| {step:.4g} s | {seconds:.4g} s | {100 * (step / seconds - 1):+.1f} % |", flush=True)


if __name__ == "__main__":
    main()
