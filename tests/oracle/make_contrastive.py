"""Contrastive losses and a SigLIP text tower by open_clip on random numbers.

Run: .deps/oracle/bin/python tests/oracle/make_contrastive.py      Made with open_clip 3.3.0, torch 2.11.0.
Tensors of contrastive.safetensors: images, texts [33, 12] of length 1, scale, bias; KIND/loss, KIND/images.grad, KIND/texts.grad,
KIND/scale.grad, KIND/bias.grad (KIND sigmoid or softmax; the scale's gradient is of its logarithm).
Folder text_tower: text.safetensors (our names), tokens [5, 16], pooled and joint [5, 20] of open_clip's TextTransformer with every
parameter randomised, no causal mask, pool 'last', tanh GELU, eps 1e-6.
"""
import functools
import pathlib

import torch
import torch.nn as nn
from open_clip.loss import ClipLoss, SigLipLoss
from open_clip.transformer import LayerNorm, TextTransformer
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
WIDTH, HEADS, LAYERS, VOCAB, LENGTH, JOINT = 24, 3, 2, 50, 16, 20


def losses():
    generator = torch.Generator().manual_seed(0)
    unit = lambda: nn.functional.normalize(torch.randn(33, 12, generator=generator), dim=1)
    out = {"images": unit(), "texts": unit(), "scale": torch.tensor(2.1), "bias": torch.tensor(-3.7)}
    for kind, loss in (("sigmoid", SigLipLoss()), ("softmax", ClipLoss())):
        leaves = {k: v.clone().requires_grad_() for k, v in out.items() if k in ("images", "texts", "scale", "bias")}
        more = {"logit_bias": leaves["bias"]}
        value = loss(leaves["images"], leaves["texts"], leaves["scale"].exp(), **more)
        value.backward()
        out[f"{kind}/loss"] = value.detach()
        for name, leaf in leaves.items():
            out[f"{kind}/{name}.grad"] = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    save_file(out, HERE / "contrastive.safetensors")


def tower():
    torch.manual_seed(1)
    model = TextTransformer(context_length=LENGTH, vocab_size=VOCAB, width=WIDTH, heads=HEADS, layers=LAYERS, mlp_ratio=2.5, output_dim=JOINT,
                            no_causal_mask=True, pool_type="last", proj_bias=True, act_layer=functools.partial(nn.GELU, approximate="tanh"),
                            norm_layer=functools.partial(LayerNorm, eps=1e-6)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p) * 0.2 + (1 if p.ndim == 1 else 0) * 0.3)
    s = model.state_dict()
    ours = {"token_embedding.weight": s["token_embedding.weight"], "pos_embed": s["positional_embedding"].unsqueeze(0),
            "norm.weight": s["ln_final.weight"], "norm.bias": s["ln_final.bias"], "joint.weight": s["text_projection.weight"],
            "joint.bias": s["text_projection.bias"], "logit_scale": torch.tensor([0.0]), "logit_bias": torch.tensor([-10.0])}
    names = {"ln_1": "norm1", "attn.in_proj_": "attn.qkv.", "attn.out_proj": "attn.proj", "ln_2": "norm2", "mlp.c_fc": "mlp.fc1",
             "mlp.c_proj": "mlp.fc2"}
    for name, value in s.items():
        if name.startswith("transformer.resblocks."):
            _, _, index, rest = name.split(".", 3)
            for old, new in names.items():
                rest = rest.replace(old, new)
            ours[f"blocks.{index}.{rest}"] = value
    tokens = torch.randint(VOCAB, (5, LENGTH))
    with torch.no_grad():
        joint = model(tokens)
    folder = HERE / "text_tower"
    folder.mkdir(exist_ok=True)
    save_file({k: v.contiguous() for k, v in ours.items()}, folder / "text.safetensors")
    save_file({"tokens": tokens, "joint": joint}, folder / "expected.safetensors")


if __name__ == "__main__":
    losses()
    tower()
