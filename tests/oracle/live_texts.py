"""Two-tower checkpoints of Hugging Face's transformers and of open_clip, small and with every parameter random, beside
their tokenizers: what `vit22b features --texts` makes of captions in fifteen languages, and `vit22b retrieve --query`
of pictures, beside the libraries' own. torch 2.11.0, transformers 5.24.0, open_clip 3.3.0.

Usage: live_texts.py VIT22B_BINARY [PATTERN]     Needs Debian's unicode-cldr-core. Prints a line a case.
"""
import fnmatch
import json
import pathlib
import subprocess
import sys
import tempfile

import make_tokenizers
import numpy as np
import open_clip
import torch
import transformers as hf
from live_families import BOUND, SIZES, randomise
from PIL import Image
from safetensors.torch import load_file, save_file

COUNT = 400
IMAGE = dict(SIZES, image_size=32, patch_size=8)
TEXT = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=70)
OPEN_IMAGE = dict(image_size=32, layers=2, width=48, head_width=16, patch_size=8)
OPEN_TEXT = dict(width=48, heads=3, layers=2)
CLIP_VOCABULARY = 49_408


def transformers_cases(kinds, spiece):
    """name -> model, tokenizer, the length that it pads to."""
    clip = kinds["clip"][0]
    siglip = hf.SiglipTokenizer(vocab_file=spiece)
    words = dict(TEXT, vocab_size=CLIP_VOCABULARY, max_position_embeddings=24)

    def clip_model(**text):
        return hf.CLIPModel(hf.CLIPConfig(vision_config=IMAGE, text_config=dict(words, **text), projection_dim=20))

    def siglip_model(size):
        return hf.SiglipModel(hf.SiglipConfig(vision_config=IMAGE, text_config=dict(TEXT, vocab_size=size, max_position_embeddings=24)))

    meta = dict(TEXT, vocab_size=4000, max_position_embeddings=24, eos_token_id=kinds["unigram"][0].eos_token_id)
    return {
        "clip": (clip_model(), clip),
        "clip of old configs": (clip_model(eos_token_id=2), clip),
        "clip with merges.txt": (clip_model(), clip),
        "clip with vocab.json of another order": (clip_model(eos_token_id=1), clip),
        "clip of an old config beside another": (clip_model(), clip),
        "siglip": (siglip_model(4000), siglip),
        "siglip with siglip 2's tokenizer": (siglip_model(2000), kinds["siglip2"][0]),
        "metaclip 2": (hf.MetaClip2Model(hf.MetaClip2Config(vision_config=IMAGE, text_config=meta, projection_dim=20)), kinds["unigram"][0]),
        "aimv2": (hf.Aimv2Model(hf.Aimv2Config(vision_config=IMAGE, text_config=dict(words), projection_dim=20)), clip),
    }  # fmt: skip


def open_clip_cases(kinds, folder):
    """name -> model_cfg, tokenizer; "" for open_clip's own."""
    own = dict(OPEN_TEXT, context_length=24, vocab_size=CLIP_VOCABULARY)
    return {
        "open_clip": (dict(embed_dim=20, vision_cfg=OPEN_IMAGE, text_cfg=own), ""),
        "open_clip quick_gelu, tokenizer.json": (dict(embed_dim=20, quick_gelu=True, vision_cfg=OPEN_IMAGE, text_cfg=own), "clip_caption"),
        "open_clip siglip 2": (dict(embed_dim=48, custom_text=True, init_logit_bias=-10, vision_cfg=OPEN_IMAGE,
                                    text_cfg=dict(OPEN_TEXT, context_length=24, vocab_size=2000, pool_type="last", no_causal_mask=True, proj_bias=True,
                                                  act_kwargs={"approximate": "tanh"}, norm_kwargs={"eps": 1e-6}, hf_tokenizer_name="timm/ViT-B-16-SigLIP2",
                                                  tokenizer_kwargs={"clean": "canonicalize"})), "siglip2"),
        "open_clip without projection": (dict(embed_dim=48, custom_text=True, vision_cfg=OPEN_IMAGE,
                                              text_cfg=dict(OPEN_TEXT, context_length=24, vocab_size=2000, pool_type="last", no_causal_mask=True,
                                                            proj_type="none", hf_tokenizer_name="x", tokenizer_kwargs={"clean": "lower"})), "siglip2"),
        "open_clip clipa": (dict(embed_dim=20, vision_cfg=OPEN_IMAGE,
                                 text_cfg=dict(OPEN_TEXT, context_length=24, vocab_size=3000, pool_type="last", no_causal_mask=True,
                                               hf_tokenizer_name="bert-base-uncased", tokenizer_kwargs={"strip_sep_token": True})), "bert"),
        "open_clip worldwide": (dict(embed_dim=20, vision_cfg=OPEN_IMAGE,
                                     text_cfg=dict(OPEN_TEXT, context_length=24, vocab_size=4000, pool_type="eos", eos_id=1, hf_tokenizer_name="facebook/xlm-v-base")),
                                "unigram"),
    }  # fmt: skip


def tensor_of(output):
    return output if torch.is_tensor(output) else output.pooler_output


def unit(x):
    return torch.nn.functional.normalize(x, dim=-1)


def run(binary, *words):
    done = subprocess.run([binary, *map(str, words), "--threads", "1", "-q"], capture_output=True, text=True)
    return None if done.returncode == 0 else f"exit code {done.returncode}: {(done.stderr.strip() or ' ').splitlines()[-1]}"


def big_vision_arrays(model, is_stacked):
    """A SiglipModel's tensors under big_vision's names (its text_transformer.py and vit.py): an array a block, or a layer of all blocks."""
    arrays, heads = {}, SIZES["num_attention_heads"]
    state = {k: v.detach().numpy() for k, v in model.state_dict().items()}

    def module(ours, theirs, dense=True):
        for leaf in ("weight", "bias"):
            if ours + leaf in state:
                value = state[ours + leaf]
                arrays[theirs + ("bias" if leaf == "bias" else "kernel" if dense else "scale")] = value.T if dense and leaf == "weight" else value

    def attention(ours, theirs):
        for ours_leaf, leaf in (("q_proj", "query"), ("k_proj", "key"), ("v_proj", "value")):
            width = state[f"{ours}{ours_leaf}.weight"].shape[1]
            arrays[f"{theirs}{leaf}/kernel"] = state[f"{ours}{ours_leaf}.weight"].T.reshape(width, heads, -1)
            arrays[f"{theirs}{leaf}/bias"] = state[f"{ours}{ours_leaf}.bias"].reshape(heads, -1)
        out = state[ours + "out_proj.weight"]
        arrays[theirs + "out/kernel"], arrays[theirs + "out/bias"] = out.T.reshape(heads, -1, out.shape[0]), state[ours + "out_proj.bias"]

    def blocks(ours, theirs, depth):
        for i in range(depth):
            block = f"{theirs}encoderblock_{i}/"
            module(f"{ours}{i}.layer_norm1.", block + "LayerNorm_0/", dense=False)
            module(f"{ours}{i}.layer_norm2.", block + "LayerNorm_1/", dense=False)
            attention(f"{ours}{i}.self_attn.", block + "MultiHeadDotProductAttention_0/")
            for layer, dense in (("fc1.", "Dense_0/"), ("fc2.", "Dense_1/")):
                module(f"{ours}{i}.mlp.{layer}", f"{block}MlpBlock_0/{dense}")
        if is_stacked:
            first = f"{theirs}encoderblock_0/"
            for leaf in [name[len(first):] for name in arrays if name.startswith(first)]:
                arrays[f"{theirs}encoderblock/{leaf}"] = np.stack([arrays.pop(f"{theirs}encoderblock_{i}/{leaf}") for i in range(depth)])

    image, text, pool = "params/img/", "params/txt/", "vision_model.head."
    patches = state["vision_model.embeddings.patch_embedding.weight"]
    arrays[image + "embedding/kernel"], arrays[image + "embedding/bias"] = patches.transpose(2, 3, 1, 0), state["vision_model.embeddings.patch_embedding.bias"]
    arrays[image + "pos_embedding"] = state["vision_model.embeddings.position_embedding.weight"][None]
    blocks("vision_model.encoder.layers.", image + "Transformer/", SIZES["num_hidden_layers"])
    module("vision_model.post_layernorm.", image + "Transformer/encoder_norm/", dense=False)
    state.update({f"pool.{n}.{leaf}": part for leaf in ("weight", "bias")
                  for n, part in zip(("q_proj", "k_proj", "v_proj"), np.split(state[f"{pool}attention.in_proj_{leaf}"], 3))})  # fmt: skip
    state.update({f"pool.out_proj.{leaf}": state[f"{pool}attention.out_proj.{leaf}"] for leaf in ("weight", "bias")})
    arrays[image + "MAPHead_0/probe"] = state[pool + "probe"]
    attention("pool.", image + "MAPHead_0/MultiHeadDotProductAttention_0/")
    module(pool + "layernorm.", image + "MAPHead_0/LayerNorm_0/", dense=False)
    for layer, dense in (("fc1.", "Dense_0/"), ("fc2.", "Dense_1/")):
        module(f"{pool}mlp.{layer}", f"{image}MAPHead_0/MlpBlock_0/{dense}")
    arrays[text + "Embed_0/embedding"] = state["text_model.embeddings.token_embedding.weight"]
    arrays[text + "pos_embedding"] = state["text_model.embeddings.position_embedding.weight"][None]
    blocks("text_model.encoder.layers.", text + "Encoder_0/", TEXT["num_hidden_layers"])
    module("text_model.final_layer_norm.", text + "Encoder_0/encoder_norm/", dense=False)
    module("text_model.head.", text + "head/")
    arrays["params/t"], arrays["params/b"] = state["logit_scale"].reshape(1), state["logit_bias"].reshape(1)
    return arrays


def check_big_vision(binary, out, pattern, model, tokenizer, texts):
    """The weights of a SigLIP of transformers' in big_vision's .npz, whose code has no package to run here."""
    results = []
    texts = [text for text in texts if "_" not in text]  # big_vision makes a space of it, transformers nothing
    captions = out / "captions_without.txt"
    captions.write_text("\n".join(texts) + "\n", encoding="utf-8")
    words = tokenizer(texts, padding="max_length", max_length=24, truncation=True, return_tensors="pt")
    with torch.no_grad():
        want = {"text": tensor_of(model.get_text_features(input_ids=words["input_ids"])), "scale": model.logit_scale.exp().item(), "bias": model.logit_bias.item()}
    for name in ("big_vision", "big_vision in stacks"):
        if fnmatch.fnmatch(name, pattern):
            folder = out / name.replace(" ", "_")
            folder.mkdir()
            np.savez(folder / "siglip.npz", **big_vision_arrays(model, "stacks" in name))
            results.append(judged(name, folder / "siglip.npz", binary, captions, want, ["--tokenizer", out / "spiece.model"]))
    return results


def judged(name, folder, binary, captions, want, tokenizer=()):
    out = folder.parent / "out.safetensors"
    refusal = run(binary, "features", folder, "--texts", captions, "--out", out, *tokenizer)
    if refusal:
        print(f"{name}: WRONG: {refusal}", flush=True)
        return False
    got = load_file(out)
    apart = (got["text_embedding"] - unit(want["text"])).abs().amax(1)
    off = apart.max() / unit(want["text"]).abs().max()
    scale = abs(got["logit_scale"] / want["scale"] - 1).max()
    bias = abs(got["logit_bias"] - want["bias"]).max()
    is_right = max(off, scale, bias) < BOUND
    print(f"{name}: {'right' if is_right else 'WRONG'}: text {off:.1e}  scale {scale:.1e}  bias {bias:.1e}" +
          ("" if is_right else f"  {(apart > BOUND).sum()} texts, such as {captions.read_text(encoding='utf-8').splitlines()[int(apart.argmax())]!r}"), flush=True)
    return is_right


def search_agrees(name, folder, binary, model, tokenizer, pictures):
    """How much pictures fit a sentence, from their files, beside the library's own."""
    processor = hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor.save_pretrained(folder)
    sentence = "A red fox, seen from afar"
    done = subprocess.run([binary, "retrieve", folder, "--data", pictures, "--query", sentence, "--top", "24", "--json", "-q",
                           "--cache", folder.parent / "cache"], capture_output=True, text=True)  # fmt: skip
    if done.returncode != 0:
        print(f"{name} search: WRONG: {(done.stderr.strip() or ' ').splitlines()[-1]}", flush=True)
        return False
    found = json.loads(done.stdout)["found"]
    files = [pictures / item["path"] for item in found]
    images = processor([Image.open(p) for p in files], return_tensors="pt")["pixel_values"]
    words = tokenizer(sentence, padding="max_length", max_length=24, truncation=True, return_tensors="pt")
    mask = {"attention_mask": words["attention_mask"]} if name == "aimv2" else {}
    with torch.no_grad():
        text = tensor_of(model.get_text_features(input_ids=words["input_ids"], **mask))
        scores = unit(tensor_of(model.get_image_features(pixel_values=images))) @ unit(text).T
    off = (torch.tensor([item["score"] for item in found]) - scores.squeeze(1)).abs().max().item()
    is_right = len(found) == 24 and off < BOUND
    print(f"{name} search: {'right' if is_right else 'WRONG'}: {len(found)} pictures, score {off:.1e} of {scores.min():.3f} to {scores.max():.3f}", flush=True)
    return is_right


def make_pictures(folder):
    generator = torch.Generator().manual_seed(0)
    for name in ("a red fox", "Zebra, black & white", "chat noir"):
        (folder / name).mkdir(parents=True)
        for i in range(8):
            coarse = torch.rand(3, 4, 4, generator=generator)
            pixels = torch.nn.functional.interpolate(coarse[None], (40, 48), mode="bilinear")[0]
            Image.fromarray((pixels * 255).byte().permute(1, 2, 0).numpy()).save(folder / name / f"{i}.png")


def check_transformers(binary, out, pattern, captions, kinds, texts):
    results = []
    for i, (name, (model, tokenizer)) in enumerate(transformers_cases(kinds, str(out / "spiece.model")).items()):
        if not fnmatch.fnmatch(name, pattern):
            continue
        randomise(model.eval(), i)
        folder = out / f"hf{i}"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        if "old config beside" in name:  # transformers takes the second's word
            config = json.loads((folder / "config.json").read_text())
            config["text_config_dict"] = dict(config["text_config"])
            config["text_config"] |= {"hidden_act": "gelu", "layer_norm_eps": 0.1}
            (folder / "config.json").write_text(json.dumps(config))
        if "another order" in name:
            file = json.loads((folder / "tokenizer.json").read_text())
            pieces = sorted(file["model"]["vocab"], key=lambda piece: (piece != "<|startoftext|>", piece != "<|endoftext|>", piece[::-1]))
            (folder / "tokenizer.json").unlink()
            (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
            (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(" ".join(merge) + "\n" for merge in file["model"]["merges"]))
            tokenizer = hf.CLIPTokenizer.from_pretrained(folder)
        if "merges.txt" in name:
            merges = open_clip.tokenizer.SimpleTokenizer().bpe_ranks
            (folder / "tokenizer.json").unlink()
            (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
        words = tokenizer(texts, padding="max_length", max_length=24, truncation=True, return_tensors="pt")
        mask = {"attention_mask": words["attention_mask"]} if name == "aimv2" else {}
        with torch.no_grad():
            text = tensor_of(model.get_text_features(input_ids=words["input_ids"], **mask))
        bias = getattr(model, "logit_bias", torch.zeros(1))
        results.append(judged(name, folder, binary, captions, {"text": text, "scale": model.logit_scale.exp().item(), "bias": bias.item()}))
        if name in ("clip", "siglip", "aimv2"):
            results.append(search_agrees(name, folder, binary, model, tokenizer, out / "pictures"))
    return results


def check_open_clip(binary, out, pattern, captions, kinds, texts):
    results = []
    for i, (name, (cfg, kind)) in enumerate(open_clip_cases(kinds, out).items()):
        if not fnmatch.fnmatch(name, pattern):
            continue
        arguments = {k: v for k, v in cfg.items() if k != "custom_text"}
        model = (open_clip.model.CustomTextCLIP if cfg.get("custom_text") else open_clip.model.CLIP)(**arguments).eval()
        randomise(model, i)
        folder = out / f"open_clip{i}"
        folder.mkdir()
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
        (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg, "preprocess_cfg": {}}))
        given = []
        if kind:
            kinds[kind][0].save_pretrained(folder)
        else:
            given = ["--tokenizer", pathlib.Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"]
        if "hf_tokenizer_name" in cfg["text_cfg"]:
            tokenizer = open_clip.tokenizer.HFTokenizer(str(folder), context_length=24, **cfg["text_cfg"].get("tokenizer_kwargs", {}))
        else:
            tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=24)
        with torch.no_grad():
            text = model.encode_text(tokenizer(texts))
        bias = 0.0 if model.logit_bias is None else model.logit_bias.item()
        results.append(judged(name, folder, binary, captions, {"text": text, "scale": model.logit_scale.exp().item(), "bias": bias}, given))
    return results


def main():
    hf.utils.logging.set_verbosity_error()
    hf.utils.logging.disable_progress_bar()
    binary, pattern = sys.argv[1], (sys.argv[2:] or ["*"])[0]
    if not make_tokenizers.CLDR.exists():
        print("SKIPPED: needs Debian's unicode-cldr-core")
        sys.exit(77)
    # Of a run of 300 x many cuts have one score, between which SentencePiece's versions choose otherwise.
    texts = [" ".join(text.split()) for text in make_tokenizers.captions(COUNT) if text.strip("x ")]
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        (out / "captions.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
        spiece = make_tokenizers.trained_sentencepiece()
        (out / "spiece.model").write_bytes(spiece)
        make_pictures(out / "pictures")
        kinds = make_tokenizers.trained_json(make_tokenizers.captions(10_000), spiece)
        results = check_transformers(binary, out, pattern, out / "captions.txt", kinds, texts)
        siglip, tokenizer = transformers_cases(kinds, str(out / "spiece.model"))["siglip"]
        randomise(siglip.eval(), 0)
        results += check_big_vision(binary, out, pattern, siglip, tokenizer, texts)
        results += check_open_clip(binary, out, pattern, out / "captions.txt", kinds, texts)
    print(f"{len(results)} cases, {results.count(False)} wrong")
    sys.exit(0 if results and all(results) else 1)


if __name__ == "__main__":
    main()
