"""What PIL reads of pictures of every kind, its resizes and grey conversion, on generated images.

Run: ORACLES/bin/python tests/oracle/make_images.py [FOLDER]      Made with pillow (version in the file's metadata).
Tensors of FOLDER/images.safetensors: SIZE/input, SIZE/METHOD.HxW, SIZE/gray; KIND/bytes, KIND/pixels (of convert("RGB"),
or convert("L") for grey pictures); KIND/oriented, whose KIND/pixels are turned upright.
"""
import io
import pathlib
import struct
import sys
import zlib

import numpy as np
import PIL
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file


def picture(height, width, seed):
    """Smooth waves with some noise: edges and gradients, as photographs have."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 90 * np.sin(x / (3 + c) + seed) * np.cos(y / (4 + c)) + rng.normal(0, 12, (height, width)) for c in range(3)]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples, bits, colour, extra=b""):
    """A PNG of samples [H, W, C] below 2^bits, any depth; extra: chunks before the data."""
    height, width, channels = samples.shape
    rows = b""
    for row in samples.reshape(height, width * channels).astype(np.uint32):
        planes = (row[:, None] >> np.arange(bits - 1, -1, -1)) & 1
        rows += b"\0" + np.packbits(planes.astype(np.uint8).reshape(-1)).tobytes()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png_kinds():
    rng = np.random.default_rng(3)
    grey, pa = 0, 3
    deep = rng.integers(0, 65536, (13, 17, 4))
    out = {f"png_{n}_16": png(deep[..., :c], 16, t) for n, c, t in (("rgb", 3, 2), ("ga", 2, 4), ("rgba", 4, 6))}
    for bits in (1, 2, 4):
        out[f"png_grey_{bits}"] = png(rng.integers(0, 2**bits, (13, 17, 1)), bits, grey)
        out[f"png_palette_{bits}"] = png(rng.integers(0, 2**bits, (13, 17, 1)), bits, pa, chunk(b"PLTE", rng.bytes(3 << bits)))
    palette = chunk(b"PLTE", rng.bytes(600))
    out["png_palette_8"] = png(rng.integers(0, 200, (13, 17, 1)), 8, pa, palette)
    out["png_palette_trns"] = png(rng.integers(0, 200, (13, 17, 1)), 8, pa, palette + chunk(b"tRNS", rng.bytes(90)))
    plain = rng.integers(0, 256, (13, 17, 4))
    out["png_grey_trns"] = png(plain[..., :1], 8, grey, chunk(b"tRNS", struct.pack(">H", 7)))
    out["png_rgb_trns"] = png(plain[..., :3], 8, 2, chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3)))
    out["png_ga"] = png(plain[..., :2], 8, 4)
    for gamma in (100000, 45455, 22727):
        out[f"png_gamma_{gamma}"] = png(plain[..., :3], 8, 2, chunk(b"gAMA", struct.pack(">I", gamma)))
    out["png_gamma_palette"] = png(rng.integers(0, 200, (13, 17, 1)), 8, pa, chunk(b"gAMA", struct.pack(">I", 100000)) + palette)
    out["png_gamma_16"] = png(deep[..., :3], 16, 2, chunk(b"gAMA", struct.pack(">I", 100000)))
    chrm = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    out["png_chrm_16"] = png(deep[..., :3], 16, 2, chunk(b"cHRM", chrm))
    out["png_srgb_16"] = png(deep[..., :3], 16, 2, chunk(b"sRGB", b"\0"))
    out["png_iccp"] = png(plain[..., :3], 8, 2, chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile")))
    return out


def replaced(data, at, new):
    return data[:at] + new + data[at + len(new):]


def jpeg_kinds():
    def saved(image, **options):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", **options)
        return buffer.getvalue()

    image = Image.fromarray(picture(29, 41, 5))
    plain = saved(image, quality=90)
    jfif, table, scan = plain.index(b"JFIF"), plain.index(b"\xff\xdb"), plain.index(b"\xff\xda")
    length = struct.unpack(">H", plain[scan + 2:scan + 4])[0]
    out = {"jpeg": plain, "jpeg_gray": saved(image.convert("L"), quality=90),
           "jpeg_progressive": saved(image, quality=75, progressive=True),
           "jpeg_444": saved(image, quality=90, subsampling=0), "jpeg_422": saved(image, quality=90, subsampling=1),
           "jpeg_restarts": saved(image, quality=80, restart_marker_blocks=1),
           "jpeg_jfif_2": replaced(plain, jfif + 5, b"\2"),
           "jpeg_padded_table": plain[:table] + b"\1\2\3" + plain[table:],
           "jpeg_padded_end": plain[:-2] + b"\0\0\0" + plain[-2:],
           "jpeg_trailing": plain + b"\0" * 50,
           "jpeg_scan_end_0": replaced(plain, scan + length, b"\0"),
           "jpeg_cmyk": saved(Image.fromarray(np.concatenate([picture(29, 41, 5), picture(29, 41, 6)[..., :1]], -1), "CMYK"), quality=90)}
    cmyk = out["jpeg_cmyk"]
    adobe = cmyk.index(b"Adobe")
    out["jpeg_ycck"] = replaced(cmyk, adobe + 11, b"\2")
    out["jpeg_adobe_unknown"] = replaced(cmyk, adobe + 11, b"\7")
    return out


def webp_kinds():
    def saved(image, **options):
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", **options)
        return buffer.getvalue()

    first, second = (Image.fromarray(picture(29, 41, seed)) for seed in (5, 6))
    alpha = first.copy()
    alpha.putalpha(Image.fromarray(picture(29, 41, 7)[..., 0]))
    return {"webp": saved(first, lossless=True), "webp_lossy": saved(first, quality=80),
            "webp_alpha": saved(alpha, lossless=True, exact=True), "webp_alpha_lossy": saved(alpha, quality=70),
            "webp_animated": saved(first, save_all=True, append_images=[second], duration=40, lossless=True),
            "webp_animated_alpha": saved(alpha, save_all=True, append_images=[second], duration=40, lossless=True)}


def bmp_kinds():
    image = Image.fromarray(picture(29, 41, 5))
    alpha = image.copy()
    alpha.putalpha(Image.fromarray(picture(29, 41, 6)[..., 0]))
    out = {}
    for name, source in (("rgb", image), ("grey", image.convert("L")), ("palette", image.quantize(200)), ("one", image.convert("1")),
                         ("rgba", alpha)):
        buffer = io.BytesIO()
        source.save(buffer, "BMP")
        out[f"bmp_{name}"] = buffer.getvalue()
    rng = np.random.default_rng(4)
    rows = rng.bytes(29 * 84)  # 41 pixels of 16 bits, and padding
    header = struct.pack("<IiiHHIIiiII", 40, 41, 29, 1, 16, 0, len(rows), 0, 0, 0, 0)
    out["bmp_555"] = b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + header + rows
    header = struct.pack("<IiiHHIIiiII", 40, 41, -29, 1, 16, 3, len(rows), 0, 0, 0, 0) + struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    out["bmp_565_top_down"] = b"BM" + struct.pack("<IHHI", 66 + len(rows), 0, 0, 66) + header + rows
    rows, palette = rng.bytes(29 * 24), rng.bytes(64)
    header = struct.pack("<IiiHHIIiiII", 40, 41, 29, 1, 4, 0, len(rows), 0, 0, 0, 0)
    out["bmp_4"] = b"BM" + struct.pack("<IHHI", 118 + len(rows), 0, 0, 118) + header + palette + rows
    return out


def gif_kinds():
    def saved(image, **options):
        buffer = io.BytesIO()
        image.save(buffer, "GIF", **options)
        return buffer.getvalue()

    first, second = (Image.fromarray(picture(29, 41, seed)).quantize(50) for seed in (5, 6))
    out = {"gif": saved(first), "gif_grey": saved(Image.fromarray(picture(29, 41, 5)).convert("L")), "gif_rows_in_turn": saved(first, interlace=0),
           "gif_two_colours": saved(first.convert("RGB").quantize(2)), "gif_transparent": saved(first, transparency=3),
           "gif_animated": saved(first, save_all=True, append_images=[second], duration=40)}
    for kind in ("gif", "gif_transparent"):  # a screen larger than its picture
        out[f"{kind}_on_a_screen"] = replaced(out[kind], 6, struct.pack("<HH", 46, 33))
    return out


def tiff_kinds():
    def saved(image, **options):
        buffer = io.BytesIO()
        image.save(buffer, "TIFF", **options)
        return buffer.getvalue()

    image = Image.fromarray(picture(29, 41, 5))
    grey = image.convert("L")
    alpha = image.copy()
    alpha.putalpha(grey)
    out = {f"tiff_{c}": saved(image, compression=c) for c in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")}
    out |= {"tiff_grey": saved(grey, compression="tiff_lzw"), "tiff_one": saved(image.convert("1")), "tiff_group4": saved(image.convert("1"), compression="group4"),
            "tiff_palette": saved(image.quantize(50)), "tiff_rgba": saved(alpha), "tiff_grey_alpha": saved(alpha.convert("LA")),
            "tiff_several": saved(image, save_all=True, append_images=[grey])}
    for orientation in range(2, 9):  # Pillow turns a TIFF as it says
        exif = Image.Exif()
        exif[0x0112] = orientation
        out[f"tiff_turned_{orientation}"] = saved(image, exif=exif)
    return out


def turned_kinds():
    out = {}
    image = Image.fromarray(picture(29, 41, 5))
    for orientation in range(1, 10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for kind, options in (("jpeg", {}), ("png", {}), ("webp", dict(lossless=True))):
            if kind != "jpeg" and orientation not in (1, 6):
                continue
            buffer = io.BytesIO()
            image.save(buffer, kind, exif=exif, **options)
            out[f"turned_{kind}_{orientation}"] = buffer.getvalue()
    return out


def plain_kinds():
    image = Image.fromarray(picture(29, 41, 5))
    alpha = image.copy()
    alpha.putalpha(Image.fromarray(picture(29, 41, 6)[..., 0]))
    out = {}
    for name, source in (("png", image), ("png_alpha", alpha)):
        buffer = io.BytesIO()
        source.save(buffer, "PNG")
        out[name] = buffer.getvalue()
    return out


def main():
    out = {}
    for height, width in ((37, 53), (64, 48), (17, 90)):
        key, pixels = f"{height}x{width}", picture(height, width, height)
        image = Image.fromarray(pixels)
        out[f"{key}/input"] = pixels
        out[f"{key}/gray"] = np.asarray(image.convert("L"))[..., None]
        for method in (getattr(Image.Resampling, name) for name in ("NEAREST", "BOX", "BILINEAR", "HAMMING", "BICUBIC", "LANCZOS")):
            sizes = ((16, 16), (31, 20), (80, 120), (7, width), (height, 13))
            for h, w in sizes if method.name in ("BILINEAR", "BICUBIC") else sizes[1:2] + sizes[3:]:
                out[f"{key}/{method.name.lower()}.{h}x{w}"] = np.asarray(image.resize((w, h), method))
    for name, data in {**plain_kinds(), **png_kinds(), **jpeg_kinds(), **webp_kinds(), **bmp_kinds(), **gif_kinds(), **tiff_kinds()}.items():
        image = Image.open(io.BytesIO(data))
        pixels = np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
        out[f"{name}/bytes"] = np.frombuffer(data, np.uint8)
        out[f"{name}/pixels"] = pixels[..., None] if pixels.ndim == 2 else pixels
    for name, data in turned_kinds().items():
        out[f"{name}/oriented"] = np.frombuffer(data, np.uint8)
        out[f"{name}/pixels"] = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    tensors = {k: torch.from_numpy(v.copy()) for k, v in out.items()}
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    save_file(tensors, folder / "images.safetensors", metadata={"pillow": PIL.__version__})


if __name__ == "__main__":
    main()
