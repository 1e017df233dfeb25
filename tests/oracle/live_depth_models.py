"""Models of depth that other libraries wrote, beside what these say of the same pictures: live_depth_models.py VIT22B.

Small models with every parameter random, saved by transformers: DPT with its own ViT, with DINOv2 (as its authors' heads were converted),
with batch norms; Depth Anything, relative and metric. Then the same weights under the authors' own names: Depth Anything's and DPT's
state dicts, DINOv2's heads beside its backbone. Pictures of odd sizes go through the library's own processor; its depth is brought to the
picture's size without align_corners, as ours is.
torch 2.11.0, transformers 5.24.0.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
import transformers as hf
from PIL import Image
from safetensors.torch import load_file
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

program = sys.argv[1]
BOUND = 1e-5  # of the largest depth
torch.manual_seed(22)
torch.set_num_threads(2)
folder = pathlib.Path(tempfile.mkdtemp())
rng = np.random.default_rng(22)
SIZES = [(61, 83), (120, 47), (64, 64), (200, 333)]


def pictures():
    paths = []
    for i, (height, width) in enumerate(SIZES):
        small = rng.integers(0, 256, (height // 9 + 2, width // 9 + 2, 3)).astype(np.uint8)
        path = folder / f"picture{i}.png"
        Image.fromarray(small).resize((width, height), Image.BICUBIC).save(path)
        paths.append(path)
    return paths


PICTURES, dpt = pictures(), None


def randomised(model):
    with torch.no_grad():
        for name, value in list(model.named_parameters()) + list(model.named_buffers()):
            if not value.is_floating_point():
                continue
            is_scale = name.endswith(("norm1.weight", "norm2.weight", "layernorm.weight", "before.weight", "after.weight", "lambda1", "running_var"))
            drawn = torch.randn_like(value) * (0.1 if value.dim() < 2 or "embeddings" in name else 0.8 / value[0].numel() ** 0.5)
            value.copy_(drawn.abs() + 0.7 if is_scale else drawn)
        last = list(model.head.modules())
        bias = [m for m in last if isinstance(m, torch.nn.Conv2d)][-1].bias
        bias.copy_(torch.tensor([1.5]))  # most depths are above 0
    return model.eval()


def dino(**more):
    return hf.Dinov2Config(hidden_size=48, num_hidden_layers=6, num_attention_heads=3, image_size=70, patch_size=14, reshape_hidden_states=False,
                           layer_norm_eps=1e-6, **more)


def processor(**more):
    return DPTImageProcessorPil(**(dict(size={"height": 70, "width": 70}, keep_aspect_ratio=True, ensure_multiple_of=14,
                                        image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]) | more))


def own_words(model, place, image_processor):
    model.save_pretrained(place)
    image_processor.save_pretrained(place)


def theirs(model, image_processor, then=lambda depth: depth):
    """What the library says of each picture, in its size."""
    said = []
    for path in PICTURES:
        image = Image.open(path).convert("RGB")
        pixels = torch.as_tensor(np.array(image_processor(images=image)["pixel_values"]))
        if model is dpt and pixels.shape[2] != pixels.shape[3]:
            said.append(None)
            continue
        with torch.no_grad():
            depth = then(model(pixel_values=pixels).predicted_depth)[:, None]
        # What was filled around the picture is not of it.
        height, width = pixels.shape[2:]
        if getattr(image_processor, "do_pad", False):
            said.append(inside(depth, height, width, image))
        else:
            said.append(F.interpolate(depth, (image.height, image.width), mode="bilinear", align_corners=False)[0, 0].numpy())
    return said


def inside(depth, height, width, image):
    top, left = (height - image.height) // 2, (width - image.width) // 2
    whole = F.interpolate(depth, (height, width), mode="bilinear", align_corners=False)[0, 0]
    return whole[top:top + image.height, left:left + image.width].numpy()


def ours(checkpoint):
    out = folder / "out"
    words = [program, "depth", "run", str(checkpoint), *map(str, PICTURES), "--out", str(out), "--json", "--quiet"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(PICTURES), lines
    return [np.load(out / f"picture{i}.npy") for i in range(len(PICTURES))], lines


def compare(name, checkpoint, want):
    got, lines = ours(checkpoint)
    pairs = [(i, a, b) for i, (a, b) in enumerate(zip(got, want)) if b is not None]
    for i, a, b in pairs:
        assert a.shape == b.shape == SIZES[i], (name, a.shape, b.shape)
        difference = np.abs(a - b).max() / np.abs(b).max()
        assert np.ptp(b) > 0.05 * np.abs(b).max(), (name, "says nothing")
        assert difference <= BOUND, (name, i, difference)
    print(f"{name}: {max(np.abs(a - b).max() / np.abs(b).max() for _, a, b in pairs):.1e}, {len(pairs)} pictures", flush=True)
    return lines


def compare_as(name, checkpoint, model, image_processor):
    """Where transformers' processor shows pictures as the authors' code does, not as their own folder says."""
    return compare(name, checkpoint, theirs(model, image_processor))


def refused(checkpoint, *words):
    try:
        ours(checkpoint)
    except AssertionError as error:
        for word in words:
            assert word in str(error), (word, str(error))
    else:
        raise AssertionError(f"{checkpoint} is not refused")


NECK = dict(neck_hidden_sizes=[6, 12, 20, 40], fusion_hidden_size=16)

# DPT with its own ViT: positions are bilinear, the readout is projected.
config = hf.DPTConfig(hidden_size=48, num_hidden_layers=6, num_attention_heads=3, intermediate_size=96, image_size=64, patch_size=16,
                      backbone_out_indices=[1, 2, 4, 5], **NECK)
dpt, half = randomised(hf.DPTForDepthEstimation(config)), [0.5, 0.5, 0.5]
# Only squares: its own forward pass takes the grid for one.
of_dpt = processor(size={"height": 64, "width": 64}, keep_aspect_ratio=False, ensure_multiple_of=32, image_mean=half, image_std=half)
own_words(dpt, folder / "dpt", of_dpt)
refused(folder / "dpt", "does not say what its numbers are", "depth.output=relative")
want_dpt = theirs(dpt, of_dpt)
lines = compare("dpt", f"{folder}/dpt?depth.output=relative", want_dpt)
assert "relative inverse depth" in lines[0], lines

# With batch norms in the fusion, and a readout that is ignored or added.
for readout in ("ignore", "add"):
    config = hf.DPTConfig(**(config.to_diff_dict() | dict(readout_type=readout, use_batch_norm_in_fusion_residual=True)))
    model = randomised(hf.DPTForDepthEstimation(config))
    own_words(model, folder / f"dpt_{readout}", of_dpt)
    compare(f"dpt, {readout}, batch norm", f"{folder}/dpt_{readout}?depth.output=relative", theirs(model, of_dpt))

# DINOv2's head as it was converted: raw outputs, no biases in the fusion, pictures filled around.
config = hf.DPTConfig(backbone_config=dino(out_indices=[2, 3, 5, 6], apply_layernorm=False), add_projection=True, use_bias_in_fusion_residual=False,
                      **(NECK | dict(fusion_hidden_size=256)))
metres = randomised(hf.DPTForDepthEstimation(config))
around = processor(do_resize=False, do_pad=True, size_divisor=14)
own_words(metres, folder / "metres", around)
refused(f"{folder}/metres?depth.output=metres", "depth.max_depth")
cut = lambda depth: depth.clamp(1e-6, 1.75)  # noqa: E731
compare("dpt, dinov2", f"{folder}/metres?depth.output=metres&depth.max_depth=1.75", theirs(metres, around, lambda d: cut(d + 1e-6)))

# Depth Anything.
anything = hf.DepthAnythingConfig(backbone_config=dino(out_indices=[2, 3, 5, 6]), reassemble_hidden_size=48, head_hidden_size=8, **NECK)
relative = randomised(hf.DepthAnythingForDepthEstimation(anything))
own_words(relative, folder / "relative", processor())
want_relative = theirs(relative, processor())
compare("depth anything", folder / "relative", want_relative)
refused(f"{folder}/relative?depth.output=metres", "says it itself")
anything = hf.DepthAnythingConfig(backbone_config=dino(out_features=["stage3", "stage4", "stage5", "stage6"]), reassemble_hidden_size=48,
                                  depth_estimation_type="metric", max_depth=20, **NECK)
metric = randomised(hf.DepthAnythingForDepthEstimation(anything))
own_words(metric, folder / "metric", processor())
lines = compare("depth anything, metric", folder / "metric", theirs(metric, processor()))
assert '"unit":"m"' in lines[0].replace(" ", ""), lines


# The same weights as the authors' files name them.
def dinov2_names(state, prefix):
    out = {}
    for name, value in state.items():
        name = name.removeprefix("backbone.")
        for a, b in (("embeddings.cls_token", "cls_token"), ("embeddings.mask_token", "mask_token"), ("embeddings.position_embeddings", "pos_embed"),
                     ("embeddings.patch_embeddings.projection.", "patch_embed.proj."), ("layernorm.", "norm."), ("encoder.layer.", "blocks."),
                     (".attention.output.dense.", ".attn.proj."), (".layer_scale1.lambda1", ".ls1.gamma"), (".layer_scale2.lambda1", ".ls2.gamma"),
                     (".layernorm_before.", ".norm1."), (".layernorm_after.", ".norm2."), (".intermediate.dense.", ".mlp.fc1."), (".output.dense.", ".mlp.fc2.")):
            name = name.replace(a, b) if not (a == "layernorm." and not name.startswith("layernorm.")) else name
        out[name] = value
    for key in [k for k in out if ".attention.attention.query." in k]:
        parts = [out.pop(key.replace("query", which)) for which in ("query", "key", "value")]
        out[key.replace("attention.attention.query", "attn.qkv")] = torch.cat(parts)
    return {prefix + name: value.contiguous() for name, value in out.items()}


def head_names(state, levels, last):
    """Neck and head; levels(part, level) gives a name for transformers' parts."""
    out = {}
    for name, value in state.items():
        parts = name.split(".")
        if name.startswith("neck.reassemble_stage.readout_projects."):
            out[levels("readout", int(parts[3])) + parts[-1]] = value
        elif name.startswith("neck.reassemble_stage."):
            out[levels(parts[4], int(parts[3])) + parts[-1]] = value
        elif name.startswith("neck.convs."):
            out[levels("conv", int(parts[2])) + parts[-1]] = value
        elif name.startswith("neck.fusion_stage."):
            unit = ".".join(parts[4:-1]).replace("residual_layer", "unit").replace("convolution", "conv")
            out[levels("fusion " + unit, int(parts[3])) + parts[-1]] = value
        else:
            out[last[name.rsplit(".", 1)[0]] + parts[-1]] = value
    return out


def split(place, tower):
    state = load_file(folder / place / "model.safetensors")
    return {k: v for k, v in state.items() if k.startswith(tower)}, {k: v for k, v in state.items() if not k.startswith(tower)}


def midas_level(root, part, level):
    """Names of DPT's code, which Depth Anything's kept: refinenet4 is the coarsest."""
    if part == "conv":
        return f"{root}scratch.layer{level + 1}_rn."
    what = part.removeprefix("fusion ").replace("unit", "resConfUnit")
    return f"{root}scratch.refinenet{4 - level}." + ("out_conv." if what == "projection" else what + ".")


def anything_level(part, level):
    simple = {"projection": "projects", "resize": "resize_layers"}
    return f"depth_head.{simple[part]}.{level}." if part in simple else midas_level("depth_head.", part, level)


backbone, head = split("relative", "backbone.")
state = dinov2_names(backbone, "pretrained.") | head_names(head, anything_level, {
    "head.conv1": "depth_head.scratch.output_conv1.", "head.conv2": "depth_head.scratch.output_conv2.0.", "head.conv3": "depth_head.scratch.output_conv2.2."})
torch.save(state, folder / "anything.pth")
given = "num_heads=3&norm_eps=1e-6&depth.layers=1,2,4,5"
refused(f"{folder}/anything.pth?num_heads=3&depth.output=relative", "which blocks the head sees")
refused(f"{folder}/anything.pth?{given}", "does not say what its numbers are")
# Its code shows it pictures of 518 pixels; positions are resized as DINOv2's own code does it, by another rule than transformers'.
compare_as("depth anything, its authors' names", f"{folder}/anything.pth?{given}&depth.output=relative&posemb_resize=bicubic", relative,
           processor(size={"height": 518, "width": 518}))


def dpt_level(part, level):
    simple = {"readout": "0.project.0.", "projection": "3.", "resize": "4."}
    return f"pretrained.act_postprocess{level + 1}.{simple[part]}" if part in simple else midas_level("", part, level)


backbone, head = split("dpt", "dpt.")
backbone = {k.replace("dpt.", "backbone.", 1): v for k, v in backbone.items()}
state = dinov2_names(backbone, "pretrained.model.") | head_names(head, dpt_level, {
    "head.head.0": "scratch.output_conv.0.", "head.head.2": "scratch.output_conv.2.", "head.head.4": "scratch.output_conv.4."})
torch.save(state, folder / "dpt.pt")
compare_as("dpt, its authors' names", f"{folder}/dpt.pt?num_heads=3&norm_eps=1e-12&depth.layers=1,2,4,5&depth.output=relative", dpt,
           processor(size={"height": 384, "width": 384}, ensure_multiple_of=32, image_mean=half, image_std=half))

# DINOv2's heads beside its backbone.
import shutil  # noqa: E402


def dinov2_level(part, level):
    root = "decode_head.reassemble_blocks."
    simple = {"readout": f"{root}readout_projects.{level}.0.", "projection": f"{root}projects.{level}.conv.", "resize": f"{root}resize_layers.{level}.",
              "conv": f"decode_head.convs.{level}.conv."}
    if part in simple:
        return simple[part]
    what = part.removeprefix("fusion ").replace("unit", "res_conv_unit").replace("projection", "project")
    return f"decode_head.fusion_blocks.{level}.{what}.conv."


def convert(backbone, head, out):
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run([program, "convert", str(backbone), str(out), "--pixel-head", str(head), "--quiet"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return out


backbone, head = split("metres", "backbone.")
torch.save(dinov2_names(backbone, ""), folder / "dinov2.pth")
head = {k: v for k, v in head.items() if ".layers.0.residual_layer1." not in k}
torch.save({"state_dict": head_names(head, dinov2_level, {
    "head.projection": "decode_head.project.conv.", "head.head.0": "decode_head.conv_depth.head.0.", "head.head.2": "decode_head.conv_depth.head.2.",
    "head.head.4": "decode_head.conv_depth.head.4."})}, folder / "dpt_head.pth")
place = f"{folder}/dinov2.pth?num_heads=3&norm_eps=1e-6&posemb_resize=bicubic"
own = convert(place, f"{folder}/dpt_head.pth?depth.layers=1,2,4,5&depth.max_depth=1.75", folder / "own")
# Its code adds the least depth, and cuts between both.
compare("dinov2's dpt head", own, theirs(metres, around, lambda d: (d + 0.001).clamp(0.001, 1.75)))

# Its linear head, as its code has it: the class token beside each patch of four raw outputs, 256 bins.
weight, bias = torch.randn(256, 4 * 2 * 48) * 0.05, torch.randn(256) * 0.1
torch.save({"state_dict": {"decode_head.conv_depth.weight": weight[:, :, None, None], "decode_head.conv_depth.bias": bias}}, folder / "linear_head.pth")


def linear_head(pixel_values):
    tokens = metres.backbone(pixel_values).feature_maps
    grid = [side // 14 for side in pixel_values.shape[2:]]
    maps = [F.interpolate(torch.cat([t[:, 1:], t[:, :1].expand(-1, t.shape[1] - 1, -1)], 2).transpose(1, 2).unflatten(2, grid),
                          [4 * side for side in grid], mode="bilinear", align_corners=False) for t in tokens]
    logits = F.conv2d(torch.cat(maps, 1), weight[:, :, None, None], bias).relu() + 0.1
    depth = torch.einsum("bkhw,k->bhw", logits / logits.sum(1, keepdim=True), torch.linspace(0.001, 10, 256))
    return type("Said", (), {"predicted_depth": depth})


refused_head = subprocess.run([program, "convert", place, str(folder / "none"), "--pixel-head", f"{folder}/linear_head.pth?depth.layers=1,2,4,5"],
                              capture_output=True, text=True, timeout=120)
assert refused_head.returncode == 2 and "depth.max_depth" in refused_head.stderr, refused_head.stderr
own = convert(place, f"{folder}/linear_head.pth?depth.layers=1,2,4,5&depth.max_depth=10", folder / "own")
compare("dinov2's linear head", own, theirs(linear_head, around))

# Out of the hub: the head comes with its backbone.
from hub_server import Hub  # noqa: E402

hub = Hub({"me/anything": {path.name: path.read_bytes() for path in (folder / "relative").iterdir()}})
words = [program, "depth", "run", "hf:me/anything", *map(str, PICTURES), "--out", str(folder / "far"), "--quiet"]
done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=hub.environment(folder / "home"))
assert done.returncode == 0, done.stderr
for i, want in enumerate(want_relative):
    assert np.abs(np.load(folder / f"far/picture{i}.npy") - want).max() <= BOUND * np.abs(want).max()
print("out of the hub: the same", flush=True)
