"""Captions in fifteen languages as sentencepiece and open_clip cut them.

Run: .deps/oracle/bin/python tests/oracle/make_tokenizers.py [COUNT FOLDER]      Needs Debian's unicode-cldr-core.
Made with sentencepiece 0.2.3, open_clip 3.3.0. Writes tokenizer.model (2,000 pieces, trained on 10,000 of them) and
tokenizers.json: captions, sentencepiece [N][T] after SigLIP's canonical form, clip [N][T]; T = 24. A large COUNT adds captions with
every name of HTML's characters, and wrong ones; those that ftfy takes for wrongly decoded text, which we do not repair, are left out.
"""
import html.entities
import json
import pathlib
import random
import sys
import xml.etree.ElementTree as ET

import ftfy
import open_clip.tokenizer
import sentencepiece

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
    return [text for text in texts if ftfy.fix_text(text) == ftfy.fix_text(text, fix_encoding=False)]


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
    json.dump({"captions": texts, "sentencepiece": pieces, "clip": clip.tolist()}, open(folder / "tokenizers.json", "w"), ensure_ascii=False,
              separators=(",", ":"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300, pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parent))
