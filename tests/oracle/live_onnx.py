"""`convert CKPT OUT.onnx --to onnx` beside ONNX Runtime and OpenVINO: tokens, pooled features, logits, image embeddings and the scores of
every patch are ours, at two batch sizes, at the model's own image size and another one; onnx.checker takes the files.
onnx 1.23.2, onnxruntime 1.32.0, openvino 2026.4.1, torch 2.11.0.

Usage: live_onnx.py VIT22B_BINARY [CKPT...]     Prints a line a case; the last one says how many were right. Without CKPT: checkpoints of this
folder and small models that have, between them, every field of the function; random in every parameter.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnxruntime
import openvino
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

BOUND = 1e-5  # of the largest value
HERE = pathlib.Path(__file__).parent
AUTHORS = HERE / "authors"
FILES = [HERE / "timm_parallel_bias", HERE / "timm_serial_map", AUTHORS / "aimv2/model.safetensors?num_heads=2",
         AUTHORS / "dinov2/dinov2_vitb14_pretrain.pth?num_heads=2", AUTHORS / "dinov3/dinov3_vitb16_pretrain_lvd1689m-73cec8be.pth?num_heads=2",
         AUTHORS / "evaclip_02E/EVA_CLIP_02E.pt?num_heads=2&post_norm=true",
         AUTHORS / "evaclip_02L336/EVA_CLIP_02L336.pt?num_heads=2&post_norm=false&rope_ref=3", AUTHORS / "openai_jit/ViT-B-16.pt",
         AUTHORS / "pe_core_L/PE-Core-G14-448.pt?num_heads=2&pool_heads=4&text.num_heads=2"]
SMALL = "ti16 depth=2 embed_dim=48 num_heads=3 mlp_hidden=100 patch_size=8 img_size=32x48 num_classes=5"
OWN = {
    "parallel, gated, biases, LayerScale": "swiglu=true qkv_bias=true init_values=0.1 attn_norm=true mlp_norm=true act_layer=silu",
    "parallel, gated, LayerNorm, no biases": "swiglu=true proj_bias=false norm_layer=layernorm norm_eps=1e-3 num_classes=0 act_layer=gelu "
                                             "posemb_resize=radio",
    "serial, norms of all heads, registers": "block=serial qk_norm=true qk_norm_width=true norm_layer=rmsnorm reg_tokens=3 init_values=1 swiglu=true "
                                             "global_pool=cls_avg posemb_resize=bilinear_align_corners",
    "serial, mean behind, no positions of the prefix": "block=serial global_pool=avg fc_norm=true no_embed_class=true reg_tokens=2 embed_norm=true "
                                                       "pre_norm=true posemb_resize=bilinear_antialias in_chans=1",
    "serial, turned pairs, bilinear": "block=serial rope=index rope_xy=true rope_offset=1 act_layer=quick_gelu posemb_resize=bilinear qk_norm=true",
    "serial, turned halves, sines": "block=serial rope=centre rope_half=true rope_theta=100 rope_bf16=true pos_embed=sincos class_token=false "
                                    "global_pool=map final_norm=false pool_mlp_ratio=2 pool_act=gelu pool_heads=2 num_classes=0",
    "serial, edges left out, none pooled": "block=serial drop_edge=true img_size=37x52 pos_embed=none global_pool=none num_classes=0 rope=index",
}
NAMES = ['quote " and \\', "grün", "猫", "🦊 fox", "line\nend"]
HEADS = {"linear": "segment.layers=0,1", "bn_linear": "segment.layers=0,1 segment.norm=false", "upernet": "segment.channels=12"}


def run(binary, *words, quiet=True):
    done = subprocess.run([binary, *map(str, words), *(["-q"] if quiet else [])], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (words, done.stderr)
    return done


class Runtimes:
    """A model in both, as its user would open it."""

    def __init__(self, path, threads=1):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        core = openvino.Core()
        # Some CPUs would compute in bfloat16.
        self.compiled = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads})
        self.names = [output.name for output in self.session.get_outputs()]

    def __call__(self, images):
        theirs = self.compiled(images)
        return {"ONNX Runtime": dict(zip(self.names, self.session.run(None, {"images": images}))),
                "OpenVINO": {name: theirs[name] for name in self.names}}


def off(got, want):
    assert got.shape == want.shape, (got.shape, want.shape)
    return float(numpy.abs(got - want).max() / max(numpy.abs(want).max(), 1e-30))


def images_of(binary, checkpoint, out):
    """Images of the model's size and of another one, from the file's own words."""
    model = onnx.load(out / "m.onnx", load_external_data=False)
    said = {p.key: p.value for p in model.metadata_props}
    (height, width), patch = json.loads(said["image_size"]), int(said["patch_size"])
    channels = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    generator, extra = numpy.random.default_rng(1), 3 if json.loads(said["function"])["drop_edge"] else 0
    for h, w in ((height, width), (height + patch + extra, max(width - patch, patch) + extra)):
        yield generator.standard_normal((4, channels, h, w)).astype(numpy.float32)


def compare(binary, checkpoint, out, words=(), more=None):
    """The worst difference of each runtime's, over outputs and sizes; `more` gives other outputs, of what features gives with all blocks."""
    (out / "m.onnx").unlink(missing_ok=True)
    run(binary, "convert", checkpoint, out / "m.onnx", "--to", "onnx", *words)
    onnx.checker.check_model(str(out / "m.onnx"), full_check=True)
    runtimes, worst = Runtimes(str(out / "m.onnx")), {}
    for images in images_of(binary, checkpoint, out):
        save_file({"images": images}, out / "in.safetensors")
        run(binary, "features", checkpoint, "--input", out / "in.safetensors", *(["--layers", "0,1,2,3"] if more else []), "--out",
            out / "out.safetensors")
        want = load_file(out / "out.safetensors")
        want |= more(want, images) if more else {}
        want = {name: value for name, value in want.items() if not name.startswith("block.")}
        assert sorted(want) == sorted(runtimes.names), (sorted(want), sorted(runtimes.names))
        for first, end in ((0, 1), (1, 4)):
            for name, got in runtimes(images[first:end]).items():
                for key, value in want.items():
                    worst[name] = max(worst.get(name, 0), off(got[key], value[first:end]))
    return worst


def heads_case(binary, out, head, options):
    """Scores of a head of every pixel, by torch's operators over the outputs of blocks."""
    folder = out / "masks"
    generator = numpy.random.default_rng(2)
    for i in range(4):
        for kind, value in (("images", generator.integers(0, 255, (40, 48, 3))), ("masks", generator.integers(0, 3, (40, 48)))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(value.astype(numpy.uint8)).save(folder / kind / f"{i}.png")
    run(binary, "model", "init", *SMALL.split(), "depth=4", "block=serial", "reg_tokens=1", "--randomize-all", "--out", out / "base")
    run(binary, "segment", out / "base", "--data", f"masks:{folder}", "--out", out / "run", "total_steps=3", "segment.head=" + head, *options.split(),
        "data.batch_size=2", "optim.lr=0.5", "data.val=")
    file = load_file(out / "run/ckpt/latest/task.safetensors")
    weights = {key.removeprefix("task."): torch.from_numpy(value) for key, value in file.items()}

    def scores(outputs, images):
        return {"scores": scores_of(head, weights, outputs, images.shape[2] // 8, images.shape[3] // 8).numpy()}

    return compare(binary, out / "run", out, more=scores)


@torch.no_grad()
def scores_of(head, w, outputs, rows, columns):
    """docs/dense.md's heads, over blocks as they are told here; the class token and one register stand before the patches."""
    from torch.nn import functional as F

    def map_of(x):
        return torch.from_numpy(x)[:, 2:].mT.unflatten(2, (rows, columns))

    def normed(x):  # a block below the last, by the final norm's kind alone
        return F.layer_norm(torch.from_numpy(x), x.shape[-1:], eps=1e-6).numpy()

    def bn(name, x):
        return F.batch_norm(x, w[name + ".running_mean"], w[name + ".running_var"], w[name + ".weight"], w[name + ".bias"])

    def conv(name, x):
        kernel = w[name + ".weight"]
        kernel = kernel if kernel.dim() == 4 else kernel[:, :, None, None]
        return F.conv2d(x, kernel, w.get(name + ".bias"), padding=kernel.shape[2] // 2)

    def block(name, x):
        return F.relu(bn(name + ".bn", conv(name + ".conv", x)))

    def resized(x, like):
        return F.interpolate(x, like.shape[2:], mode="bilinear")

    if head == "linear":
        return conv("head", torch.cat([map_of(normed(outputs[f"block.{i}"])) for i in (0, 1)], 1))
    if head == "bn_linear":
        return conv("head", bn("bn", torch.cat([map_of(outputs[f"block.{i}"]) for i in (0, 1)], 1)))
    maps = [map_of(normed(outputs[f"block.{i}"])) for i in range(3)] + [map_of(outputs["tokens"])]
    levels = []
    for i, scale in enumerate((4, 2, 1, 0.5)):
        x = conv(f"neck.lateral.{i}", maps[i])
        levels.append(conv(f"neck.conv.{i}", x if scale == 1 else F.interpolate(x, scale_factor=scale, mode="bilinear")))
    side = [block(f"lateral.{i}", levels[i]) for i in range(3)]
    pools = [resized(block(f"psp.{i}", F.adaptive_avg_pool2d(levels[3], n)), levels[3]) for i, n in enumerate((1, 2, 3, 6))]
    side.append(block("bottleneck", torch.cat([levels[3], *pools], 1)))
    for i in (3, 2, 1):
        side[i - 1] = side[i - 1] + resized(side[i], side[i - 1])
    side = [block(f"fpn.{i}", side[i]) for i in range(3)] + side[3:]
    return conv("head", block("fpn_bottleneck", torch.cat([side[0]] + [resized(x, side[0]) for x in side[1:]], 1)))


def own_case(binary, out, keys):
    run(binary, "model", "init", *SMALL.split(), *keys.split(), "--randomize-all", "--seed", "7", "--out", out / "model")
    return compare(binary, out / "model", out)


def names_case(binary, out):
    """Weights beside the model, and names as people have them; images whose sides are no multiple of the patch are refused by both."""
    run(binary, "model", "init", *SMALL.split(), "--randomize-all", "--out", out / "model")
    config = json.loads((out / "model/config.json").read_text())
    config["label_names"] = NAMES
    (out / "model/config.json").write_text(json.dumps(config))
    (out / "model/manifest.json").unlink()
    folder = out / "größe 猫"
    folder.mkdir()
    worst = compare(binary, out / "model", folder, ["--external-data"])
    said = {p.key: p.value for p in onnx.load(folder / "m.onnx", load_external_data=False).metadata_props}
    assert json.loads(said["label_names"]) == NAMES, said["label_names"]
    assert json.loads(said["mean"]) == json.loads(said["std"]) == [0.5] * 3, said
    assert (folder / "m.onnx.data").stat().st_size > 100_000 > (folder / "m.onnx").stat().st_size
    # With one thread OpenVINO 2026.4.1 loses its own errors, and gives what it gave before.
    runtimes, images = Runtimes(str(folder / "m.onnx"), threads=2), numpy.zeros((1, 3, 33, 48), numpy.float32)
    for name, call in (("ONNX Runtime", lambda: runtimes.session.run(None, {"images": images})), ("OpenVINO", lambda: runtimes.compiled(images))):
        try:
            call()
        except Exception:  # noqa: BLE001: each has its own
            continue
        raise AssertionError(f"{name} takes 33 pixels for patches of 8")
    return worst


def main():
    binary, *checkpoints = sys.argv[1:]
    binary = pathlib.Path(binary).resolve()
    torch.set_num_threads(1)
    onnxruntime.set_default_logger_severity(4)  # an error that is wanted
    cases = {str(path).removeprefix(str(HERE) + "/"): lambda out, path=path: compare(binary, path, out) for path in checkpoints or FILES}
    if not checkpoints:
        cases |= {name: lambda out, keys=keys: own_case(binary, out, keys) for name, keys in OWN.items()}
        cases |= {f"scores, {head}": lambda out, head=head: heads_case(binary, out, head, HEADS[head]) for head in HEADS}
        cases["names, weights beside"] = lambda out: names_case(binary, out)
    right = 0
    for name, check in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                worst = check(pathlib.Path(folder))
            except Exception as error:  # noqa: BLE001: the others are still worth knowing
                print(f"{name}: WRONG: {type(error).__name__}: {error}"[:900], flush=True)
                continue
        is_right = max(worst.values()) <= BOUND
        right += is_right
        print(f"{name}: {'right' if is_right else 'WRONG'}: " + "  ".join(f"{key} {value:.1e}" for key, value in worst.items()), flush=True)
    print(f"{right} of {len(cases)} right")
    return 0 if right == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
