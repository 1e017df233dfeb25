"""`convert CKPT OUT.npz --to npz` beside numpy and timm: the arrays of the file, and what timm's own reading of it computes.
numpy 2.4.6, timm 1.0.31, torch 2.11.0.

Usage: live_npz.py VIT22B
"""
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import numpy as np
import timm
import torch
from safetensors.numpy import load_file, save_file

torch.set_num_threads(1)
program = sys.argv[1]
out = pathlib.Path(tempfile.mkdtemp())
SIZES = {"embed_dim": 48, "depth": 3, "num_heads": 4, "patch_size": 4, "num_classes": 6, "img_size": 24}
KINDS = {"token": {}, "map": {"class_token": False, "global_pool": "map"}}


def run(*words):
    done = subprocess.run([program, *map(str, words), "-q"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (words, done.stderr)
    return done


def words(arguments):
    return [f"{key}={str(value).lower()}" for key, value in arguments.items()]


def check(name):
    kind = KINDS[name]
    run("model", "init", "ti16", "block=serial", *words(SIZES | kind), "--randomize-all", "--seed", 5, "--out", out / name)
    file = out / f"{name}.npz"
    run("convert", out / name, file, "--to", "npz")
    assert zipfile.ZipFile(file).testzip() is None  # every CRC
    arrays = np.load(file)
    assert all(array.dtype == np.float32 for array in arrays.values())
    model = timm.create_model("vit_tiny_patch16_224", **SIZES, **kind, fc_norm=False)
    model.load_pretrained(str(file))
    model.eval()
    theirs, ours = model.state_dict(), load_file(out / name / "model.safetensors")
    assert set(theirs) == set(ours), set(theirs) ^ set(ours)
    for key, value in ours.items():
        assert np.array_equal(theirs[key].numpy(), value), key
    images = np.random.default_rng(3).standard_normal((3, 3, 24, 24)).astype(np.float32)
    save_file({"images": images}, out / "images.safetensors")
    run("features", file, "--input", out / "images.safetensors", "--only", "logits", "--out", out / "f.safetensors")
    with torch.no_grad():
        want = model(torch.from_numpy(images)).numpy()
    difference = np.abs(load_file(out / "f.safetensors")["logits"] - want).max() / np.abs(want).max()
    print(f"{name}: {len(ours)} parameters bit by bit; logits differ by {difference:.1e}")
    assert difference <= 1e-5


for kind in KINDS:
    check(kind)
print(f"{len(KINDS)} of {len(KINDS)} as timm has them")
