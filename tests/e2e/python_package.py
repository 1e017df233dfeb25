"""The Python package against the program's own file of the same images: python_package.py FOLDER PROGRAM (library.sh makes it)"""
import importlib.util
import json
import pathlib
import shutil
import struct
import subprocess
import sys

import numpy as np

folder = pathlib.Path(sys.argv[1])
files = sorted(folder.glob("p*.png"))


def said(name):
    raw = (folder / "said.safetensors").read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    entry = json.loads(raw[8 : 8 + size])[name]
    first, last = entry["data_offsets"]
    return np.frombuffer(raw[8 + size + first : 8 + size + last], np.float32).reshape(entry["shape"])


import vit22b  # noqa: E402

model = vit22b.Model(folder / "m")
assert model.image_shape == (3, 16, 16) and model.label_names == [], model.image_shape
images = np.concatenate([model.preprocess(file) for file in files])
assert np.array_equal(images, model.preprocess(files))
# One image at a time, as the program did: the same bits.
for name, run in (("pooled", model.features), ("logits", model.logits)):
    assert np.array_equal(np.concatenate([run(images[i : i + 1]) for i in range(8)]), said(name)), name
assert model.tokens(images).shape == (8, 4, 32)
none = np.zeros((0, 3, 16, 16))
assert model.features(none).shape == (0, 32) and model.tokens(none).shape == (0, 4, 32)
assert model.logits(none).shape == (0,) + model.logits(images).shape[1:]
assert np.array_equal(model.embed(files, batch=1), said("pooled")) and model.embed([]).shape == (0, 32)
assert np.allclose(model.embed(files, batch=3), said("pooled"), rtol=1e-4, atol=1e-5) and model.embed(files[0]).shape == (1, 32)
with vit22b.Model(folder / "m") as other:
    assert np.array_equal(other.features(images), model.features(images))
other.close()
try:
    other.features(images)
    raise AssertionError("a closed model computes nothing")
except vit22b.Error as error:
    assert str(error) == "this Model is closed", error
classifier = vit22b.train_classifier(model.features(images[[0, 1, 2, 4, 5, 6]]), [0, 0, 0, 1, 1, 1])
assert classifier.predict(model.features(images[[3, 7]])).tolist() == [0, 1]

# Pixels are what the file that holds them is, and predict says what the program says.
def pixels_of(file):
    import zlib

    raw = file.read_bytes()
    at, data, size = 8, b"", (0, 0)
    while at < len(raw):
        length, kind = struct.unpack(">I4s", raw[at : at + 8])
        body = raw[at + 8 : at + 8 + length]
        size = struct.unpack(">II", body[:8]) if kind == b"IHDR" else size
        data += body if kind == b"IDAT" else b""
        at += length + 12
    width, height = size
    return np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, 1 + 3 * width)[:, 1:].reshape(height, width, 3)


pixels = [pixels_of(file) for file in files]
assert np.array_equal(model.preprocess(pixels), images) and np.array_equal(model.preprocess(pixels[0]), images[:1])
lines = subprocess.run([sys.argv[2], "predict", folder / "m", *files, "--top", "2", "--json", "-q"], check=True, capture_output=True).stdout
predicted = model.predict(files, top=2)
assert [len(json.loads(line)["predictions"]) for line in lines.splitlines()] == [len(ours) for ours in predicted]
for line, ours in zip(lines.splitlines(), predicted):
    for theirs, own in zip(json.loads(line)["predictions"], ours):
        assert theirs["index"] == own["index"] and theirs["label"] == own["label"], (theirs, own)
        assert abs(theirs["probability"] - own["probability"]) < 1e-6, (theirs, own)
try:
    model.preprocess(np.zeros((4, 4, 3)))
    raise AssertionError("float pixels are no picture")
except vit22b.Error as error:
    assert "want uint8 [height, width, 3]" in str(error), error

# A step of the package is a step of `vit22b train`: its whole set is one batch of one image, so that there is no order.
overrides = {
    "model.name": "test8", "model.img_size": 16, "model.num_classes": 2, "data.batch_size": 2, "total_steps": 3, "warmup_steps": 1,
    "optim.lr": 0.01, "init_from": folder / "m", "init_skip": '["head.*"]', "data.pp_eval": model.transforms, "threads": 1,
}  # fmt: skip
trainer = vit22b.Trainer("", overrides)
batch = trainer.preprocess([files[0], files[0]])
losses = [trainer.step(batch, [0, 0]) for _ in range(3)]
assert trainer.steps == 3 and losses[2] < losses[0], losses
(folder / "one/train/red").mkdir(parents=True)
shutil.copy(files[0], folder / "one/train/red/0.png")
subprocess.run(
    [sys.argv[2], "train", folder / "one.toml", "--out", folder / "one-run", "--quiet"]
    + [f"{key}={value}" for key, value in overrides.items() if key != "data.pp_eval"]
    + [f"data.root={folder / 'one'}", "data.val=", f"data.pp_train={model.transforms}", f"data.pp_eval={model.transforms}", "log_steps=1"],
    check=True,
)  # fmt: skip
rows = [json.loads(row) for row in (folder / "one-run/metrics.jsonl").read_text().splitlines()]
assert [row["training_loss"] for row in rows] == losses, (rows, losses)
trainer.save(folder / "trained")
weights = "model.safetensors"
assert (folder / "trained" / weights).read_bytes() == (folder / "one-run/ckpt/latest" / weights).read_bytes()
assert np.array_equal(vit22b.Model(folder / "trained").logits(batch), trainer.logits(batch))

# The classes of pixels, as `segment run` gives them.
for split in ("train", "val"):
    for i in range(4):
        pixels = np.full((20, 16, 3), 30, np.uint8)
        pixels[:, : 4 + i, 0] = 220
        for kind, values in (("images", pixels), ("masks", (pixels[:, :, 0] > 100).astype(np.uint8))):
            place = folder / "masked" / kind / split / f"{i}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(vit22b._png(values))
subprocess.run(
    [sys.argv[2], "segment", folder / "m", "--data", f"masks:{folder / 'masked'}", "total_steps=2", "data.batch_size=4", "data.val=val"]
    + ["warmup_percent=0", "--out", folder / "head", "--quiet"],
    check=True,
    stdout=subprocess.DEVNULL,
)  # fmt: skip
with vit22b.Segmenter(folder / "head") as segmenter:
    assert segmenter.label_names == ["0", "1"], segmenter.label_names
    picture = folder / "masked/images/val/2.png"
    classes = segmenter.segment(picture)
    assert classes.dtype == np.int32 and classes.shape == (20, 16) and set(np.unique(classes)) <= {0, 1}, classes
    subprocess.run([sys.argv[2], "segment", "run", folder / "head", picture, "--out", folder / "said", "--quiet"], check=True)
    assert np.array_equal(segmenter.segment([picture, pixels])[0], classes)
    said = folder / "said/2.png"
    shares = json.loads((folder / "said/predictions.jsonl").read_text())["classes"]
    assert said.exists() and abs(sum(s["share"] for s in shares if s["index"] == 1) - classes.mean()) < 1e-9, shares

# How far pixels are, as `depth run` gives it.
for kind, values in (("rgb", pixels), ("depth", np.where(pixels[:, :, 0] > 100, 2.0, 8.0).astype(np.float32))):
    place = folder / "depths" / kind / ("0.png" if kind == "rgb" else "0.npy")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(vit22b._png(values)) if kind == "rgb" else np.save(place, values)
subprocess.run(
    [sys.argv[2], "depth", folder / "m", "--data", f"depth:{folder / 'depths'}", "total_epochs=2", "data.batch_size=1", "data.val="]
    + ["--out", folder / "far", "--quiet"],
    check=True,
    stdout=subprocess.DEVNULL,
)  # fmt: skip
with vit22b.DepthEstimator(folder / "far") as estimator:
    assert estimator.unit == "m", estimator.unit
    depths = estimator.depth(picture)
    assert depths.dtype == np.float32 and depths.shape == (20, 16) and depths.min() >= 0.001 and depths.max() <= 10, depths
    subprocess.run([sys.argv[2], "depth", "run", folder / "far", picture, "--out", folder / "said_far", "--quiet"], check=True)
    assert np.array_equal(np.load(folder / "said_far/2.npy"), depths)
    assert np.array_equal(estimator.depth([picture, picture])[1], depths)

# The library says nothing on its own.
code = "import vit22b, sys; vit22b.Trainer(sys.argv[1], {'total_steps': 1})"
quiet = subprocess.run([sys.executable, "-c", code, str(folder / "m")], check=True, capture_output=True)
assert quiet.stdout == quiet.stderr == b"", quiet

# A checkpoint by itself says what model it is.
tuned = vit22b.Trainer(folder / "m", {"total_steps": 1})
assert tuned.steps == 0 and np.array_equal(tuned.logits(images[:1]), model.logits(images[:1]))

for call, text in (
    (lambda: vit22b.Model(folder / "nowhere"), "does not exist"),
    (lambda: vit22b.Segmenter(folder / "m"), "has no head that names the class of every pixel"),
    (lambda: vit22b.DepthEstimator(folder / "m"), "has no head that says how far every pixel is"),
    (lambda: model.features(images[0]), "want 4"),
    (lambda: model.preprocess("nowhere.png"), "nowhere.png"),
    (lambda: vit22b.train_classifier([[1.0]], [0]), "has 1 classes"),
    (lambda: trainer.step(batch, [0, 2]), "has 2 classes"),
    (lambda: trainer.step(batch, [0]), "want [B, C, H, W] and [B]"),
    (lambda: trainer.step(batch, [0.0, 0.9]), "not all whole numbers"),
    (lambda: trainer.step(batch, [0.0, np.nan]), "not all whole numbers"),
    (lambda: trainer.step(batch.astype(np.uint8), [0, 1]), "images are uint8, want floating numbers"),
    (lambda: model.logits(batch.astype(np.uint8)), "preprocess(files)"),
    (lambda: model.features(np.full_like(images, np.nan)), "image 0: the model's 'features' is not finite"),
    (lambda: vit22b.train_classifier([[1.0], [2.0]], [0.9, 1.7]), "not all whole numbers"),
    (lambda: vit22b.train_classifier([[1.0], [np.nan]], [0, 1]), "features have values that are not finite"),
    (lambda: vit22b.train_classifier([[1.0], [2.0]], [0, 1], c=np.inf), "c is inf, want more than 0"),
    (lambda: vit22b.Model(folder / "m", threads=-1), "--threads -1"),
    (lambda: vit22b.Trainer("", {"total_steps": 1, "optim.beta2": 1}), "optim.beta2 is 1, want 0 to below 1"),
    (lambda: trainer.save(folder / "m"), "is there already"),
    (lambda: vit22b.Trainer("", {"total_steps": 1, "optim.lrr": 1}), "'optim.lr'"),
    (lambda: vit22b.Trainer("nowhere.toml"), "nowhere.toml"),
):
    try:
        call()
        sys.exit("not refused: " + text)
    except vit22b.Error as error:
        assert text in str(error), error

if importlib.util.find_spec("torch"):
    import torch

    tensor = torch.from_dlpack(model.features(torch.from_numpy(images)))
    assert torch.equal(tensor, torch.from_numpy(model.features(images)))
    linear = torch.nn.Linear(32, 2)(tensor)
    linear.sum().backward()  # PyTorch still works
    # And in the other order, in a process of its own.
    code = "import torch, vit22b, sys; m = vit22b.Model(sys.argv[1]); print(torch.from_dlpack(m.features(torch.zeros(1, 3, 16, 16))).shape)"
    subprocess.run([sys.executable, "-c", code, str(folder / "m")], check=True, stdout=subprocess.DEVNULL)
    print("the Python package beside torch", torch.__version__, "gives the program's bits")
    if importlib.util.find_spec("timm"):
        import timm

        theirs = timm.create_model(f"local-dir:{folder / 'm'}", pretrained=True).eval()
        with torch.no_grad():
            tokens = theirs.forward_features(torch.from_numpy(images))
            for name, want, got in (
                ("tokens", tokens, model.tokens(images)),
                ("features", theirs.forward_head(tokens, pre_logits=True), model.features(images)),
                ("logits", theirs(torch.from_numpy(images)), model.logits(images)),
            ):
                difference = ((torch.from_numpy(got) - want).abs().max() / want.abs().max()).item()
                print(f"{name}: {difference:.1e} of the largest from timm {timm.__version__} on the same folder")
                assert difference <= 1e-5, name
        # A folder that timm wrote trains too: its architecture is no preset of ours.
        plain = json.loads((folder / "m/config.json").read_text())
        del plain["vit22b"]
        shutil.rmtree(folder / "timm", ignore_errors=True)
        shutil.copytree(folder / "m", folder / "timm")
        (folder / "timm/manifest.json").unlink()
        (folder / "timm/config.json").write_text(json.dumps(plain))
        theirs = vit22b.Trainer(folder / "timm", {"total_steps": 1})
        assert np.array_equal(theirs.logits(images[:1]), model.logits(images[:1]))
        theirs.step(images[:2], [0, 1])
else:
    print("the Python package gives the program's bits")
