"""Which concepts of the picture sets are held out: decided by emoji names alone, so that every set can leave them out.

A concept is an emoji's name without skin tone, gender and joined variants: "woman running: dark skin tone" and "man running"
are "person running". Names that share what stands before a colon ("flag: Chad") stay together, on the training side. A picture
that mentions a held-out concept's name elsewhere belongs to neither side ("excluded").
"""
import hashlib
import pathlib
import re

EMOJI_TEST = pathlib.Path("/usr/share/unicode/emoji/emoji-test.txt")
HELD_OUT_SHARE = 1 / 3
# Joined or gendered words are one word to a concept.
PERSON = re.compile(r"^(?:man|woman|men|women|person|people|boy|girl|child|old man|old woman|older person)\b")
MODIFIER = re.compile(r"(?:light|medium-light|medium|medium-dark|dark) skin tone|(?:red|curly|white|blond) hair|bald|no beard|beard")


def base_name(name):
    """The concept of an emoji's name."""
    head, _, rest = name.lower().partition(":")
    kept = [part for part in re.split(r",\s*", rest.strip()) if part and not MODIFIER.fullmatch(part)]
    if head in ("family", "couple with heart", "kiss", "people holding hands"):
        kept = []
    # "mechanic", "man mechanic" and "woman mechanic" are one; "man: beard" is a person.
    stripped = PERSON.sub("", head).strip()
    return (stripped or "person") + (": " + ", ".join(kept) if kept else "")


def words(text):
    """Lower-case words with a plural's s cut off."""
    return [w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in re.findall(r"[^\W_]+", text.lower())]


def emoji_list():
    """(characters, name, group, subgroup) of each fully-qualified emoji."""
    group = subgroup = ""
    rows = []
    for line in EMOJI_TEST.read_text(encoding="utf-8").splitlines():
        if line.startswith("# group:"):
            group = line.split(":", 1)[1].strip()
        elif line.startswith("# subgroup:"):
            subgroup = line.split(":", 1)[1].strip()
        elif "; fully-qualified" in line:
            codes, rest = line.split(";", 1)
            name = re.search(r"E\d+\.\d+ (.*)$", rest).group(1)
            rows.append(("".join(chr(int(c, 16)) for c in codes.split()), name, group, subgroup))
    return rows


def draw(text):
    """A number in [0, 1) that a text always gets."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def held_out_concepts():
    """The concepts of the test side, drawn among names of several words: the word of a one-word name would be unknown to a text
    tower that has seen no picture of it, and would take every picture that mentions it out of training."""
    names = {base_name(name) for _, name, _, _ in emoji_list()}
    return {n for n in names if draw(n) < HELD_OUT_SHARE and ":" not in n and len(words(n)) > 1}


class Splitter:
    """Says on which side a picture stands."""

    def __init__(self):
        self.held_out = held_out_concepts()
        self.phrases = {tuple(words(name)) for name in self.held_out}
        self.lengths = {len(phrase) for phrase in self.phrases}

    def mentions_held_out(self, texts):
        for text in texts:
            found = words(text)
            for length in self.lengths:
                if any(tuple(found[i : i + length]) in self.phrases for i in range(len(found) - length + 1)):
                    return True
        return False

    def side(self, concept, texts):
        if concept in self.held_out:
            return "test"
        return "excluded" if self.mentions_held_out([concept, *texts]) else "train"
