"""Resizes, grey conversion and JPEG, PNG and WebP decoding by PIL, on generated images.

Run: .deps/oracle/bin/python tests/oracle/make_images.py      Made with pillow (version in the file's metadata).
Tensors of tests/oracle/images.safetensors: SIZE/input, SIZE/METHOD.HxW, SIZE/gray; FORMAT/bytes, FORMAT/pixels.
"""
import io
import pathlib

import numpy as np
import PIL
import torch
from PIL import Image
from safetensors.torch import save_file


def picture(height, width, seed):
    """Smooth waves with some noise: edges and gradients, as photographs have."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 90 * np.sin(x / (3 + c) + seed) * np.cos(y / (4 + c)) + rng.normal(0, 12, (height, width)) for c in range(3)]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def main():
    out = {}
    for height, width in ((37, 53), (64, 48), (17, 90)):
        key, pixels = f"{height}x{width}", picture(height, width, height)
        image = Image.fromarray(pixels)
        out[f"{key}/input"] = pixels
        out[f"{key}/gray"] = np.asarray(image.convert("L"))[..., None]
        for name, method in (("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)):
            for h, w in ((16, 16), (31, 20), (80, 120)):
                out[f"{key}/{name}.{h}x{w}"] = np.asarray(image.resize((w, h), method))
    for name, options in (("jpeg", dict(format="JPEG", quality=90)), ("jpeg_gray", dict(format="JPEG", quality=90)),
                          ("jpeg_progressive", dict(format="JPEG", quality=75, progressive=True)),
                          ("png", dict(format="PNG")), ("png_alpha", dict(format="PNG")), ("webp", dict(format="WEBP", lossless=True))):
        image = Image.fromarray(picture(29, 41, 5))
        if name == "jpeg_gray":
            image = image.convert("L")
        if name == "png_alpha":
            image.putalpha(Image.fromarray(picture(29, 41, 6)[..., 0]))
        buffer = io.BytesIO()
        image.save(buffer, **options)
        decoded = Image.open(io.BytesIO(buffer.getvalue()))
        decoded = decoded.convert("L" if name == "jpeg_gray" else "RGB")
        pixels = np.asarray(decoded)
        out[f"{name}/bytes"] = np.frombuffer(buffer.getvalue(), np.uint8)
        out[f"{name}/pixels"] = pixels[..., None] if pixels.ndim == 2 else pixels
    tensors = {k: torch.from_numpy(v.copy()) for k, v in out.items()}
    save_file(tensors, pathlib.Path(__file__).parent / "images.safetensors", metadata={"pillow": PIL.__version__})


if __name__ == "__main__":
    main()
