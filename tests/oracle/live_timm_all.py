"""Every architecture of src/checkpoint/import/timm_registry.inc as the Hub has it: config.json as timm writes it,
without model_args, and weights of which every parameter is random, cut to one block. torch 2.11.0, timm 1.0.31.

Right is timm's own tokens, pooled features and logits, or a refusal (exit code 4) that names the architecture. Then
sets of model_args on a small model, of which each is honoured or refused by name.

Usage: live_timm_all.py VIT22B_BINARY names|args [PATTERN]     Prints a line a model and the counts.
"""
import fnmatch
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import timm
import torch
from safetensors.torch import load_file, save_file

BOUND = 1e-5  # of the largest value: rounding in another order, over at most 2,000 tokens
READ, REFUSED = 232, 12  # architectures that the blocks compute; a change here is a change of what is promised
ROOT = pathlib.Path(__file__).parents[2]
REGISTRY = ROOT / "src/checkpoint/import/timm_registry.inc"
SMALL = dict(img_size=(16, 24), patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=5)
# model_args of vit_base_patch16_224 beside SMALL, and whether they are read.
ARGS = [
    (dict(act_layer="gelu_tanh"), True), (dict(act_layer="GELU"), True), (dict(act_layer="quick_gelu"), True),
    (dict(act_layer="silu"), True), (dict(act_layer="swish"), False), (dict(act_layer="relu"), False),
    (dict(act_layer="mish"), False), (dict(act_layer=None), True), (dict(norm_layer="layernorm"), True),
    (dict(norm_layer="rmsnorm"), True), (dict(norm_layer="RmsNorm"), True), (dict(norm_layer="simplenorm"), False),
    (dict(norm_layer="layernormfp32"), False), (dict(global_pool="avg"), True), (dict(global_pool="avg", fc_norm=False), True),
    (dict(global_pool="avg", fc_norm=True), True), (dict(global_pool="token", fc_norm=True), False),
    (dict(global_pool="map"), True), (dict(global_pool="map", fc_norm=True), False), (dict(global_pool="max"), False),
    (dict(global_pool="avgmax", fc_norm=False), False), (dict(global_pool=""), False),
    (dict(global_pool="avg", pool_include_prefix=True), True), (dict(global_pool="map", pool_include_prefix=True), True),
    (dict(global_pool="avg", pool_include_prefix=True, reg_tokens=2, class_token=False), True),
    (dict(global_pool="token", pool_include_prefix=True), True), (dict(final_norm=False), True),
    (dict(final_norm=False, global_pool="avg"), True), (dict(init_values=0.3), True), (dict(qk_norm=True), True),
    (dict(qk_norm=True, norm_layer="rmsnorm"), True), (dict(qkv_bias=False), True), (dict(proj_bias=False), True),
    (dict(pre_norm=True), True), (dict(class_token=False, global_pool="avg"), True), (dict(reg_tokens=3), True),
    (dict(reg_tokens=3, no_embed_class=True), True), (dict(no_embed_class=True), True), (dict(mlp_ratio=2.7), True),
    (dict(dynamic_img_size=True), True), (dict(in_chans=1), True), (dict(in_chans=5), True), (dict(num_classes=0), True),
    (dict(drop_path_rate=0.1, drop_rate=0.2), True), (dict(pos_embed="none"), True), (dict(scale_attn_norm=True), True),
    (dict(scale_mlp_norm=True), True), (dict(attn_layer="diff"), False), (dict(global_pool="prr"), False),
    (dict(img_size=16), True), (dict(fc_norm=None, global_pool="avg"), True),
]


def registry():
    rows = re.findall(r'^\{"([^"]+)", R"\((.*)\)"\},$', REGISTRY.read_text(), re.M)
    return {name: json.loads(args) for name, args in rows if name not in timm.models._registry._deprecated_models}


@torch.no_grad()
def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        if p.dim() < 2 or name.endswith(("token", "latent", "pos_embed")):
            torch.nn.init.normal_(p, std=0.2, generator=generator)
        else:
            torch.nn.init.normal_(p, std=p[0].numel() ** -0.5, generator=generator)
        if "norm" in name and name.endswith("weight"):
            p.add_(1)


@torch.no_grad()
def outputs_of_timm(model, images):
    tokens = model.forward_features(images)
    if type(model).__name__ == "VisionTransformerDistilled":  # its vector is the mean of two tokens, of two heads
        return {"tokens": tokens}
    outputs = {"tokens": tokens, "pooled": model.forward_head(tokens, pre_logits=True)}
    if model.num_classes > 0:
        outputs["logits"] = model.forward_head(tokens)
    return outputs


def write_config(folder, model, model_args=None):
    timm.models._hub.save_config_for_hf(model, str(folder / "config.json"), model_args={})
    config = json.loads((folder / "config.json").read_text())
    config.pop("model_args", None)  # what timm writes since 1.0.30; the Hub's files have none
    if model_args:
        config["model_args"] = model_args
    (folder / "config.json").write_text(json.dumps(config))


def write_folder(folder, model, model_args):
    folder.mkdir(exist_ok=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors")
    write_config(folder, model, model_args)


def run(binary, folder, images, out):
    """The program's outputs, or its refusal's last line."""
    save_file({"images": images}, out / "in.safetensors")
    done = subprocess.run([binary, "features", folder, "--input", out / "in.safetensors", "--out", out / "out.safetensors",
                           "--threads", "1", "-q"], capture_output=True, text=True)
    if done.returncode == 0:
        return load_file(out / "out.safetensors"), None
    return None, f"exit code {done.returncode}: {(done.stderr.strip() or ' ').splitlines()[-1]}"


def difference(got, want):
    if got.keys() != want.keys() and want.keys() != {"tokens"}:
        return float("inf")
    return max(((got[k] - w).abs().max() / w.abs().max()).item() for k, w in want.items())


def judged(name, model, images, got, refusal, says):
    """Prints a verdict; returns read, refused or None for a wrong one."""
    if got is None:
        is_right = refusal.startswith("exit code 4") and all(word in refusal for word in says)
        print(f"{name}: {'refused' if is_right else 'WRONG'}: {refusal}", flush=True)
        return "refused" if is_right else None
    worst = difference(got, outputs_of_timm(model, images))
    print(f"{name}: {'right' if worst < BOUND else 'WRONG'}: off timm's by {worst:.1e}", flush=True)
    return "read" if worst < BOUND else None


def is_refused(args):
    """Whether to spare a giant's weights: the name alone decides."""
    return args.get("rope_type") == "mixed" or args.get("attn_layer") or args.get("block_fn") not in (None, "ParallelScalingBlock")


# Tags of weights that were trained with quick_gelu, as open_clip's configurations say; timm's names mean gelu.
QUICK = ["openai", "metaclip_400m", "metaclip_2pt5b", "dfn2b", "dfn5b", "laion400m_e31", "laion400m_e32"]


def one_block(name, args):
    more = {}
    if args.get("class") == "Eva":
        more = {"num_kv_heads": min(args["num_kv_heads"])} if "num_kv_heads" in args else {}
    else:
        more["weight_init"] = "skip"
        tag = timm.get_pretrained_cfg(name).tag
        is_quick = (tag in QUICK and (tag[:5] != "laion" or "patch32" in name)) or (
            tag == "metaclip2_worldwide" and name == "vit_huge_patch14_clip_224")
        if "_clip_" in name and "quickgelu" not in name and is_quick:
            more["act_layer"] = "quick_gelu"
    return timm.create_model(name, depth=1, **more).eval()


def check_names(binary, out, pattern):
    verdicts = []
    for name, args in registry().items():
        if not fnmatch.fnmatch(name, pattern):
            continue
        folder = out / "model"
        if is_refused(args):
            cfg = timm.get_pretrained_cfg(name)
            config = {"architecture": name, "num_classes": cfg.num_classes,
                      "pretrained_cfg": {"input_size": cfg.input_size, "fixed_input_size": cfg.fixed_input_size}}
            folder.mkdir(exist_ok=True)
            (folder / "config.json").write_text(json.dumps(config))
            save_file({"blocks.0.norm1.weight": torch.ones(8)}, folder / "model.safetensors")
            model, images = None, torch.zeros(1, *cfg.input_size)
        else:
            model = one_block(name, args)
            randomise(model, len(verdicts))
            write_folder(folder, model, None)
            images = torch.randn(1, 3, *model.patch_embed.img_size, generator=torch.Generator().manual_seed(1))
        got, refusal = run(binary, folder, images, out)
        verdicts.append(judged(name, model, images, got, refusal, [name, "not supported"]))
    read, refused = verdicts.count("read"), verdicts.count("refused")
    print(f"{len(verdicts)} architectures: {read} read, {refused} refused, {verdicts.count(None)} wrong")
    is_all = pattern == "*"
    return None not in verdicts and (not is_all or (read, refused) == (READ, REFUSED))


def check_args(binary, out):
    is_right = True
    for i, (args, is_read) in enumerate(ARGS):
        whole = {**SMALL, **args}
        model = timm.create_model("vit_base_patch16_224", **whole).eval()
        randomise(model, i)
        folder = out / f"args{i}"
        write_folder(folder, model, whole)
        images = torch.randn(2, model.in_chans, *model.patch_embed.img_size, generator=torch.Generator().manual_seed(i))
        got, refusal = run(binary, folder, images, out)
        verdict = judged(json.dumps(args), model, images, got, refusal, ["not supported", list(args)[0]])
        if verdict != ("read" if is_read else "refused"):
            print(f"  WRONG: should be {'read' if is_read else 'refused'}")
            is_right = False
    return is_right


def main():
    binary, what = sys.argv[1:3]
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        is_right = check_args(binary, out) if what == "args" else check_names(binary, out, (sys.argv[3:] or ["*"])[0])
    sys.exit(not is_right)


if __name__ == "__main__":
    main()
