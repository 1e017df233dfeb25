"""Writes the valid seeds of tests/fuzz/corpus from the repository's test data: python3 tests/fuzz/make_corpus.py VIT22B

VIT22B is the built program, which makes the small checkpoints. Seeds are named seed-*; inputs that fuzzing found lie beside
them under their hashes, those that found a fault as fault-*.
"""
import argparse
import base64
import collections
import ctypes
import gzip
import io
import json
import math
import pathlib
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile

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


def tensors_of(bytes_):
    (length,) = struct.unpack("<Q", bytes_[:8])
    header, data = json.loads(bytes_[8 : 8 + length]), bytes_[8 + length :]
    return {k: (v["dtype"], v["shape"], data[slice(*v["data_offsets"])]) for k, v in header.items() if k != "__metadata__"}


class Xxh128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def xxh3_128(bytes_):
    """As manifest.json and config.json have it, by Debian's libxxhash."""
    function = ctypes.CDLL("libxxhash.so.0").XXH3_128bits
    function.restype, function.argtypes = Xxh128, [ctypes.c_char_p, ctypes.c_size_t]
    hash_ = function(bytes_, len(bytes_))
    return f"{hash_.high:016x}{hash_.low:016x}"


def float32(shape, values=None):
    """A tensor, of 1/8, 2/8, ... unless said."""
    count = 1
    for side in shape:
        count *= side
    return "F32", list(shape), struct.pack(f"<{count}f", *(values or [(i + 1) / 8 for i in range(count)]))


def int64(values):
    return "I64", [len(values)], struct.pack(f"<{len(values)}q", *values)


SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def make_safetensors():
    seed("safetensors", "dtypes", safetensors({t: (t, [3], bytes(3 * size)) for t, size in SIZES.items()}, {"format": "pt"}))
    seed("safetensors", "shapes", safetensors({"scalar": ("F32", [], bytes(4)), "empty": ("F32", [0, 5], b""), "m": ("U8", [1, 3, 1], b"abc")}))
    seed("safetensors", "none", safetensors({}))


A, B = "a.safetensors", "b.safetensors"


def make_shard_indices():
    part = safetensors({"a": ("F32", [1], bytes(4)), "c": ("BF16", [2, 1], bytes(4))})
    index = {"metadata": {"total_size": 20}, "weight_map": {"a": A, "b": B, "c": A}}
    seed("shard_index", "two", json.dumps(index), part)
    twins = {name: float32([3]) for name in ("a", "attn_out_proj.bias", "mlp_out_proj.bias")}
    places = {**{name: A for name in twins}, "b": B}
    seed("shard_index", "parameters", json.dumps({"weight_map": places}), safetensors(twins))
    seed("shard_index", "whole-numbers", json.dumps({"weight_map": places}), safetensors({**twins, "a": ("I32", [3], bytes(12))}))
    seed("shard_index", "not-there", json.dumps({"weight_map": {**places, "c": A}}), safetensors(twins))
    seed("shard_index", "not-listed", json.dumps({"weight_map": {"a": A}}), safetensors(twins))
    seed("shard_index", "place", json.dumps({"weight_map": {"a": f"../{A}"}}), safetensors(twins))
    seed("shard_index", "index", json.dumps({"weight_map": {"a": "model.safetensors.index.json"}}), part)


def npy(values, kind, shape, is_fortran=False):
    header = f"{{'descr': '{kind}', 'fortran_order': {is_fortran}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + values


def zipped(members, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, values in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with archive.open(info, "w", force_zip64="64" in name) as member:
                member.write(values)
    return file.getvalue()


def make_containers():
    arrays = {"a.npy": npy(bytes(range(24)), "<f4", (2, 3)), "b/c64.npy": npy(bytes(range(12)), "<f2", (2, 3), True),
              "scalar.npy": npy(bytes(8), "<i8", ()), "empty.npy": npy(b"", "|V2", (0, 4))}
    seed("npz", "stored", zipped(arrays))
    seed("npz", "packed", zipped({**arrays, "zeros.npy": npy(bytes(4000), "|u1", (4000,))}, zipfile.ZIP_DEFLATED))
    seed("npz", "none", zipped({}))
    containers = oracle / "containers"
    for name in ("zip.pth", "protocol4.pth", "script.pt"):
        with zipfile.ZipFile(containers / name) as archive:
            pickle_name = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
            seed("pickle", name, archive.read(pickle_name))
    seed("pickle", "stream", (containers / "stream.pth").read_bytes())
    for protocol in (2, 3, 4):
        values = {"a": [1, -2, 2**40, 2**80, 0.5, None, True], "b": ("x", b"y"), "s": {1}, 3: collections.OrderedDict(c={}), "n": argparse.Namespace(lr=1)}
        seed("pickle", f"values-{protocol}", pickle.dumps(values, protocol))
    state = zipped({"any/data.pkl": pickle.dumps({"a": {}}, 2), "any/byteorder": b"little", "any/data/0": bytes(8)})
    seed("pickle", "archive", state)


TINY = "img_size=4 patch_size=2 embed_dim=4 num_heads=2 depth=1 mlp_ratio=1 num_classes=3".split()
STATE = {"step": 3, "seed": 1, "examples_seen": 4, "train_seconds": 1.5, "best_metric": 0.5, "best_step": 2, "is_eval_pending": False,
         "metrics_bytes": 10, "layout": {"threads": "2"}, "data": {"train": {"names": "0", "contents": "1", "size": 2, "classes": ["x"]}},
         "sources": {"a": "b"}}
TEXT = {"name": '"t"', "block": '"serial"', "embed_dim": "2", "num_heads": "1", "depth": "1", "mlp_ratio": "1", "vocab_size": "5",
        "context_length": "3", "num_classes": "0", "joint_dim": "2", "class_token": "false", "global_pool": '"last"'}


def text_weights():
    block = {"norm1.weight": [2], "attn.qkv.weight": [6, 2], "attn.q_norm.weight": [2], "attn.k_norm.weight": [2], "attn.proj.weight": [2, 2],
             "attn.proj.bias": [2], "norm2.weight": [2], "mlp.fc1.weight": [2, 2], "mlp.fc1.bias": [2], "mlp.fc2.weight": [2, 2], "mlp.fc2.bias": [2]}
    shapes = {"token_embedding.weight": [5, 2], "pos_embed": [1, 3, 2], **{f"blocks.0.{name}": shape for name, shape in block.items()},
              "norm.weight": [2], "joint.weight": [2, 2], "joint.bias": [2], "logit_scale": [1], "logit_bias": [1]}
    return safetensors({name: float32(shape) for name, shape in shapes.items()})


def make_run(block, config, weights):
    momentum = {f"momentum/{name}": tensor for name, tensor in tensors_of(weights).items() if name.endswith("bias")}
    seed("run_state", f"run-{block}", json.dumps(STATE), json.dumps(config), weights, safetensors({**momentum, "count": int64([3])}))
    tokenizer = sentencepiece(1)
    text = {"model": TEXT, "tokenizer": "tokenizer.model", "tokenizer_xxh3_128": xxh3_128(tokenizer), "templates": ["a {}"]}
    two = {**config, "vit22b": {**config["vit22b"], "text": text, "any_size": True}}
    seed("two_towers", block, json.dumps(two), text_weights(), weights, tokenizer)
    seed("two_towers", f"{block}-locked-only", json.dumps(config), text_weights(), weights, tokenizer)


def make_two_towers():
    """CLIP's of transformers' and of open_clip's, with towers of width 4 and a block each."""
    def tensors(shapes):
        return safetensors({name: ("F32", list(shape), bytes(4 * math.prod(shape))) for name, shape in shapes.items()})

    def layer(name, out, width, weight=".weight", bias=".bias"):
        return {name + weight: (out, width), name + bias: (out,)}

    def norm(name):
        return {name + ".weight": (4,), name + ".bias": (4,)}

    theirs, own = {"logit_scale": ()}, {"logit_scale": ()}
    for tower, projection, prefix in (("vision_model.", "visual_projection", "visual."), ("text_model.", "text_projection", "")):
        block = tower + "encoder.layers.0."
        theirs |= {k: v for part in "qkv" for k, v in layer(f"{block}self_attn.{part}_proj", 4, 4).items()} | layer(block + "self_attn.out_proj", 4, 4)
        theirs |= layer(block + "mlp.fc1", 6, 4) | layer(block + "mlp.fc2", 4, 6) | norm(block + "layer_norm1") | norm(block + "layer_norm2")
        theirs |= {projection + ".weight": (3, 4)}
        block = prefix + "transformer.resblocks.0."
        own |= layer(block + "attn.in_proj", 12, 4, "_weight", "_bias") | layer(block + "attn.out_proj", 4, 4)
        own |= layer(block + "mlp.c_fc", 6, 4) | layer(block + "mlp.c_proj", 4, 6) | norm(block + "ln_1") | norm(block + "ln_2")
    theirs |= norm("vision_model.pre_layrnorm") | norm("vision_model.post_layernorm") | norm("text_model.final_layer_norm")
    theirs |= {"vision_model.embeddings.class_embedding": (4,), "vision_model.embeddings.patch_embedding.weight": (4, 3, 2, 2),
               "vision_model.embeddings.position_embedding.weight": (5, 4), "text_model.embeddings.token_embedding.weight": (7, 4),
               "text_model.embeddings.position_embedding.weight": (5, 4)}
    towers = {"vision_config": {"num_attention_heads": 2, "image_size": 4, "patch_size": 2}, "text_config": {"num_attention_heads": 2, "eos_token_id": 6}}
    seed("model_folder", "clip-two-towers", json.dumps({"model_type": "clip", **towers}), tensors(theirs))
    own |= norm("visual.ln_pre") | norm("visual.ln_post") | norm("ln_final")
    own |= {"visual.class_embedding": (4,), "visual.conv1.weight": (4, 3, 2, 2), "visual.positional_embedding": (5, 4), "visual.proj": (4, 3),
            "token_embedding.weight": (7, 4), "positional_embedding": (5, 4), "text_projection": (4, 3)}
    towers = {"vision_cfg": {"image_size": 4, "head_width": 2, "patch_size": 2}, "text_cfg": {"heads": 2, "pool_type": "eos", "eos_id": 6}}
    seed("model_folder", "open-clip-two-towers", json.dumps({"model_cfg": {"embed_dim": 3, **towers}}), tensors(own))


def make_checkpoints(vit22b):
    with tempfile.TemporaryDirectory() as folder:
        for block in ("parallel", "serial"):
            place = pathlib.Path(folder) / block
            subprocess.run([vit22b, "model", "init", "demo7", f"block={block}", *TINY, "--out", place, "-q"], check=True)
            config = json.loads((place / "config.json").read_text())
            weights = (place / "model.safetensors").read_bytes()
            seed("model_folder", block, json.dumps(config), weights)
            make_run(block, config, weights)
            config.pop("vit22b")
            seed("model_folder", f"timm-{block}", json.dumps({**config, "label_names": ["a", "b", "c"]}), weights)
            seed("manifest", block, (place / "manifest.json").read_bytes())
    text = {"name": '"t"', "block": '"serial"', "embed_dim": "4", "num_heads": "2", "depth": "1", "vocab_size": "5", "context_length": "3",
            "num_classes": "0", "joint_dim": "4", "class_token": "false", "global_pool": '"last"'}
    ours = {"format": 1, "model": {"name": '"i"', "embed_dim": "4", "num_heads": "2", "depth": "1"}, "pp_eval": "decode|value_range(-1,1)", "any_size": True,
            "text": {"model": text, "tokenizer": "tokenizer.model", "tokenizer_xxh3_128": "0", "templates": ["a {}"]}}
    seed("model_folder", "text", json.dumps({"vit22b": ours}), safetensors({}))
    make_two_towers()
    for folder in sorted(oracle.glob("timm_*/")):
        config = json.loads((folder / "config.json").read_text())
        seed("model_folder", folder.name, json.dumps(config), safetensors({"blocks.0.norm1.weight": ("F32", [0], b"")}))
    args = {"architecture": "vit_base_patch16_224.augreg2_in21k_ft_in1k", "num_classes": 2, "global_pool": "avg",
            "pretrained_cfg": {"tag": "a_in1k", "input_size": [3, 224, 224], "crop_mode": "border", "crop_pct": 0.95, "interpolation": "bicubic",
                               "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]},
            "model_args": {"depth": 1, "embed_dim": 4, "num_heads": 2, "global_pool": "avg", "img_size": [32, 16], "fc_norm": None, "class_token": False,
                           "norm_layer": "LayerNorm", "act_layer": "gelu"}}
    seed("model_folder", "timm-unknown", json.dumps({**args, "architecture": "vit_bose_patch16_224"}), safetensors({}))
    block = {f"blocks.0.{name}": ("F32", [0], b"") for name in ("norm1.weight", "attn.qkv.weight")}
    seed("model_folder", "timm-arguments", json.dumps(args), safetensors({**block, "pos_embed": ("F32", [1, 2, 0], b"")}))
    make_families()
    make_manifests()
    seed("run_state", "state", json.dumps(STATE))


def state(shapes):
    return safetensors({name: float32(shape) for name, shape in shapes.items()})


def make_families():
    """Other libraries' models of width 4: by config.json, and by the tensors' names where that is empty."""
    both = lambda name, shape: {name + ".weight": shape, name + ".bias": shape[:1]}
    plain = {"cls_token": [1, 1, 4], "pos_embed": [1, 2, 4], **both("patch_embed.proj", [4, 3, 2, 2]), **both("norm", [4])}
    for name, shape in {"norm1": [4], "attn.qkv": [12, 4], "attn.proj": [4, 4], "norm2": [4], "mlp.fc1": [6, 4], "mlp.fc2": [4, 6]}.items():
        plain |= both("blocks.0." + name, shape)
    seed("model_folder", "state-plain", "{}", state(plain))
    hf = {"num_attention_heads": 2, "image_size": 2, "hidden_act": "silu"}
    layer = {"norm1": [4], "norm2": [4], "attention.q_proj": [4, 4], "attention.v_proj": [4, 4], "attention.o_proj": [4, 4],
             "mlp.gate_proj": [6, 4], "mlp.up_proj": [6, 4], "mlp.down_proj": [4, 6]}
    dinov3 = {"embeddings.cls_token": [1, 1, 4], "embeddings.register_tokens": [1, 2, 4], **both("embeddings.patch_embeddings", [4, 3, 2, 2]),
              **both("norm", [4]), "layer.0.attention.k_proj.weight": [4, 4]}
    for name, shape in layer.items():
        dinov3 |= both("layer.0." + name, shape)
    seed("model_folder", "hf-dinov3", json.dumps({**hf, "model_type": "dinov3_vit", "use_gated_mlp": True}), state(dinov3))
    clip = {"vision_model.embeddings.class_embedding": [4], "vision_model.embeddings.patch_embedding.weight": [4, 3, 2, 2],
            "vision_model.embeddings.position_embedding.weight": [2, 4], "visual_projection.weight": [3, 4],
            **both("vision_model.pre_layrnorm", [4]), **both("vision_model.post_layernorm", [4])}
    for name, shape in {"layer_norm1": [4], "layer_norm2": [4], "self_attn.q_proj": [4, 4], "self_attn.k_proj": [4, 4], "self_attn.v_proj": [4, 4],
                        "self_attn.out_proj": [4, 4], "mlp.fc1": [6, 4], "mlp.fc2": [4, 6]}.items():
        clip |= both("vision_model.encoder.layers.0." + name, shape)
    vision = {"vision_config": {**hf, "hidden_act": "quick_gelu"}, "model_type": "clip", "architectures": ["CLIPModel"]}
    seed("model_folder", "hf-clip", json.dumps(vision), state(clip))
    for kind in ("radio", "sapiens2", "tipsv2", "aimv2", "internvl_vision", "siglip2", "vit", "dinov2_with_registers", "intern_vit_6b"):
        seed("model_folder", "hf-" + kind, json.dumps({**hf, "model_type": kind}), state(plain))
    open_clip = {"model_cfg": {"embed_dim": 3, "quick_gelu": True, "vision_cfg": {"image_size": 2, "head_width": 2, "pool_type": "avg"}}}
    names = {"class_embedding": [4], "conv1.weight": [4, 3, 2, 2], "positional_embedding": [2, 4], "proj": [4, 3], **both("ln_post", [4])}
    block = "transformer.resblocks.0."
    for name, shape in {"ln_1": [4], "ln_2": [4], "attn.out_proj": [4, 4], "mlp.c_fc": [6, 4], "mlp.c_proj": [4, 6]}.items():
        names |= both(block + name, shape)
    names |= {block + "attn.in_proj_weight": [12, 4], block + "attn.in_proj_bias": [12]}
    seed("model_folder", "open-clip", json.dumps(open_clip), state({"visual." + name: shape for name, shape in names.items()}))


def make_manifests():
    """manifest.json for the files that the target has beside it: whole, and with one thing wrong each."""
    header = b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}'
    header = struct.pack("<Q", 120) + header.ljust(120)
    config, none = {"size": 3, "xxh3_128": xxh3_128(b"{}\n")}, "0" * 32
    weights = {"size": len(header) + 12, "xxh3_128": xxh3_128(header), "tensors": {"a": xxh3_128(bytes(12))}}
    whole = {"config.json": config, "model.safetensors": weights, "trainer.json": config}
    for name, files in {
            "files": whole, "text": {**whole, "config.json": {**config, "xxh3_128": none}}, "size": {**whole, "config.json": {**config, "size": 4}},
            "header": {**whole, "model.safetensors": {**weights, "xxh3_128": none}}, "tensor": {**whole, "model.safetensors": {**weights, "tensors": {"a": none}}},
            "missing": {**whole, "optimizer.safetensors": config}, "place": {"../config.json": config}}.items():
        seed("manifest", name, json.dumps({"format": 1, "files": files}))


def make_features():
    """Shards of the three pictures that the target has, and files of features."""
    marks = {"made_from": "IDENTITY-OF-THESE-THREE-PICTURES", "xxh3_128": "HASH-OF-ALL-TENSORS-OF-THE-SHARD"}
    contents = json.dumps(["a", "b", "c"])
    tensors = {"indices": int64([0, 1, 2]), "labels": int64([0, 1, 0]), "pooled": float32([3, 3])}
    seed("feature_cache", "whole", safetensors(tensors, {**marks, "paths": '["0","1","2"]', "contents": contents, "left_out": "[]"}))
    two = {"indices": int64([0, 2]), "labels": int64([0, 0]), "pooled": float32([2, 3])}
    seed("feature_cache", "left-out", safetensors(two, {**marks, "paths": '["0","2"]', "left_out": '[[1,"1","why"]]'}))
    seed("feature_cache", "others", safetensors(tensors, {**marks, "made_from": "0" * 32}))
    seed("feature_cache", "damaged", safetensors(tensors, {**marks, "xxh3_128": "0" * 32}))
    seed("feature_cache", "none", safetensors({"indices": int64([]), "labels": int64([])}, {**marks, "paths": "[]", "left_out": '[[0,"0","why"],[1,"1","why"]]'}))
    pairs = {"features": float32([3, 2]), "labels": int64([0, 1, 1]), "texts": float32([2, 2]), "text_labels": int64([0, 1])}
    seed("feature_cache", "pairs", safetensors(pairs, {"contents": contents}))
    seed("feature_cache", "unfit", safetensors({**pairs, "texts": float32([2, 3])}))
    seed("feature_cache", "infinite", safetensors({**pairs, "features": float32([1, 2], [1, float("inf")]), "labels": int64([0])}))
    seed("feature_cache", "negative", safetensors({**pairs, "labels": int64([0, -1, 1])}))


def make_data():
    labels = struct.pack(">II", 0x801, 2) + b"\0\3"
    images = struct.pack(">IIII", 0x803, 2, 3, 2) + bytes(range(12))
    seed("idx", "plain", labels, images)
    seed("idx", "zipped", gzip.compress(labels, mtime=0), gzip.compress(images, mtime=0))
    seed("image_table", "captions", 'filepath,caption,split\na.png,"a ""cat"", sitting",train\na.png,a dog,train\nb.png,,test\n')
    seed("image_table", "labels", "\ufefffilepath\tlabel\na.png\t3\nb.png\t1\n")
    seed("image_table", "long-name", f"label,filepath\n{'x' * 256},a.png\n")
    seed("image_table", "broken-name", b"label,filepath\n\xff,a.png\n")
    seed("image_table", "names", "label,filepath\r\nox,a.png\r\ncat,b.png\r\n")
    for name, (_, _, bytes_) in tensors_of((oracle / "images.safetensors").read_bytes()).items():
        if name.endswith("/bytes") and (len(bytes_) < 4000 or name == "webp_animated/bytes"):
            seed("image", name[: -len("/bytes")], bytes_)


ALONE = 10  # overrides that the target tries alone, of an input
# A config, and what makes each of the checks refuse it, or takes another way.
CHOOSING = 'total_steps = 9\nmodel.name = "test8"\ndata.root = "d"\n'
CHOICES = """total_steps=0
total_examples=5
warmup_epochs=1
warmup_percent=10
data.root=""
data.batch_size=0
accumulate=3
data.val=val
data.class_map=c
data.class_map=
mesh.data=-1
mesh.model=4
mesh.model=3
mesh.deadline_s=0
mesh.prefetch=65
data.workers=-1
keep_last=0
block_inputs=file
update=now
state=file
store=sharded
data.mixup=2
data.max_bad_fraction=nan
data.max_pixels=0
optim.name=sgd
optim.lr=-1
optim.lr=inf
optim.momentum=1
optim.layer_decay=0
optim.polyak=1
schedule.name=cosine
schedule.name=none
task=distill
task=lit
distill.teachers=["a"]
distill.class_map=c
lit.image_tower=a
seed=-1
no_such_option=1
no equals
=1
optim.lr=many
seed=1.5
freeze=[1, "a"]
freeze=[1.5]
precision=fp31
model.name=b17
model.name=3
model.block=other
model.img_size=225
model.img_size=5
model.img_size=8x16
model.img_size=0
model.patch_size=2000000
model.patch_size=7
model.in_chans=1000000
model.depth=0
model.num_heads=5
model.mlp_ratio=0
model.reg_tokens=-1
model.num_classes=-1
model.num_classes=1
model.norm_eps=-1
model.global_pool=token
model.global_pool=last
model.fc_norm=true
model.pool_include_prefix=true
model.vocab_size=5
model.context_length=5
init_from=none
optim.weight_decay=2024.10""".splitlines()
TOGETHER = {
    "lit": 'task = "lit"\nlit.image_tower = "a"\n', "distill": 'task = "distill"\ndistill.teachers = ["a"]\n',
    "words": "model.vocab_size = 5\nmodel.context_length = 3\nmodel.num_classes = 0\nmodel.joint_dim = 4\n",
    "now": 'update = "now"\noptim.clip = "previous"\naccumulate = 2\n', "val": 'data.val = "val"\ndata.class_map = "c"\n'}
CHOICES_TOGETHER = {
    "lit": ["lit.image_lr=0", "lit.unlock=some", "lit.unlock=2", "lit.templates=[]", "lit.templates=[\"a\"]", "data.mixup=0.5", "init_from=a", "mesh.model=2", "data.class_map=c", "model.global_pool=token"],
    "distill": ["distill.temperature=0", "distill.feature_weight=-1", "mesh.model=2", "distill.logits=cached", "distill.class_map=c"],
    "words": ["model.context_length=0", "model.vocab_size=1000000000", "model.joint_dim=-1", "model.class_token=true", "model.num_classes=3"],
    "now": ["accumulate=1", "update=deferred"], "val": ["data.val=5%", "data.class_map=", "task=lit"]}


def make_texts():
    for path in sorted((root / "configs/train").glob("*.toml")):
        seed("config", path.stem, path.read_text(), "optim.lr=1e-3\nmodel.name=demo7\ndata.val=\"\"")
    for first in range(0, len(CHOICES), ALONE):
        seed("config", f"choices-{first}", CHOOSING, "\n".join(CHOICES[first : first + ALONE]))
    for name, choices in CHOICES_TOGETHER.items():
        seed("config", f"choices-{name}", CHOOSING + TOGETHER[name], "\n".join(choices))
    seed("config", "include", 'include = ["base.toml"]\ntotal_steps = 9\n', 'data.root=d', 'total_epochs = 2\n[model]\nname = "test8"\n[fresh_model]\ndepth = 1\n')
    seed("config", "includes-itself", 'include = ["config.toml"]\n')
    seed("config", "includes-none", 'include = ["none.toml"]\n')
    seed("config", "include-kind", 'include = "base.toml"\n')
    seed("config", "date", "a = 1979-05-27\n")
    seed("config", "list-of-lists", "a = [[1], [2]]\n")
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
    for name, file in {"names": "cat\nox\n", "numbers": "\ufeffcat 1\r\nox,0\r\n\r\n", "tabs": "cat\t0\nox\t7\n", "twice": "cat\nox\ncat\n", "gap": "cat\n\nox", "empty": "\n"}.items():
        seed("class_map", name, file, "ox\ncat", "cat\nox")
    seed("class_map", "unknown", "cat", "cow\nox", "cat\nox\nemu\nox")
    seed("class_map", "order", "dog", "cat\nox", "0\n1")
    seed("class_map", "unnamed", "dog", "cat", "0\n1")
    seed("class_map", "by-number", "0\n1", "0\n1\n2", "cat\nox")
    groups = "label,prediction,score,group\n1,1,0.75,a\n0,1,0.5,b\n-1,no,1e-3,\"a, b\"\n"
    trials = ("subj,Session,trial,rt,object_response,category,condition,imagename\n"
              "subject-01,1,1,NaN,na,truck,0,0001_cue_s01_0_truck_00_truck2-bottle3.png\n"
              "subject-01,1,2,0.9,bear,knife,0,knife5-clock1.png\n")
    for name, classes in {"names": '{"cat": "b; a", "ox": ["n3", 0]}', "list": "[[0, 2], [], [1]]", "pictures": '{"sample 0": [0], "sample 1": [], "sample 2": [2, 1]}',
                          "number": '{"cat": 9e99}', "nested": '{"cat": [[0]]}'}.items():
        seed("measured_tables", name, groups, trials, classes)
    celeba = "2\nlabel group\n000001.jpg -1  1\n000002.jpg  1 -1\n"
    seed("measured_tables", "celeba", celeba, "image_id,label,group,split\na.png,yes,old,train\nb.png,0,young,test\n", "000001.jpg 0\n000002.jpg 2\n")
    config = 'total_steps = 9\ninit_from = "."\ndata.root = "d"\nmodel.name = "test8"\n'
    lit = config.replace("init_from", "lit.image_tower") + 'task = "lit"\nlit.tokenizer = "config.json"\n'
    meta = json.dumps({"working_folder": "/tmp"})
    as_it_was = {"names": "names", "contents": "contents", "size": 3, "classes": ["cat", "ox"]}
    for name, train, val in (
            ("same", {}, {}), ("contents", {"contents": ""}, {}), ("size", {"size": 4}, {}), ("names", {"names": ""}, {"names": ""}),
            ("class", {"classes": ["cat", "dog"]}, {}), ("classes", {"classes": []}, {})):
        state = {**STATE, "data": {"train": {**as_it_was, **train}, "val": {**as_it_was, **val}}, "sources": {"init_from": "0", "lit.image_tower": "0"}}
        seed("run_sources", name, config if name != "class" else lit, meta if name == "same" else "", json.dumps(state))
    distill = config.replace('init_from = "."', 'distill.teachers = [".", "none"]') + 'task = "distill"\n'
    seed("run_sources", "distill", distill, '{"working_folder": 3}', json.dumps({**STATE, "data": {}}))
    seed("run_sources", "teacher", distill.replace(', "none"', ""), "torn", json.dumps({**STATE, "data": {}}))
    demo = root / "tests/report/golden/demo"
    result = json.loads((demo / "results/eval-test.json").read_text())
    short = {**result, "examples": result["examples"][:2], "calibration": result["calibration"][:4],
             "confusion": [[3, 1], [2, 4]], "label_names": ["a", "b"], "provenance": {"source": "idx:x", "split": "test", "step": 3}}
    metrics = "\n".join((demo / "metrics.jsonl").read_text().splitlines()[:3])
    config = "\n".join((demo / "config.resolved.toml").read_text().splitlines()[:9])
    seed("run_reader", "demo", config, metrics, json.dumps(short))
    many = {"top1": 0.5, "confusion": {"labels": [3, 4], "most_confused": [{"label": 0, "prediction": 1, "count": 2}]}}
    measures = {"provenance": {"source": "", "split": "", "step": None}, "accuracy": 0.5,
                "reliability": [{"count": 3, "accuracy": 0.5, "confidence": 0.4, "low": 0.1, "high": 0.9}, {"count": 0, "accuracy": None, "confidence": None, "low": None, "high": None}],
                "by_severity": [{"corruption": "fog", "severity": 1, "accuracy": 0.5}], "by_corruption": {"fog": {"accuracy": 0.5}}, "msp": {"auroc": 0.75},
                "sets": {"a": {"accuracy": -1e300, "score": 1e300}}, "groups": [{"group": "<b>", "accuracy": 1}], "rto": [{"tolerance": 0.1, "accuracy": None}],
                "by_condition": [{"observer": "humans", "set": "contrast", "condition": "c05", "accuracy": 1}, {"observer": 1, "set": [], "condition": {}}]}
    seed("run_reader", "measures", "seed = 1", "", json.dumps(measures))
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
    seed("tokenizer", "train", "train\na cat and a dog sat", "a cat sat\na dog sat\n\ncats and dogs\n")
    seed("tokenizer", "train-too-many", "train\n" + 90 * "a", "a cat")
    seed("tokenizer", "train-none", "train\na", "!\n")
    seed("tokenizer", "no-end", "model\na", sentencepiece(1).replace(b"</s>", b"<ss>"))
    seed("tokenizer", "kind", "zip\na", "PK")
    marks = {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}]}
    padding = {"direction": "Left", "pad_id": 0}
    added = [{"id": 9, "content": "<x>", "normalized": False, "lstrip": True, "rstrip": True}, {"id": 3, "content": "</s>", "single_word": True}]
    vocab = {piece: number for number, piece in enumerate(["[UNK]", "a", "##b", "</s>", "\u2581", "ab", "\u2581a", "<0xC3>"])}
    bpe = {"type": "BPE", "unk_token": "[UNK]", "byte_fallback": True, "fuse_unk": True, "vocab": vocab, "merges": ["\u2581 a"]}
    chars = base64.b64encode(struct.pack("<I", 8) + struct.pack("<II", 1 << 10, 0x161) + b"A\0").decode()
    for name, model, normalizer, pre in (
            ("wordpiece", {"type": "WordPiece", "vocab": vocab}, {"type": "BertNormalizer"}, {"type": "BertPreTokenizer"}),
            ("merges", bpe, {"type": "Sequence", "normalizers": [{"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"},
                                                                 {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
             {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}),
            ("pieces", {"type": "Unigram", "unk_id": 0, "vocab": [[piece, -float(number)] for piece, number in vocab.items()]},
             {"type": "Precompiled", "precompiled_charsmap": chars}, {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace"}]}),
            ("clip", {**bpe, "byte_fallback": False, "end_of_word_suffix": "b"}, {"type": "NFC"},
             {"type": "Sequence", "pretokenizers": [{"type": "Split", "behavior": "Removed", "invert": True, "pattern": {"Regex": r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"}},
                                                    {"type": "ByteLevel", "add_prefix_space": False}]})):  # fmt: skip
        seed("tokenizer", f"json-{name}", "json\n" + caption + " a</s> ab<x>", json.dumps(
            {"model": model, "normalizer": normalizer, "pre_tokenizer": pre, "post_processor": marks, "padding": padding, "added_tokens": added}))
    seed("tokenizer", "cut", "gz\na", gzip.compress(merges.encode(), mtime=0)[:20])
    seed("caption", "html", caption + "<b>&amp;amp;</b> &#x41;&#65;&notit; &NotEqualTilde;")
    seed("caption", "controls", "\x1b[36;44mblue\x1b[0m \x85\x93quoted\x94 \uff21\u3000\ufeffend\r\n&quot;")


def make_hub():
    commit = "0123456789abcdef0123456789abcdef01234567"
    files = [{"rfilename": "config.json", "size": 10, "blobId": commit}, {"rfilename": "a/../../b"}, {"rfilename": "sub/x.txt"},
             {"rfilename": "model.safetensors", "lfs": {"sha256": 64 * "a", "size": 99}}]
    seed("hub", "listing", "0" + json.dumps({"sha": commit, "siblings": files}))
    seed("hub", "name", "1me/model@refs/pr/1:sub/model.safetensors")
    seed("hub", "name-leads-out", "1me/..@..:../x")
    seed("hub", "llava", "2" + json.dumps({"model_type": "llava", "vision_config": {"model_type": "clip_vision_model", "hidden_size": 8}}))
    seed("hub", "openvla", "2" + json.dumps({"model_type": "openvla", "timm_model_ids": ["vit_a.b", "vit_c_siglip"], "image_sizes": [224, 224]}))
    seed("hub", "redirects", "3302 https://cdn.example/a\n\n307 https://hub.example/b\n\n503\nretry-after:1\n\n200\nx-linked-etag:abc\n\n")
    seed("hub", "redirect-here", "3302 http://127.0.0.1:80/a\n\n302 http://127.0.0.1.example.org/a\n\n")
    seed("hub", "redirect-as-somebody", "3302 https://hub.example@evil.example/a\n\n302 file:///etc/passwd\n\n")


if __name__ == "__main__":
    make_hub()
    make_safetensors()
    make_shard_indices()
    make_containers()
    make_checkpoints(sys.argv[1])
    make_features()
    make_data()
    make_texts()
    make_tokenizers()
