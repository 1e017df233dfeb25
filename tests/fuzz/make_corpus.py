"""Writes the valid seeds of tests/fuzz/corpus from the repository's test data: python3 tests/fuzz/make_corpus.py VIT22B

VIT22B is the built program, which makes the small checkpoints. Seeds are named seed-*; inputs that fuzzing found lie beside
them under their hashes, those that found a fault as fault-*.
"""
import gzip
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

root = pathlib.Path(__file__).resolve().parents[2]
oracle = root / "tests/oracle"
NEXT = b"\n=====\n"


def as_bytes(value):
    return value if isinstance(value, bytes) else value.encode()


def seed(target, name, *files):
    path = root / "tests/fuzz/corpus" / target / f"seed-{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(NEXT.join(as_bytes(f) for f in files))


def safetensors(tensors, metadata=None):
    """tensors: name -> (dtype, shape, bytes)."""
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, values) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensors_of(path):
    bytes_ = path.read_bytes()
    (length,) = struct.unpack("<Q", bytes_[:8])
    header, data = json.loads(bytes_[8 : 8 + length]), bytes_[8 + length :]
    return {k: (v["dtype"], v["shape"], data[slice(*v["data_offsets"])]) for k, v in header.items() if k != "__metadata__"}


SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def make_safetensors():
    seed("safetensors", "dtypes", safetensors({t: (t, [3], bytes(3 * size)) for t, size in SIZES.items()}, {"format": "pt"}))
    seed("safetensors", "shapes", safetensors({"scalar": ("F32", [], bytes(4)), "empty": ("F32", [0, 5], b""), "m": ("U8", [1, 3, 1], b"abc")}))
    seed("safetensors", "none", safetensors({}))


TINY = "img_size=4 patch_size=2 embed_dim=4 num_heads=2 depth=1 mlp_ratio=1 num_classes=3".split()


def make_checkpoints(vit22b):
    with tempfile.TemporaryDirectory() as folder:
        for block in ("parallel", "serial"):
            place = pathlib.Path(folder) / block
            subprocess.run([vit22b, "model", "init", "demo7", f"block={block}", *TINY, "--out", place, "-q"], check=True)
            config = json.loads((place / "config.json").read_text())
            weights = (place / "model.safetensors").read_bytes()
            seed("model_folder", block, json.dumps(config), weights)
            config.pop("vit22b")
            seed("model_folder", f"timm-{block}", json.dumps({**config, "label_names": ["a", "b", "c"]}), weights)
            seed("manifest", block, (place / "manifest.json").read_bytes())
    text = {"name": '"t"', "block": '"serial"', "embed_dim": "4", "num_heads": "2", "depth": "1", "vocab_size": "5", "context_length": "3",
            "num_classes": "0", "joint_dim": "4", "class_token": "false", "global_pool": '"last"'}
    ours = {"format": 1, "model": {"name": '"i"', "embed_dim": "4", "num_heads": "2", "depth": "1"}, "pp_eval": "decode|value_range(-1,1)", "any_size": True,
            "text": {"model": text, "tokenizer": "tokenizer.model", "tokenizer_xxh3_128": "0", "templates": ["a {}"]}}
    seed("model_folder", "text", json.dumps({"vit22b": ours}), safetensors({}))
    for folder in sorted(oracle.glob("timm_*/")):
        config = json.loads((folder / "config.json").read_text())
        seed("model_folder", folder.name, json.dumps(config), safetensors({"blocks.0.norm1.weight": ("F32", [0], b"")}))
    args = {"architecture": "vit_base_patch16_224.augreg2_in21k_ft_in1k", "num_classes": 2, "global_pool": "avg",
            "pretrained_cfg": {"tag": "a_in1k", "input_size": [3, 224, 224], "crop_mode": "border", "crop_pct": 0.95, "interpolation": "bicubic",
                               "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]},
            "model_args": {"depth": 1, "embed_dim": 4, "num_heads": 2, "global_pool": "avg", "img_size": [32, 16], "fc_norm": None, "class_token": False,
                           "norm_layer": "LayerNorm", "act_layer": "gelu"}}
    block = {f"blocks.0.{name}": ("F32", [0], b"") for name in ("norm1.weight", "attn.qkv.weight")}
    seed("model_folder", "timm-arguments", json.dumps(args), safetensors({**block, "pos_embed": ("F32", [1, 2, 0], b"")}))
    # The fields of manifest.json for the files that the target has beside it.
    files = {"config.json": {"size": 3, "xxh3_128": "0"}, "model.safetensors": {"size": 140, "xxh3_128": "0", "tensors": {"a": "0"}}}
    seed("manifest", "files", json.dumps({"format": 1, "files": files}))
    part = safetensors({"a": ("F32", [1], bytes(4)), "c": ("BF16", [2, 1], bytes(4))})
    index = {"metadata": {"total_size": 20}, "weight_map": {"a": "a", "b": "b", "c": "a"}}
    seed("shard_index", "two", json.dumps(index), part)
    data = {"train": {"names": "0", "contents": "1", "size": 2, "classes": ["x"]}}
    seed("run_state", "state", json.dumps({"step": 3, "seed": 1, "examples_seen": 4, "train_seconds": 1.5, "best_metric": 0.5, "best_step": 2,
         "is_eval_pending": False, "metrics_bytes": 10, "layout": {"threads": "2"}, "data": data, "sources": {"a": "b"}}))


def make_data():
    labels = struct.pack(">II", 0x801, 2) + b"\0\3"
    images = struct.pack(">IIII", 0x803, 2, 3, 2) + bytes(range(12))
    seed("idx", "plain", labels, images)
    seed("idx", "zipped", gzip.compress(labels, mtime=0), gzip.compress(images, mtime=0))
    seed("image_table", "captions", 'filepath,caption,split\na.png,"a ""cat"", sitting",train\na.png,a dog,train\nb.png,,test\n')
    seed("image_table", "labels", "\ufefffilepath\tlabel\na.png\t3\nb.png\t1\n")
    seed("image_table", "names", "label,filepath\r\nox,a.png\r\ncat,b.png\r\n")
    for name, (_, _, bytes_) in tensors_of(oracle / "images.safetensors").items():
        if name.endswith("/bytes") and len(bytes_) < 4000:
            seed("image", name[: -len("/bytes")], bytes_)


def make_texts():
    for path in sorted((root / "configs/train").glob("*.toml")):
        seed("config", path.stem, path.read_text(), "optim.lr=1e-3\nmodel.name=demo7\ndata.val=\"\"")
    seed("config", "kinds", 'total_epochs = 2\ninit_skip = ["head.*", \'b\']\nseed = 0x1f\nmodel = {name = "demo7", img_size = "28x14", patch_size = 7}\n',
         "optim.lr = 1e-3\nmodel.depth=2\nfreeze=[\"a\"]\ndevice=cpu")
    for i, text in enumerate([
            "decode|gray|flip_lr|value_range(-1,1)",
            "decode(orient)|rgb|resize_small(8,bicubic)|central_crop(7)|value_range(-1,1)",
            "decode|rgb|resize(9,8,lanczos,pil)|crop_or_pad(7,6,10,20,30)|normalize(0.5,0.4,0.3,0.2,0.2,0.2)",
            "resize_fit(7,9,nearest,pil)|crop_or_pad(7,9,124)|normalize(0.5,0.5)",
            'inception_crop(5,25,100)|random_gray(20)|random_invert(50)|value_range(0,1,inkey="image",outkey="image")',
            "resize_cover(5,6,box,pil)|random_crop(4,3)|gray",
            "inception_crop(4,5,50,100)|resize(6,hamming,pil)|resize_small(9,bicubic,pil)",
            "decode|resize(9,8,bicubic,pil)|crop_or_pad(7,6)|value_range(0,1)"]):
        seed("transforms", str(i), text)
    demo = root / "tests/report/golden/demo"
    result = json.loads((demo / "results/eval-test.json").read_text())
    short = {**result, "examples": result["examples"][:2], "calibration": result["calibration"][:4],
             "confusion": [[3, 1], [2, 4]], "label_names": ["a", "b"], "provenance": {"source": "idx:x", "split": "test", "step": 3}}
    metrics = "\n".join((demo / "metrics.jsonl").read_text().splitlines()[:3])
    config = "\n".join((demo / "config.resolved.toml").read_text().splitlines()[:9])
    seed("run_reader", "demo", config, metrics, json.dumps(short))
    many = {"top1": 0.5, "confusion": {"labels": [3, 4], "most_confused": [{"label": 0, "prediction": 1, "count": 2}]}}
    seed("run_reader", "many", "seed = 1", '{"step": 1, "loss": 2.5, "entropy": [1, 2, null]}\n{"step": 2, "loss', json.dumps(many))


def field(number, kind, value):
    """A field of a protobuf message: bytes with their length, a varint, or four bytes."""
    return bytes([number << 3 | kind]) + (bytes([len(value)]) if kind == 2 else b"") + value


def sentencepiece(model_type):
    pieces = [("<pad>", 0, 3), ("</s>", 0, 3), ("<unk>", 0, 2), ("\u2581", -2, 1), ("\u2581cat", -1, 1), ("a", -2, 1), ("c", -3, 1), ("t", -3, 1), ("ca", -2, 1)]
    message = b""
    for piece, score, kind in pieces:
        message += field(1, 2, field(1, 2, piece.encode()) + field(2, 5, struct.pack("<f", score)) + field(3, 0, bytes([kind])))
    trainer = field(3, 0, bytes([model_type])) + b"".join(bytes([tag << 3 & 0x7F | 0x80, tag >> 4, value]) for tag, value in ((40, 2), (42, 1)))
    trainer += b"\xc8\x02" + b"\xff" * 9 + b"\x01"  # no <s>
    return message + field(2, 2, trainer) + field(3, 2, field(1, 2, b"identity") + field(3, 0, b"\x01"))


def make_tokenizers():
    merges = "#version: 0.2\na b\nab c</w>\n\u0120 t\nc a\nca t</w>\n"
    caption = "A cat&amp;lt;3, it\u2019s 7 \ufb01ne &eacute; \u00df\u0130\u03a3"
    seed("tokenizer", "merges", "txt\n" + caption, merges)
    seed("tokenizer", "zipped", "gz\n" + caption, gzip.compress(merges.encode(), mtime=0))
    for kind, name in ((1, "unigram"), (2, "bpe"), (3, "word"), (4, "char")):
        seed("tokenizer", name, "model\na cat", sentencepiece(kind))
    seed("caption", "html", caption + "<b>&amp;amp;</b> &#x41;&#65;&notit; &NotEqualTilde;")
    seed("caption", "controls", "\x1b[36;44mblue\x1b[0m \x85\x93quoted\x94 \uff21\u3000\ufeffend\r\n&quot;")


if __name__ == "__main__":
    make_safetensors()
    make_checkpoints(sys.argv[1])
    make_data()
    make_texts()
    make_tokenizers()
