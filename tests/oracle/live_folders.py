"""A folder's pictures, their order and labels as torchvision's ImageFolder has them; evaluations by timm's class maps.

live_folders.py VIT22B; timm 1.0.31, torchvision 0.26, pillow 13.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from timm.data.readers.class_map import load_class_map
from torchvision.datasets import ImageFolder

program = str(Path(sys.argv[1]).resolve())
rng = random.Random(0)
NAMES = ["a", "B", "a b", "a-b", "a.b", "ä", "1", "10", "2", "sub", "sub-2", "z'"]
ENDINGS = [".png", ".PNG", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"]


def run(*words):
    return subprocess.run([program, *map(str, words)], check=True, capture_output=True, text=True).stdout


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = bytes(rng.randrange(256) for _ in range(16 * 16 * 3))
    Image.frombytes("RGB", (16, 16), pixels).save(path, {".jpg": "JPEG"}.get(path.suffix))


def tree(root):
    """Six classes, nested to three levels, with links to a file, to a folder, and no loops."""
    for name in rng.sample(NAMES, 6):
        for _ in range(rng.randrange(4, 9)):
            below = [rng.choice(NAMES) for _ in range(rng.randrange(4))]
            picture(root / name / Path(*below) / (rng.choice(NAMES) + str(rng.randrange(99)) + rng.choice(ENDINGS)))
        (root / name / "notes.txt").write_text("no picture")
    elsewhere = root.parent / "elsewhere"
    picture(elsewhere / "far" / "away.png")
    first = root / sorted(os.listdir(root))[0]
    (first / "linked").symlink_to(elsewhere)
    (first / "link.png").symlink_to(elsewhere / "far/away.png")


def model_with_answers(model):
    """A fresh model's classifier is 0: this one's is random."""
    run("model", "init", "test8", "img_size=16", "num_classes=6", "--seed", 1, "--out", model, "-q")
    weights = load_file(model / "model.safetensors")
    weights["head.weight"] = torch.randn(weights["head.weight"].shape, generator=torch.Generator().manual_seed(0))
    save_file(weights, model / "model.safetensors")
    (model / "manifest.json").unlink()
    return model


def features(model, root, only):
    out = root.parent / f"{only}.safetensors"
    run("features", model, "--data", f"folder:{root}", "--only", only, "--out", out, "-q")
    with safe_open(out, "pt") as file:
        return json.loads(file.metadata()["paths"]), file.get_tensor("labels"), file.get_tensor(only)


with tempfile.TemporaryDirectory() as place:
    place = Path(place)
    model = model_with_answers(place / "model")
    for case in range(6):
        root = place / str(case) / "data"
        tree(root)
        paths, labels, logits = features(model, root, "logits")
        theirs = ImageFolder(root)
        assert list(zip(paths, labels.tolist())) == theirs.samples, f"case {case}: {paths} is not {theirs.samples}"
        # The model's classes in another order, by both of timm's forms.
        names = rng.sample(theirs.classes, 6)
        class_map = root.parent / "map.txt"
        class_map.write_text("\n".join(names) + "\n", encoding="utf-8")
        index = load_class_map(str(class_map))
        truth = torch.tensor([index[theirs.classes[label]] for label in labels])
        want = (logits.argmax(1) == truth).double().mean().item()
        got = json.loads(run("eval", model, "--data", f"folder:{root}", "--class-map", class_map, "--json", "-q"))
        assert abs(got["top1"] - want) < 1e-12, (case, got["top1"], want)
print("folders and class maps: as torchvision and timm")
