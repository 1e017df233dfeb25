"""src/checkpoint/import/timm_registry.inc: what each of timm's plain architecture names means, from timm's own registry.

A config.json on the Hub gives an architecture's name and seldom its arguments, which stand in timm's code alone. Each
entry point of timm's vision_transformer, deit and eva modules is called with the class that it would build replaced by
one that notes its arguments; names that timm keeps for older checkpoints get those of what they stand for now.

Run: "$oracles/bin/python" tests/oracle/make_timm_registry.py   (source script/env.sh; script/oracle-env makes the place)
Made with torch 2.11.0, timm 1.0.31.
"""
import functools
import inspect
import json
import pathlib
import warnings

import timm
import torch
from timm.models import _registry, deit, eva, vision_transformer

MODULES = (vision_transformer, deit, eva)
TARGET = pathlib.Path(__file__).parents[2] / "src/checkpoint/import/timm_registry.inc"
# What decides how a checkpoint is fetched or cut into stages, not what the model computes.
LEFT_OUT = {"pretrained_filter_fn", "pretrained_strict", "pretrained_cfg", "feature_cfg"}
NORMS = {"LayerNorm": "layernorm", "RmsNorm": "rmsnorm"}
ACTIVATIONS = {"SiLU": "silu"}


class Noted(Exception):
    pass


def note(cls, variant, pretrained=False, **kwargs):
    raise Noted(cls, kwargs)


def plain(key, value):
    """A value of an argument as a config.json would write it."""
    if isinstance(value, functools.partial):
        kind = NORMS.get(value.func.__name__, value.func.__name__)
        return {"kind": kind, **value.keywords} if key == "norm_layer" else kind
    if inspect.isclass(value) or inspect.isfunction(value):
        return (NORMS | ACTIVATIONS).get(value.__name__, value.__name__)
    return value


def meaning(name):
    try:
        _registry._model_entrypoints[name]()
    except Noted as noted:
        cls, kwargs = noted.args
    args = {k: plain(k, v) for k, v in sorted(kwargs.items()) if k not in LEFT_OUT}
    return args if cls is vision_transformer.VisionTransformer else {"class": cls.__name__, **args}


def main():
    warnings.simplefilter("ignore")  # timm's, at each older name
    for module in MODULES:
        module.build_model_with_cfg = note
    names = {m.__name__.split(".")[-1] for m in MODULES}
    rows = {n: meaning(n) for n in _registry._model_entrypoints if _registry._model_to_module[n] in names}
    count = len(rows.keys() - _registry._deprecated_models.keys())
    lines = [f"// Made by tests/oracle/make_timm_registry.py with timm {timm.__version__}, torch {torch.__version__.split('+')[0]}: "
             f"{count} architectures, {len(rows) - count} older names.\n"]
    lines += [f'{{"{name}", R"({json.dumps(rows[name])})"}},\n' for name in sorted(rows)]
    TARGET.write_text("".join(lines))
    print(f"{TARGET}: {count} architectures, {len(rows) - count} older names")


if __name__ == "__main__":
    main()
