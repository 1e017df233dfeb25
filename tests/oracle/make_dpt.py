"""DPT heads by another hand: transformers' DPTNeck and DPTDepthEstimationHead, DepthAnythingNeck and its head. Reckoned in float64 from
float32 numbers.

Run: .deps/oracle/bin/python tests/oracle/make_dpt.py
Made with torch 2.11.0, transformers 5.24.0, safetensors 0.8.0.
Tensors of tests/oracle/dpt.safetensors, float32, maps, scores and cotangents channels last, each with its group in front; d.NAME is the
gradient of the sum of scores * cotangent with respect to NAME. All parameters are random. Scores are before the last ReLU.
  dpt/: readout by projection, a projection before the last layers. map.0..3 [2, 5, 7, 24]: 12 channels of a patch, then 12 of what
    stands beside it, which here is another at each. scores [2, 80, 112, 1]: 16 places a patch. Widths 3, 4, 6, 10 of the levels, 8 of the fusion, 32 of the last layer but one.
  depth_anything/: map.0..3 [2, 5, 7, 12]; scores [2, 35, 49, 1]: pixels of patches of 7. Last layer but one of 6.
    5 rows become 3 at the coarsest level and 6 twice as large: the levels' sizes differ from doubled ones.
Weights: readout.I, reassemble.I, resize.0, resize.1 ([in, out, side, side]), resize.3, lateral.I, fusion.I.{unit1,unit2}.{conv1,conv2},
fusion.I.out (I = 3 the coarsest level, which has no unit1), projection, head.0..2.
"""
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import DepthAnythingConfig, Dinov2Config, DPTConfig
from transformers.models.depth_anything.modeling_depth_anything import DepthAnythingDepthEstimationHead, DepthAnythingNeck
from transformers.models.dpt.modeling_dpt import DPTDepthEstimationHead, DPTNeck

GRID, WIDTH, LEVELS = (5, 7), 12, [3, 4, 6, 10]


def randomised(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape) * (0.25 if parameter.dim() > 1 else 0.5))
    return module.double()


def ours(name):
    """The neck's and the head's tensors by the names here; "" for what no pass reads."""
    parts = name.split(".")
    if name.startswith("reassemble_stage.readout_projects."):
        return f"readout.{parts[2]}.{parts[4]}"
    if name.startswith("reassemble_stage.layers."):
        return f"{'reassemble' if parts[3] == 'projection' else 'resize'}.{parts[2]}.{parts[4]}"
    if name.startswith("convs."):
        return "lateral." + name[6:]
    if name.startswith("fusion_stage.layers."):
        level = 3 - int(parts[2])
        if parts[3] == "projection":
            return f"fusion.{level}.out.{parts[4]}"
        unit = parts[3].replace("residual_layer", "unit")
        return "" if level == 3 and unit == "unit1" else f"fusion.{level}.{unit}.{parts[4].replace('convolution', 'conv')}.{parts[5]}"
    return {"projection": "projection", "head.0": "head.0", "head.2": "head.1", "head.4": "head.2", "conv1": "head.0", "conv2": "head.1",
            "conv3": "head.2"}[name.rsplit(".", 1)[0]] + "." + parts[-1]


def record(group, channels, modules, scores_of):
    maps = [torch.randn(2, *GRID, channels).double().requires_grad_() for _ in range(4)]
    scores = scores_of(maps)[..., None]
    cotangent = torch.randn(scores.shape).double()
    (scores * cotangent).sum().backward()
    out = {f"map.{i}": value for i, value in enumerate(maps)} | {"scores": scores, "cotangent": cotangent}
    out |= {f"d.map.{i}": value.grad for i, value in enumerate(maps)}
    for module in modules:
        for name, parameter in module.named_parameters():
            if ours(name):
                out |= {ours(name): parameter, "d." + ours(name): parameter.grad}
    return {f"{group}/{name}": value.detach().float().contiguous() for name, value in out.items()}


def dpt():
    config = DPTConfig(neck_hidden_sizes=LEVELS, fusion_hidden_size=8, readout_type="project", add_projection=True, hidden_size=WIDTH)
    neck, head = randomised(DPTNeck(config)), DPTDepthEstimationHead(config)
    head.projection = torch.nn.Conv2d(8, 8, 3, padding=1)  # which transformers has of 256 channels
    randomised(head)

    def scores(maps):
        stage = neck.reassemble_stage
        levels = [layer(project(m).permute(0, 3, 1, 2)) for m, project, layer in zip(maps, stage.readout_projects, stage.layers)]
        x = neck.fusion_stage([conv(level) for conv, level in zip(neck.convs, levels)])[-1]
        return head.head[:-1](F.relu(head.projection(x))).squeeze(1)

    return record("dpt", 2 * WIDTH, [neck, head], scores)


def depth_anything():
    config = DepthAnythingConfig(backbone_config=Dinov2Config(hidden_size=WIDTH), reassemble_hidden_size=WIDTH, neck_hidden_sizes=LEVELS,
                                 fusion_hidden_size=8, head_hidden_size=6, patch_size=7)
    neck, head = randomised(DepthAnythingNeck(config)), randomised(DepthAnythingDepthEstimationHead(config))
    head.activation2, head.max_depth = torch.nn.Identity(), 1

    def scores(maps):
        tokens = [torch.cat([torch.zeros(2, 1, WIDTH).double(), m.flatten(1, 2)], 1) for m in maps]
        return head(neck(tokens, *GRID), *GRID)

    return record("depth_anything", WIDTH, [neck, head], scores)


torch.manual_seed(22)
place = pathlib.Path(__file__).parent / "dpt.safetensors"
save_file(dpt() | depth_anything(), place)
print(place, place.stat().st_size)
