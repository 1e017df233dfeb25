"""Low-rank adapters beside a timm model, as PEFT has them: PEFT reads the adapters that we wrote, ours are trained as PEFT trains them,
and timm reads the sum of both. torch 2.11.0, timm 1.0.31, peft 0.21.2.

Usage: live_peft.py VIT22B_BINARY     Prints a line a case; the last one says how many were right.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import peft
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

BOUND = 1e-5  # of the largest value
SIDE, CLASSES, STEPS, RATE = 32, 3, 4, 0.05
MODEL = ["ti16", "block=serial", f"img_size={SIDE}", "patch_size=8", "embed_dim=48", "num_heads=3", "depth=2", f"num_classes={CLASSES}"]
# What is adapted, and PEFT's names for it.
CASES = {"all": ["*"], "attention": ["qkv", "attn.proj"], "hidden": ["mlp.*"]}


def run(binary, *arguments):
    subprocess.run([binary, *map(str, arguments), "-q"], check=True, stdout=subprocess.DEVNULL)


def write_images(folder):
    """A batch of images and their classes, [-1, 1] as the model sees them."""
    generator, images, labels = numpy.random.default_rng(3), [], []
    for i in range(7):
        label = i % CLASSES
        (folder / f"class{label}").mkdir(parents=True, exist_ok=True)
        image = generator.integers(0, 256, (SIDE, SIDE, 3), dtype=numpy.uint8)
        Image.fromarray(image).save(folder / f"class{label}" / f"{i}.png")
        images.append(torch.from_numpy(image).permute(2, 0, 1).float() / 127.5 - 1)
        labels.append(label)
    return torch.stack(images), torch.tensor(labels)


def train(binary, out, targets):
    run(binary, "finetune", out / "run.toml", f"init_from={out / 'base'}", f"data.root={out / 'images'}", "lora.rank=4", "lora.alpha=6",
        f"lora.targets={json.dumps(targets)}", "--out", out / "run")
    return out / "run" / "ckpt"


def at_first(base, folder):
    """PEFT's model with the adapters of our first step: B is 0 before it, so that it left A as it was; and timm's head."""
    config = peft.LoraConfig.from_pretrained(folder)
    config.inference_mode = False
    model = peft.get_peft_model(base, config)
    ours, theirs = load_file(folder / "adapter_model.safetensors"), model.state_dict()
    for name, value in ours.items():
        if ".lora_A." in name:
            theirs[name.replace(".lora_A.weight", ".lora_A.default.weight")].copy_(value)
    return model


def compare(label, got, want, wrong):
    off = ((got - want).abs().max() / want.abs().max().clamp_min(1e-30)).item()
    if not off <= BOUND:
        wrong.append(f"{label} {off:.2g}")
    return off


def check(binary, out, name):
    images, labels = write_images(out / "images")
    run(binary, "model", "init", *MODEL, "--randomize-all", "--seed", "5", "--out", out / "base")
    (out / "run.toml").write_text(
        f'total_steps = {STEPS}\nckpt_steps = 1\nkeep_last = {STEPS}\nloss = "softmax"\n[data]\nsource = "folder"\nbatch_size = {len(labels)}\n'
        f'pp_train = "decode|rgb|value_range(-1,1)"\npp_eval = "decode|rgb|value_range(-1,1)"\nval = ""\n[optim]\nname = "sgd"\nlr = {RATE}\n'
        'momentum = 0\nclip_norm = 0\nweight_decay = 0\nhead_weight_decay = 0\n[schedule]\nname = "constant"\n')
    folder = train(binary, out, CASES[name])
    wrong, base = [], lambda: timm.create_model(f"local-dir:{out / 'base'}", pretrained=True)
    model = at_first(base(), folder / "step-00000001")
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    ours, theirs = load_file(folder / "latest" / "adapter_model.safetensors"), peft.get_peft_model_state_dict(model)
    assert set(ours) == set(theirs), set(ours) ^ set(theirs)
    worst = max(compare(key, ours[key], value.detach(), wrong) for key, value in theirs.items())
    with torch.no_grad():
        read = peft.PeftModel.from_pretrained(base(), folder / "latest").eval()
        want = read(images)
        save_file({"images": images}, out / "in.safetensors")
        for store in ("resident", "streamed"):
            run(binary, "features", out / "run", "--input", out / "in.safetensors", "--only", "logits", f"store={store}", "--out", out / "f.safetensors")
            worst = max(worst, compare(f"logits, {store}", load_file(out / "f.safetensors")["logits"], want, wrong))
        run(binary, "convert", out / "run", out / "merged", "--to", "timm")
        whole = timm.create_model(f"local-dir:{out / 'merged'}", pretrained=True).eval()
        worst = max(worst, compare("merged", whole(images), want, wrong))
        worst = max(worst, compare("PEFT's sum", whole(images), read.merge_and_unload()(images), wrong))
    print(f"{name}: {len(ours)} tensors after {STEPS} steps, at most {worst:.2g}" + (f"; WRONG: {', '.join(wrong)}" if wrong else ""))
    return not wrong


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    right = 0
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            right += check(binary, pathlib.Path(folder), name)
    print(f"{right} of {len(CASES)} right")
    return 0 if right == len(CASES) else 1


if __name__ == "__main__":
    sys.exit(main())
