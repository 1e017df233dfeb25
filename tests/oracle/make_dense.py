"""Decoders of dense predictions and their losses by other hands: torch's modules put together as Segmenter, mmsegmentation and DINOv2
do, transformers' UperNetHead and UperNetFCNHead, segmentation_models_pytorch's DiceLoss. Reckoned in float64 from float32 numbers.

Run: .deps/oracle/bin/python tests/oracle/make_dense.py
Made with torch 2.11.0, transformers 5.24.0, segmentation-models-pytorch 0.6.0, safetensors 0.8.0.
Tensors of tests/oracle/dense.safetensors, float32 and scores, maps and cotangents channels last, each with its group in front;
d.NAME is the gradient of the sum of scores * cotangent with respect to NAME, after.NAME a BatchNorm statistic after one step
(momentum 0.1, the variance unbiased; eps 1e-5). All parameters and statistics are random.
  linear/: Segmenter's linear decoder, a Linear on each token. map.0 [2, 5, 7, 12], head.{weight [6, 12],bias}, scores [2, 5, 7, 6],
    cotangent, d.map.0, d.head.weight, d.head.bias.
  bn_linear/: mmsegmentation's BNHead as DINOv2 has it: map.0 and map.1 [2, 5, 7, 12] side by side, BatchNorm, 1x1 convolution.
    bn.{weight,bias,running_mean,running_var} [24], head.{weight [6, 24],bias}, scores_eval by the running statistics; of training
    mode scores [2, 5, 7, 6], cotangent, d.map.I, d.WEIGHT, after.bn.running_{mean,var}.
  upernet/: map.0..3 [2, 6, 5, 12], all of one size as a plain ViT gives them. mmsegmentation's MultiLevelNeck: a 1x1 convolution
    neck.lateral.I.{weight [16, 12, 1, 1],bias}; bilinear by a factor of 4, 2, 1, 0.5 without align_corners: sizes floor(size * factor),
    and places reckoned from the factor, as F.interpolate(scale_factor=) does, not from the sizes (the last, 6x5 to 3x2, differs);
    a 3x3 convolution neck.conv.I.{weight [16, 16, 3, 3],bias}; neither norm nor activation. Then transformers' UperNetHead (width 8,
    5 classes, pools to 1, 2, 3, 6) and UperNetFCNHead (width 6, one convolution) on the neck's level 2. A convolution without bias,
    BatchNorm and ReLU is X.conv.weight, X.bn.{weight,bias,running_mean,running_var} with X of psp.0..3, bottleneck, lateral.0..2,
    fpn.0..2, fpn_bottleneck, aux.0; classifiers head.{weight [5, 8, 1, 1],bias}, aux.head.{weight [5, 6, 1, 1],bias}.
    scores_eval [2, 24, 20, 5]; of training mode scores [2, 24, 20, 5] with cotangent, aux_scores [2, 6, 5, 5] with aux_cotangent,
    d.map.I, d.WEIGHT of both sums together, after.X.bn.running_{mean,var}. d.neck.conv.{0,1}.bias are 0 but for rounding: BatchNorm
    takes them out again. psp.0 has but two numbers a channel to norm; the seed is one by which torch's float32 still differs by no more
    than 4e-6 of a tensor's largest, and no pre-activation is within 5e-5 of ReLU's edge.
  loss/, loss_ignored/ (image 1 ignored altogether): scores [2, 5, 7, 6] and labels [2, 20, 29] int64: 0..5, never 4, about 15 % -1
    for ignored. Scores are brought to the labels' size, bilinear without align_corners. loss, d.scores: mmsegmentation's cross-entropy
    with avg_non_ignore=False, the sum over labelled pixels divided by the number of all. weighted_loss, d.weighted_scores: each pixel
    times class_weight [6] of its class, divided by the same (as in mmsegmentation 0.x; 1.x divides by the sum of the weights).
    dice_loss, d.dice_scores: DiceLoss(multiclass, from_logits, smooth=0, eps=1e-7, ignore_index=-1, which it treats rightly): sums over
    the batch, 1 - dice by class, 0 for a class that no label has, mean over all 6.
"""
import pathlib

import safetensors
import segmentation_models_pytorch
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file
from torch import nn
from transformers import UperNetConfig
from transformers.models.upernet.modeling_upernet import UperNetFCNHead, UperNetHead

SCALES = (4, 2, 1, 0.5)
POOLS = (1, 2, 3, 6)

normal = lambda *shape: torch.randn(shape).double()
first = lambda x: x.permute(0, 3, 1, 2)  # channels
last = lambda x: x.permute(0, 2, 3, 1)


def randomize(module):
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            values = {"weight": torch.rand(part.num_features) + 0.5, "bias": torch.randn(part.num_features),
                      "running_mean": torch.randn(part.num_features), "running_var": torch.rand(part.num_features) * 1.5 + 0.5}
        elif isinstance(part, (nn.Conv2d, nn.Linear)):
            values = {"weight": torch.randn(part.weight.shape) * 0.2}
            values |= {"bias": torch.randn(part.bias.shape)} if part.bias is not None else {}
        else:
            continue
        with torch.no_grad():
            for name, value in values.items():
                getattr(part, name).copy_(value)
    return module.double()


def parts(prefix, module):
    """Tensors of a layer by its name here: what is trained, and the running statistics."""
    trained = {f"{prefix}.{name}": p for name, p in module.named_parameters(recurse=False)}
    return trained, {f"{prefix}.{name}": b for name, b in module.named_buffers(recurse=False) if name.startswith("running")}


def record(group, maps, layers, forward):
    """The group's tensors; forward() gives scores by name ("" and, for upernet, "aux_"), from what is in layers and maps."""
    trained, running = {}, {}
    for prefix, module in layers.items():
        for into, what in zip((trained, running), parts(prefix, module)):
            into |= what
    out = {name: value.detach().clone() for name, value in (maps | trained | running).items()}
    every = nn.ModuleList(layers.values())
    if running:
        every.eval()
        with torch.no_grad():
            out["scores_eval"] = last(forward()[""])
        every.train()
    scores = {name: last(x) for name, x in forward().items()}
    cotangents = {name: normal(*x.shape) for name, x in scores.items()}
    sum((x * cotangents[name]).sum() for name, x in scores.items()).backward()
    out |= {f"{name}scores": x.detach() for name, x in scores.items()} | {f"{name}cotangent": x for name, x in cotangents.items()}
    out |= {f"d.{name}": x.grad for name, x in (maps | trained).items()} | {f"after.{name}": x for name, x in running.items()}
    return {f"{group}/{name}": value for name, value in out.items()}


def linear():
    maps = {"map.0": normal(2, 5, 7, 12).requires_grad_()}
    head = randomize(nn.Linear(12, 6))
    return record("linear", maps, {"head": head}, lambda: {"": first(head(maps["map.0"]))})


def bn_linear():
    maps = {f"map.{i}": normal(2, 5, 7, 12).requires_grad_() for i in range(2)}
    bn, head = randomize(nn.BatchNorm2d(24)), randomize(nn.Conv2d(24, 6, 1))
    out = record("bn_linear", maps, {"bn": bn, "head": head}, lambda: {"": head(bn(torch.cat([first(x) for x in maps.values()], 1)))})
    return {name: value.flatten(1) if name.endswith("head.weight") else value for name, value in out.items()}


def upernet():
    maps = {f"map.{i}": normal(2, 6, 5, 12).requires_grad_() for i in range(4)}
    config = UperNetConfig(hidden_size=8, num_labels=5, pool_scales=POOLS, auxiliary_channels=6, auxiliary_num_convs=1, auxiliary_concat_input=False)
    narrow, wide = nn.ModuleList(nn.Conv2d(12, 16, 1) for _ in SCALES), nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in SCALES)
    head, aux = UperNetHead(config, [16] * 4), UperNetFCNHead(config, [16] * 4, in_index=2)
    for module in (narrow, wide, head, aux):
        randomize(module)
    blocks = {f"psp.{i}": block[1] for i, block in enumerate(p.layers for p in head.psp_modules.blocks)} | {"bottleneck": head.bottleneck}
    for name, convs in (("lateral", head.lateral_convs), ("fpn", head.fpn_convs)):
        blocks |= {f"{name}.{i}": block for i, block in enumerate(convs)}
    blocks |= {"fpn_bottleneck": head.fpn_bottleneck, "aux.0": aux.convs[0]}
    layers = {f"neck.lateral.{i}": x for i, x in enumerate(narrow)} | {f"neck.conv.{i}": x for i, x in enumerate(wide)}
    for name, block in blocks.items():
        layers |= {f"{name}.conv": block.conv, f"{name}.bn": block.batch_norm}
        block.activation.register_forward_pre_hook(lambda _, x: nearest.append(x[0].abs().min().item()))
    layers |= {"head": head.classifier, "aux.head": aux.classifier}
    assert len(layers) == sum(isinstance(x, (nn.Conv2d, nn.BatchNorm2d)) for m in (narrow, wide, head, aux) for x in m.modules())
    nearest = []

    def forward():
        levels = [conv(F.interpolate(lateral(first(x)), scale_factor=scale, mode="bilinear", align_corners=False))
                  for x, lateral, conv, scale in zip(maps.values(), narrow, wide, SCALES)]
        return {"": head(levels), "aux_": aux(levels)}

    out = record("upernet", maps, layers, forward)
    assert min(nearest) > 5e-5, f"a pre-activation of {min(nearest)}: float32 may take ReLU's other side; take another seed"
    return out


def loss(group, ignored):
    scores, weight = 2 * normal(2, 5, 7, 6), (torch.rand(6) * 1.5 + 0.5).double()
    labels = torch.tensor([0, 1, 2, 3, 5])[torch.randint(5, (2, 20, 29))]
    labels[:, 2:7, 11:17] = 3  # things of more than a pixel
    labels[:, 12:, :9] = 5
    labels[torch.rand(labels.shape) < 0.12] = -1
    labels[0, 17:, 20:] = -1
    if ignored:
        labels[1] = -1
    entropy = lambda x, w=None: F.cross_entropy(x, labels, weight=w, ignore_index=-1, reduction="none").sum() / labels.numel()
    dice = segmentation_models_pytorch.losses.DiceLoss("multiclass", from_logits=True, smooth=0, ignore_index=-1, eps=1e-7)
    out = {"scores": scores, "labels": labels, "class_weight": weight}
    for name, of in (("", entropy), ("weighted_", lambda x: entropy(x, weight)), ("dice_", lambda x: dice(x, labels))):
        x = scores.clone().requires_grad_()
        value = of(F.interpolate(first(x), size=labels.shape[1:], mode="bilinear", align_corners=False))
        value.backward()
        out |= {f"{name}loss": value.detach(), f"d.{name}scores": x.grad}
    return {f"{group}/{name}": value for name, value in out.items()}


def main():
    torch.manual_seed(84)
    torch.set_num_threads(1)
    out = linear() | bn_linear() | upernet() | loss("loss", False) | loss("loss_ignored", True)
    out = {name: (x if x.dtype == torch.int64 else x.float()).contiguous() for name, x in out.items()}
    versions = ", ".join(f"{x.__name__} {x.__version__}" for x in (torch, transformers, segmentation_models_pytorch, safetensors))
    # One entry: safetensors writes several in random order.
    save_file(out, pathlib.Path(__file__).parent / "dense.safetensors", metadata={"versions": versions})


if __name__ == "__main__":
    main()
