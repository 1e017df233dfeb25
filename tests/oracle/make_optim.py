"""Steps of timm's AdafactorBigVision and torch's AdamW and SGD on random gradients.

Run: .deps/oracle/bin/python tests/oracle/make_optim.py      Made with torch 2.11.0, timm 1.0.31.
Tensors of tests/oracle/optim.safetensors: CASE/start, CASE/gradient.T, and OPTIMIZER/CASE/weight.T, .../momentum.T after
step T. Learning rates 1e-2 * (T + 1), decay 0.03 multiplied by the rate; Adafactor factors dims of 32 and more.
"""
import pathlib

import torch
from safetensors.torch import save_file
from timm.optim.adafactor_bv import AdafactorBigVision

SHAPES = {"matrix": (33, 48), "small": (31, 40), "vector": (50,), "kernel": (40, 3, 4, 4), "table": (1, 36, 32)}
STEPS = 5


def make(name, p):
    if name == "adafactor":
        return AdafactorBigVision([p], lr=1e-2, min_dim_size_to_factor=32, decay_rate=0.8, beta2_cap=0.999, momentum=0.9,
                                  momentum_dtype="bfloat16", eps=1e-30, weight_decay=0.03, unscaled_wd=False)
    if name == "adamw":
        return torch.optim.AdamW([p], lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.03)
    return torch.optim.SGD([p], lr=1e-2, momentum=0.9)


def main():
    out = {}
    generator = torch.Generator().manual_seed(0)
    for case, shape in SHAPES.items():
        start = torch.randn(shape, generator=generator)
        gradients = [torch.randn(shape, generator=generator) * 10.0 ** (t - 2) for t in range(STEPS)]
        out[f"{case}/start"] = start
        for t, g in enumerate(gradients):
            out[f"{case}/gradient.{t}"] = g
        for name in ("adafactor", "adamw", "sgd"):
            p = torch.nn.Parameter(start.clone())
            optimizer = make(name, p)
            for t, g in enumerate(gradients):
                optimizer.param_groups[0]["lr"] = 1e-2 * (t + 1)
                p.grad = g.clone()
                optimizer.step()
                out[f"{name}/{case}/weight.{t}"] = p.detach().clone()
                if name == "adafactor":
                    out[f"{name}/{case}/momentum.{t}"] = optimizer.state[p]["exp_avg"].clone()
    save_file(out, pathlib.Path(__file__).parent / "optim.safetensors")


if __name__ == "__main__":
    main()
