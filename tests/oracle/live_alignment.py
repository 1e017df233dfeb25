"""Models beside people and beside each other, from files: `eval perceptual` against lpips 0.1.4's 2AFC on timm 1.0.31's blocks,
`compare --images` against plain numpy on timm's features, and other pictures of a model's classes (`eval robustness --set`, `--real`,
`--baselines`) against timm's answers and numpy's line. Usage: live_alignment.py VIT22B
"""
import json
import pathlib
import subprocess
import tempfile

import lpips  # noqa: F401  (lpips.trainer wants it)
import numpy as np
import timm
import torch
from lpips.trainer import score_2afc_dataset
from PIL import Image

from checks import near, program, run, tell

torch.set_num_threads(1)
out = pathlib.Path(tempfile.mkdtemp())
rng = np.random.default_rng(4)
SMALL = ["embed_dim=48", "depth=3", "num_heads=4", "patch_size=4", "num_classes=6", "img_size=16"]


def model(name, seed, *more):
    subprocess.run([program, "model", "init", "ti16", *SMALL, *more, "--randomize-all", "--seed", str(seed), "--out", out / name, "-q"], check=True)
    config = json.loads((out / name / "config.json").read_text())
    config["vit22b"]["pp_eval"] = "decode|rgb|value_range(-1,1)"  # pictures have the model's size
    (out / name / "config.json").write_text(json.dumps(config))
    (out / name / "manifest.json").unlink(missing_ok=True)
    return timm.create_model(f"local-dir:{out / name}", pretrained=True).eval()


def picture(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pixels.astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)


first = model("first", 1, "block=serial", "reg_tokens=2")
second = model("second", 2, "block=serial", "class_token=false", "global_pool=avg")
third = model("third", 3, "embed_dim=32")

# People's choices, from 0 to 1.
batches = []
for name in ("cnn", "deblur"):
    for i in range(23):
        ref = rng.integers(0, 256, (16, 16, 3))
        noisy = [np.clip(ref + rng.normal(0, rng.uniform(2, 60), ref.shape), 0, 255) for _ in range(2)]
        judge = np.round(rng.random() * 5) / 5
        folder = out / "bapps" / name
        x = [picture(folder / part / f"{i:06d}.png", p)[None] for part, p in zip(("ref", "p0", "p1"), (ref, *noisy))]
        (folder / "judge").mkdir(exist_ok=True)
        np.save(folder / "judge" / f"{i:06d}.npy", np.array([judge], np.float32))
        batches.append({"set": name, "ref": x[0], "p0": x[1], "p1": x[2], "judge": torch.tensor([judge])})


def blocks(net, x):
    with torch.no_grad():
        return [t.flatten(2).transpose(1, 2) for t in net.forward_intermediates(x, norm=False, intermediates_only=True)]


def distance(a, b):
    unit = lambda t: t / (t.norm(dim=-1, keepdim=True) + 1e-10)  # noqa: E731
    return sum((unit(x) - unit(y)).square().sum(-1).mean(-1) for x, y in zip(blocks(first, a), blocks(first, b)))


class Loader:
    def __init__(self, rows):
        self.rows = rows

    def load_data(self):
        return self.rows


said = run("eval", "perceptual", out / "first", "--data", out / "bapps", "--batch", 10)
scores = {name: score_2afc_dataset(Loader([b for b in batches if b["set"] == name]), distance)[0] for name in ("cnn", "deblur")}
for name, score in scores.items():
    near("2AFC of a set", said["sets"][name]["score"], score, 1e-7)
near("2AFC", said["score"], np.mean(list(scores.values())), 1e-7)

# Two models on the same pictures.
labels = rng.integers(0, 6, 90)
images = torch.stack([picture(out / "pictures" / str(labels[i]) / f"{i:03d}.png", rng.integers(0, 256, (16, 16, 3))) for i in range(90)])
order = sorted(range(90), key=lambda i: (labels[i], i))
images, labels = images[order], labels[order]


def outputs(net):
    with torch.no_grad():
        tokens = net.forward_features(images)
        return net.forward_head(tokens, pre_logits=True).double().numpy(), tokens[:, net.num_prefix_tokens:].double().numpy(), net(images).numpy()


def cosines(a, b):
    return ((a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)).ravel()


def cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return np.linalg.norm(y.T @ x) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)


def unbiased(x, y):
    """Song et al. 2012, equation 4, on kernels."""
    k, l = x @ x.T, y @ y.T
    n = len(x)
    np.fill_diagonal(k, 0), np.fill_diagonal(l, 0)
    of = lambda k, l: (k * l).sum() + k.sum() * l.sum() / ((n - 1) * (n - 2)) - 2 * k.sum(0) @ l.sum(0) / (n - 2)  # noqa: E731
    return of(k, l) / np.sqrt(of(k, k) * of(l, l))


def layers(net):
    """Of each block the mean of the patches' raw tokens."""
    return [t.mean(1).double().numpy() for t in blocks(net, images)]


of = {name: outputs(net) for name, net in (("first", first), ("second", second), ("third", third))}
for other in ("second", "third"):
    said = run("compare", out / "first", out / other, "--images", out / "pictures", "--batch", 7)
    near("linear CKA", said["cka"], cka(of["first"][0], of[other][0]))
    near("unbiased CKA", said["cka_unbiased"], unbiased(of["first"][0], of[other][0]))
    want = [[unbiased(x, y) for y in layers({"second": second, "third": third}[other])] for x in layers(first)]
    near("CKA by layers", np.abs(np.array(said["cka_layers"]) - want).max(), 0)
    near("top1_agreement", said["top1_agreement"], (of["first"][2].argmax(1) == of[other][2].argmax(1)).mean(), 1e-9)
    if other == "second":
        near("pooled_cosine", said["pooled_cosine"]["mean"], cosines(of["first"][0], of[other][0]).mean())
        patch = np.sort(cosines(of["first"][1], of[other][1]))
        near("patch_cosine", said["patch_cosine"]["mean"], patch.mean())
        near("patch_cosine's end", said["patch_cosine"]["percentile_1"], patch[(len(patch) - 1) // 100], 1e-5)
    else:
        assert said["pooled_cosine"]["mean"] is None

# Other pictures of the classes: 2 and 5 alone; several classes for one; answers by picture; a line through other models.
z = of["first"][2]
pick = np.isin(labels, (2, 5))
for i, (image, label) in enumerate(zip(images, labels)):
    pixels = ((image.permute(1, 2, 0).numpy() + 1) * 127.5).round()
    if label in (2, 5):
        picture(out / "few" / str(label) / f"{i:03d}.png", pixels)
    picture(out / "many" / {0: "low", 1: "low", 2: "none"}.get(label, "high") / f"{i:03d}.png", pixels)
(out / "map.json").write_text(json.dumps({"low": [0, 1], "high": [3, 4], "other": 5}))
(out / "few.json").write_text(json.dumps({"2": 2, "5": 5}))
real = {}
for folder in sorted((out / "pictures").iterdir()):
    for file in folder.iterdir():
        real[file.name] = sorted(rng.choice(6, rng.integers(0, 4), replace=False).tolist())
(out / "real.json").write_text(json.dumps(real))
timm_results = out / "timm"
timm_results.mkdir()
x, y = rng.uniform(5, 60, 12).round(3), rng.uniform(2, 50, 12).round(3)
for name, column in (("results-imagenet.csv", x), ("results-few.csv", y)):
    (timm_results / name).write_text("model,top1,img_size\n" + "".join(f"m{i},{v},224\n" for i, v in enumerate(column)))
said = run("eval", "robustness", out / "first", "--data", out / "pictures", "--set", f"few={out / 'few'}", "--set-map", f"few={out / 'few.json'}",
           "--set", f"many={out / 'many'}", "--set-map", f"many={out / 'map.json'}", "--real", out / "real.json", "--baselines", timm_results)
near("clean", said["clean"]["accuracy"], (z.argmax(1) == labels).mean(), 1e-9)
few = (np.array([2, 5])[z[pick][:, [2, 5]].argmax(1)] == labels[pick]).mean()
near("a set's accuracy", said["sets"]["few"]["accuracy"], few, 1e-9)
near("a set's accuracy, tested", said["sets"]["few"]["tested_accuracy"], few, 1e-9)
columns, kept = [0, 1, 3, 4], labels != 2
answers = np.array(columns)[z[kept][:, columns].argmax(1)]
near("a set of several classes", said["sets"]["many"]["accuracy"], np.mean([a in ((0, 1) if l < 2 else (3, 4)) for a, l in zip(answers, labels[kept])]), 1e-9)
files = [f.name for folder in sorted((out / "pictures").iterdir()) for f in sorted(folder.iterdir())]
judged = [z[i].argmax() in real[name] for i, name in enumerate(files) if real[name]]
near("answers by picture", said["sets"]["real"]["accuracy"], np.mean(judged), 1e-9)
assert said["sets"]["real"]["num_examples"] == len(judged)
logit = lambda p: np.log(p / (1 - p))  # noqa: E731
slope, offset = np.polyfit(logit(x / 100), logit(y / 100), 1)
near("effective robustness", said["effective_robustness"]["few"], few - 1 / (1 + np.exp(-(slope * logit(few) + offset))), 1e-9)

tell()
