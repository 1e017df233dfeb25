"""`eval depth` beside scikit-learn, torchmetrics and, for what these have not, numpy in float64: live_depth.py VIT22B.

Depth maps as PNGs of 16 bits and as arrays, with holes, bounds, benchmarks' crops and alignments. The crops are written as monodepth2 and
BTS write them (slices of int() of shares of the sides); least squares is numpy.linalg.lstsq, the median numpy's of an odd number of values.
numpy 2.4.6, scikit-learn 1.9.0, torchmetrics 1.9.0.
"""
import itertools
import pathlib
import tempfile

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import mean_absolute_percentage_error, mean_squared_error, mean_squared_log_error
from torchmetrics.functional.regression import mean_absolute_percentage_error as torch_mape
from torchmetrics.functional.regression import mean_squared_error as torch_mse
from torchmetrics.functional.regression import mean_squared_log_error as torch_msle

from checks import near, run, tell

torch.set_num_threads(1)
rng = np.random.default_rng(22)
SIZES = {"none": [(31, 47), (60, 80), (1, 1)], "nyu_eigen": [(480, 640)], "garg": [(375, 1242)], "kitti_eigen": [(375, 1242)]}


def errors(p, d):
    """Of pixels' depths and truths, float64."""
    g = np.log(p) - np.log(d)
    said = {
        "abs_rel": mean_absolute_percentage_error(d, p),
        "sq_rel": np.mean((p - d) ** 2 / d),
        "rmse": np.sqrt(mean_squared_error(d, p)),
        "rmse_log": np.sqrt(mean_squared_error(np.log(d), np.log(p))),
        "log10": np.mean(np.abs(np.log10(p) - np.log10(d))),
        "silog": 100 * np.sqrt(np.maximum(np.mean(g**2) - np.mean(g) ** 2, 0)),
        "mse_log": mean_squared_log_error(d, p),
    }
    a, b = torch.from_numpy(p), torch.from_numpy(d)
    near("sklearn beside torchmetrics", float(torch_mape(a, b)) / max(said["abs_rel"], 1e-300), 1 if said["abs_rel"] else 0, 1e-9)
    near("sklearn beside torchmetrics", float(torch_mse(a, b, squared=False)) / max(said["rmse"], 1e-300), 1 if said["rmse"] else 0, 1e-9)
    near("sklearn beside torchmetrics", float(torch_msle(a, b)) / max(said["mse_log"], 1e-300), 1 if said["mse_log"] else 0, 1e-9)
    ratio = np.maximum(p / d, d / p)
    for name, bound in (("1_1", 1.1), ("1_25", 1.25), ("1_25_2", 1.25**2), ("1_25_3", 1.25**3)):
        said[f"delta_{name}"] = np.mean(ratio < bound)
    return said


def crop_mask(crop, height, width):
    mask = np.zeros((height, width), bool)
    if crop == "none":
        mask[:] = True
    elif crop == "nyu_eigen":
        mask[45:471, 41:601] = True
    else:
        shares = (0.40810811, 0.99189189, 0.03594771, 0.96405229) if crop == "garg" else (0.3324324, 0.91351351, 0.0359477, 0.96405229)
        top, bottom, left, right = np.array([shares[0] * height, shares[1] * height, shares[2] * width, shares[3] * width]).astype(np.int32)
        mask[top:bottom, left:right] = True
    return mask


def aligned(x, d, align, is_inverse):
    target = 1 / d if is_inverse else d
    if align == "median":
        x = x * (np.sort(target)[(len(target) - 1) // 2] / np.sort(x)[(len(x) - 1) // 2])  # torch.median: the lower of two middle ones
    elif align == "least_squares":
        (scale, shift), *_ = np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), target, rcond=None)
        x = scale * x + shift
    return 1 / np.maximum(x, 1e-8) if is_inverse else x


def check(case, sizes, crop, align, is_inverse, low, high, is_png):
    scratch = pathlib.Path(tempfile.mkdtemp())
    for name in ("said", "is"):
        (scratch / name).mkdir()
    each, all_p, all_d = [], [], []
    for i, (height, width) in enumerate(sizes):
        truth = rng.gamma(2.0, 2.0, (height, width)).astype(np.float32) + 0.01
        truth[rng.random(truth.shape) < 0.3 * (truth.size > 1)] = 0
        said = (truth + 0.05) * np.exp(rng.normal(0, 0.2, truth.shape)).astype(np.float32)
        if is_inverse:
            said = 1 / said
        if align != "none":
            said = 0.7 * said + (0.3 if align == "least_squares" else 0)
        if is_png:
            truth_steps, said_steps = np.round(truth * 256).astype(np.uint16), np.round(said * 1000).astype(np.uint16)
            Image.fromarray(truth_steps).save(scratch / "is" / f"{i}.png")
            Image.fromarray(said_steps).save(scratch / "said" / f"{i}.png")
            truth, said = (truth_steps / 256).astype(np.float32), (said_steps * 0.001).astype(np.float32)
        else:
            np.save(scratch / "is" / f"{i}.npy", np.asfortranarray(truth) if i % 2 else truth.astype(np.float64))
            np.save(scratch / "said" / f"{i}.npy", said[None])
        counts = (truth >= low) & ((truth <= high) | (high == 0)) & crop_mask(crop, height, width)
        if not counts.any():
            continue
        d = truth[counts].astype(np.float64)
        p = aligned(said[counts].astype(np.float64), d, align, is_inverse)
        p = np.clip(p, low, high if high else np.inf)
        each.append(errors(p, d))
        all_p.append(p), all_d.append(d)
    options = ["--crop", crop, "--align", align, "--min-depth", low, "--max-depth", high, "--unit", "1/256"] + ["--inverse"] * is_inverse
    got = run("eval", "depth", "--predictions", scratch / "said", "--truth", scratch / "is", *options)
    of_pixels = errors(np.concatenate(all_p), np.concatenate(all_d))
    # Aligned and inverse depths are float32 there: errors differ by its rounding, shares by pixels whose ratio lies on the bound.
    for name, value in of_pixels.items():
        for way, want in (("per_pixel", value), ("per_image", np.mean([one[name] for one in each]))):
            if name.startswith("delta"):
                near(f"{name}, pixels", got[name][way] * got["num_pixels"], want * got["num_pixels"], max(5, 1e-4 * got["num_pixels"]))
            else:
                near(name, got[name][way] / want if want else got[name][way] + 1, 1, 2e-5)
    assert got["num_images"] == len(each), case


cases = 0
for crop, (align, is_inverse), (low, high), is_png in itertools.product(
        ("none", "nyu_eigen", "garg", "kitti_eigen"), (("none", False), ("none", True), ("median", False), ("least_squares", False), ("least_squares", True)),
        ((1e-3, 0.0), (1e-3, 10.0), (1.0, 5.0)), (True, False)):
    if crop != "none" and low != 1.0:
        continue
    if is_png and is_inverse:
        continue  # steps of a millimetre are too coarse for inverse depth
    if is_inverse and align == "least_squares" and high == 0:
        continue  # what is fitted to nothing is as far as float32 goes
    sizes = SIZES[crop]
    if align == "least_squares":
        sizes = [size for size in sizes if size != (1, 1)]
    check((crop, align, is_inverse, low, high, is_png), sizes, crop, align, is_inverse, low, high, is_png)
    cases += 1
print(f"{cases} cases")
tell()
