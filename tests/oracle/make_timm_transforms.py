"""The pixels that timm's create_transform makes of pictures of odd sizes, every crop mode, before normalising.

Run: ORACLES/bin/python tests/oracle/make_timm_transforms.py [FOLDER]      Made with timm and pillow (versions in the metadata).
Tensors of FOLDER/timm_transforms.safetensors: NUMBER/config (pretrained_cfg as JSON bytes), NUMBER/input, NUMBER/pixels. With
FOLDER every combination, else each 37th.
"""
import itertools
import json
import pathlib
import sys

import numpy as np
import PIL
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config

from make_images import picture

PICTURES = [(37, 53), (64, 48), (17, 90), (90, 17), (33, 33), (100, 31), (1, 1), (3, 200), (29, 41), (55, 54), (127, 67), (25, 24)]
SIZES = [(24, 24), (24, 36), (31, 17), (32, 32)]
MODES = ["center", "squash", "border"]
METHODS = ["bilinear", "bicubic", "lanczos", "nearest"]
CROPS = [0.9, 1.0, 0.875, None, 1.2]


def main():
    out = {}
    cases = itertools.product(SIZES, MODES, METHODS, CROPS, PICTURES)
    for number, (size, mode, method, crop, shape) in enumerate(cases):
        if len(sys.argv) < 2 and number % 37 != 0:
            continue
        cfg = {"input_size": [3, *size], "crop_mode": mode, "interpolation": method, "crop_pct": crop, "mean": [0.481, 0.4, 0.3], "std": [0.5] * 3}
        transform = create_transform(**resolve_data_config(pretrained_cfg=cfg), normalize=False)
        pixels = picture(*shape, shape[0])
        try:
            result = transform(Image.fromarray(pixels))
        except ValueError:  # timm has no result where a side is rounded to none
            continue
        out[f"{number}/config"] = np.frombuffer(json.dumps(cfg).encode(), np.uint8)
        out[f"{number}/input"] = pixels
        out[f"{number}/pixels"] = result.permute(1, 2, 0).numpy()
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    tensors = {k: torch.from_numpy(v.copy()) for k, v in out.items()}
    save_file(tensors, folder / "timm_transforms.safetensors", metadata={"timm": timm.__version__, "pillow": PIL.__version__})


if __name__ == "__main__":
    main()
