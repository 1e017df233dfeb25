"""Captions in fifteen languages as sentencepiece and open_clip cut them.

Run: .deps/oracle/bin/python tests/oracle/make_tokenizers.py [COUNT FOLDER]      Needs Debian's unicode-cldr-core.
Made with sentencepiece 0.2.3, open_clip 3.3.0. Writes tokenizer.model (2,000 pieces, trained on 10,000 of them) and
tokenizers.json: captions, sentencepiece [N][T] after SigLIP's canonical form, clip [N][T]; T = 24. A large COUNT adds captions with
every name of HTML's characters, and wrong ones; those that ftfy takes for wrongly decoded text, which we do not repair, are left out;
and tokenizer.json of each kind of model in folders of their names, with transformers' own words of them (5.24.0, tokenizers 0.23.3).
"""
import html.entities
import io
import json
import pathlib
import random
import sys
import xml.etree.ElementTree as ET

import ftfy
import open_clip.tokenizer
import sentencepiece
import tokenizers
import transformers

CLDR = pathlib.Path("/usr/share/unicode/cldr/common/annotations")
LANGUAGES = "en de fr es ru uk el tr ar he hi th ja zh ko".split()
LENGTH = 24
HARD = ["", "   ", "_under_score_", "It's 42°, you'll see… don't they've I'm he'd we're", "ΟΔΟΣ ΣΟΦΟΣ", "İstanbul", "naïve café №5 ½ ³",
        "a\u00a0b\u3000c\td\ne", "x" * 300, "emoji 😀👨‍👩‍👧", "mixed日本語とEnglish", "Ⅷ ⅷ", "ß ẞ ŉ", "-- !!! ... 1234"]


def captions(count):
    texts = []
    for language in LANGUAGES:
        for node in ET.parse(CLDR / f"{language}.xml").iter("annotation"):
            if node.text:
                texts.append(node.text if node.get("type") == "tts" else node.text.replace(" | ", ", "))
    random.Random(0).shuffle(texts)
    return HARD + texts[: count - len(HARD)]


# Of these Unicode 9 made marks; the tables by which tokenizers' BertNormalizer strips accents are of Unicode 8.
NEWER_MARKS = set(map(chr, range(0x8D4, 0x8E2)))


def web_captions():
    """HTML's characters as captions of web pages have them: escaped once to four times, in capitals, without semicolons, by number."""
    draw = random.Random(1)
    texts = ["<b>bold</b> &amp; &eacute;", "plain &eacute;\n<i> &amp;eacute;\n&amp;eacute;", "\x1b[31mred\x1b[0m", "\x93quoted\x94", "\ufeffbom \u206a",
             "a<end_of_text>b", "<start_of_text>", "!!<end_of_text>", "\uff06amp;lt;", "&#59; &amp;#59;", "a & b && c &; &#; &#x; &#xg; &#12a;"]  # fmt: skip
    for name in html.entities.html5:
        bare = name.rstrip(";")
        texts += [f"a &{name} b", f"x&{bare}y z", f"&amp;{bare};", f"&{bare.upper()};", f"1&{bare};{draw.choice('aZ9;&é')}"]
    for _ in range(1500):  # in planes that are not assigned the regex package finds letters, such as U+3F1ED
        code = draw.choice([draw.randrange(0x180), draw.randrange(0x3000), 0x10F000 + draw.randrange(0x2000)])
        amp = "&" + draw.choice(["", "amp;", "amp;amp;", "#38;", "amp;amp;amp;"])
        texts.append(f"no {amp}#{draw.choice([code, hex(code)[1:], hex(code)[1:].upper()])}{draw.choice([';', '', ' ', 'g'])} end")
    return [text for text in texts if not NEWER_MARKS & set(open_clip.tokenizer.basic_clean(text)) and ftfy.fix_text(text) == ftfy.fix_text(text, fix_encoding=False)]


def clip_from_merges():
    """CLIP's tokenizer as transformers has it, of open_clip's merges."""
    simple = open_clip.tokenizer.SimpleTokenizer()
    marks = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocab = {marks.get(piece, piece): number for piece, number in simple.encoder.items()}
    return transformers.CLIPTokenizer(vocab=vocab, merges=list(simple.bpe_ranks))


def trained_sentencepiece():
    """4,000 pieces of captions as they are, with SentencePiece's own table of characters."""
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(captions(10_000)), model_writer=trained, vocab_size=4000, character_coverage=0.995,
                                             pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2)
    return trained.getvalue()


def trained_json(texts, sentencepiece_model):
    """Tokenizers of every kind of model: name -> one of transformers', with what is done to a text before."""
    gemma = tokenizers.Tokenizer(tokenizers.models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    gemma.normalizer = tokenizers.normalizers.Replace(" ", "\u2581")
    gemma.pre_tokenizer = tokenizers.pre_tokenizers.Split(" ", "merged_with_previous")
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    latin = [text for text in texts if text.isascii()]  # so that other letters fall back to bytes
    gemma.train_from_iterator([" ".join(latin[i : i + 3]) for i in range(0, len(latin), 3)],
                              tokenizers.trainers.BpeTrainer(vocab_size=2000, special_tokens=special, show_progress=False))
    model = json.loads(gemma.to_str())["model"]
    siglip2 = transformers.Siglip2Tokenizer(vocab=model["vocab"], merges=[tuple(merge) for merge in model["merges"]], add_bos_token=False,
                                            add_eos_token=True, padding_side="right")
    pieces = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model)
    import sentencepiece.sentencepiece_model_pb2 as pb
    proto = pb.ModelProto.FromString(sentencepiece_model)
    unigram = tokenizers.Tokenizer(tokenizers.models.Unigram([(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(pieces.get_piece_size())],
                                                             unk_id=pieces.unk_id(), byte_fallback=False))
    unigram.normalizer = tokenizers.normalizers.Sequence([tokenizers.normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
                                                          tokenizers.normalizers.Replace(tokenizers.Regex(" {2,}"), " ")])
    unigram.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([tokenizers.pre_tokenizers.WhitespaceSplit(), tokenizers.pre_tokenizers.Metaspace()])
    unigram.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", pieces.eos_id())])
    bert = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    bert.normalizer = tokenizers.normalizers.BertNormalizer()
    bert.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    bert.train_from_iterator(texts, tokenizers.trainers.WordPieceTrainer(vocab_size=3000, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
                                                                         show_progress=False))
    bert.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    fast = transformers.PreTrainedTokenizerFast
    return {"clip": (clip_from_merges(), str), "clip_caption": (clip_from_merges(), open_clip.tokenizer.get_clean_fn("lower")),
            "siglip2": (siglip2, str), "siglip2_caption": (siglip2, open_clip.tokenizer.get_clean_fn("canonicalize")),
            "unigram": (fast(tokenizer_object=unigram, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"), str),
            "bert": (fast(tokenizer_object=bert, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"),
                     open_clip.tokenizer.get_clean_fn("whitespace"))}  # fmt: skip


def write_json_tokenizers(texts, folder):
    """FOLDER/KIND/tokenizer.json with its settings, and words.json of the texts."""
    for name, (tokenizer, clean) in trained_json(captions(10_000), trained_sentencepiece()).items():
        tokenizer.save_pretrained(folder / name)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder / name)  # as a user would
        words = tokenizer([clean(text) for text in texts], max_length=LENGTH, padding="max_length", truncation=True)["input_ids"]
        if name == "bert":  # CLIPA's
            words = [[0 if word == tokenizer.sep_token_id else word for word in row] for row in words]
        json.dump(words, open(folder / name / "words.json", "w"), separators=(",", ":"))


def main(count, folder):
    texts = captions(count) + (web_captions() if count >= 10_000 else [])
    canonical = [open_clip.tokenizer.canonicalize_text(t) for t in texts]
    if not (folder / "tokenizer.model").exists():
        with open(folder / "tokenizer.model", "wb") as model:
            sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter([open_clip.tokenizer.canonicalize_text(c) for c in captions(10_000)]), model_writer=model, vocab_size=2000,
                                                     character_coverage=0.995, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2)
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    pieces = [(model.encode(c)[: LENGTH - 1] + [model.eos_id()] * LENGTH)[:LENGTH] for c in canonical]
    clip = open_clip.tokenizer.SimpleTokenizer(context_length=LENGTH)(texts)
    if count >= 10_000:
        write_json_tokenizers(texts, folder)
    json.dump({"captions": texts, "sentencepiece": pieces, "clip": clip.tolist()}, open(folder / "tokenizers.json", "w"), ensure_ascii=False,
              separators=(",", ":"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300, pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parent))
