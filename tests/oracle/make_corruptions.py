"""Pictures corrupted by imagecorruptions 1.1.2 under Debian 12's python3-numpy 1.24.2, -skimage 0.19.3, -scipy 1.10.1, -opencv 4.6.0
and -pil 9.4.0: /usr/bin/python3 make_corruptions.py OUT.safetensors, with the package on PYTHONPATH (pip install --no-deps --target).

`picture` [72, 64, 3]; NAME.SEVERITY of what is not random, and of what is, from 40 draws of `picture224` [224, 224, 3]: mean, deviation,
mean difference of neighbours across and down, and the spectrum of what was changed: log10 of the mean power of the three colours' differences
from the picture in six rings of frequencies; each with the deviation of its 40 values.
"""
import json
import struct
import sys
import warnings

import numpy as np

warnings.filterwarnings("ignore")
import imagecorruptions  # noqa: E402

SURE = ["gaussian_blur", "defocus_blur", "zoom_blur", "brightness", "contrast", "saturate", "pixelate", "jpeg_compression"]
RANDOM = ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "glass_blur", "motion_blur", "snow", "fog", "elastic_transform", "spatter"]


def picture(height, width):
    """Smooth colours, edges and a little texture, every value of a byte somewhere."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 255 * x / (width - 1)
    green = 127.5 + 127.5 * np.sin(y / 5) * np.cos(x / 9)
    blue = np.where((x // 8 + y // 8) % 2 == 0, 230, 20) * (0.5 + 0.5 * y / (height - 1))
    return np.clip(np.rint(np.stack([red, green, blue], axis=2)), 0, 255).astype(np.uint8)


RINGS = [0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.71]  # edges, in periods a pixel


def spectrum(difference):
    height, width = difference.shape[:2]
    power = (np.abs(np.fft.fft2(difference, axes=(0, 1))) ** 2).mean(2) / (height * width)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    return [np.log10(power[(radius >= a) & (radius < b)].mean() + 1e-12) for a, b in zip(RINGS, RINGS[1:])]


def numbers(image, clean):
    v, c = image.astype(np.float64) / 255, clean.astype(np.float64) / 255
    return [v.mean(), v.std(), np.abs(np.diff(v, axis=1)).mean(), np.abs(np.diff(v, axis=0)).mean(), *spectrum(v - c)]


def save(tensors, path):
    header, data = {}, b""
    for name, value in tensors.items():
        raw = np.ascontiguousarray(value).tobytes()
        dtype = {"uint8": "U8", "float64": "F64"}[str(value.dtype)]
        header[name] = {"dtype": dtype, "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)


small, large = picture(72, 64), picture(224, 224)
out = {"picture": small, "picture224": large}
for name in SURE:
    for severity in (1, 3, 5):
        out[f"{name}.{severity}"] = imagecorruptions.corrupt(small, corruption_name=name, severity=severity)
np.random.seed(0)
for name in RANDOM:
    for severity in (1, 3, 5):
        draws = 8 if name == "glass_blur" else 40
        values = np.array([numbers(imagecorruptions.corrupt(large, corruption_name=name, severity=severity), large) for _ in range(draws)])
        out[f"{name}.{severity}"] = np.stack([values.mean(0), values.std(0)])
        print(name, severity, out[f"{name}.{severity}"].round(4).tolist(), file=sys.stderr)
save(out, sys.argv[1])
