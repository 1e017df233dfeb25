"""`convert` beside timm: what timm's own reading of the files computes, of `--to npz` (with numpy's view of the arrays) and `--to timm`.
numpy 2.4.6, timm 1.0.31, torch 2.11.0.

Usage: live_convert.py VIT22B
"""
import json
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
    near(f"npz, {name}: {len(ours)} parameters bit by bit", model, file, "logits")


def near(case, model, checkpoint, output):
    """What timm's model and the program's reading of a checkpoint give for the same pixels."""
    images = np.random.default_rng(3).standard_normal((3, *model.pretrained_cfg.get("input_size", (3, 24, 24)))).astype(np.float32)
    if "npz" in case:
        images = images[:, :, :24, :24].copy()
    save_file({"images": images}, out / "images.safetensors")
    run("features", checkpoint, "--input", out / "images.safetensors", "--out", out / "f.safetensors")
    with torch.no_grad():
        want = model(torch.from_numpy(images)).numpy()
    got = load_file(out / "f.safetensors")[output]
    if output == "image_embedding":
        got, want = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (got, want))
    difference = np.abs(got - want).max() / np.abs(want).max()
    print(f"{case}; {output} differ by {difference:.1e}")
    assert difference <= 1e-5


def check_timm(case, checkpoint, output, place=None):
    """A checkpoint as it was, and what timm reads of it once it is converted: twice, so that what is left to chance shows."""
    place = place or out / ("timm-" + case)
    run("convert", checkpoint, place, "--to", "timm")
    models = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        models.append(timm.create_model(f"local-dir:{place}", pretrained=True).eval())
    first, second = (model.state_dict() for model in models)
    assert all(torch.equal(first[key], second[key]) for key in first), [key for key in first if not torch.equal(first[key], second[key])]
    near(f"timm, {case}", models[0], checkpoint, output)
    return json.loads((place / "config.json").read_text())


def init(name, *more):
    run("model", "init", "ti16", *words(SIZES), *more, "--randomize-all", "--seed", 7, "--out", out / name)
    return out / name


def saved_by_timm(name, architecture, **arguments):
    """A folder as timm saves one, random in every parameter."""
    torch.manual_seed(3)
    model = timm.create_model(architecture, **arguments)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    timm.models.save_for_hf(model, out / name, model_args=arguments, safe_serialization=True)
    return out / name


for kind in KINDS:
    check(kind)
AUTHORS = pathlib.Path(__file__).parent / "authors"
check_timm("parallel", init("parallel"), "logits")
check_timm("a projection beside texts", AUTHORS / "openai_jit/ViT-B-16.pt", "image_embedding")
sapiens = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_kv_heads": [4, 2], "num_classes": 3}
check_timm("shared keys and values", saved_by_timm("sapiens", "vit_base_patch16_sapiens2", **sapiens), "logits")
clip = {"img_size": 24, "patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": 5}
check_timm("a norm before the blocks", saved_by_timm("clip", "vit_base_patch16_clip_quickgelu_224", **clip), "logits")
named = init("named")
config = json.loads((named / "config.json").read_text())
config["label_names"] = list("abcdef")
(named / "config.json").write_text(json.dumps(config))
(named / "manifest.json").unlink()
assert check_timm("names", named, "logits")["label_names"] == list("abcdef")
print("all as timm has them")
