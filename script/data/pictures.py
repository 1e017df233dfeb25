"""Picture sets with captions from Debian packages: OUT/images/*.png (square, on white), OUT/manifest.csv and OUT/LICENSE.

manifest.csv  filepath,caption,label,concept,split: a row a caption; split by concept (train, test, excluded)
labels.csv    filepath,label,split: a row a picture, for classification; split by a fixed draw (train, test)
concepts.csv  filepath,label,split: the first picture of each held-out concept, labelled with its name
All skip pictures that cannot be drawn, and say how many.
"""
import argparse
import concurrent.futures
import csv
import io
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

import concepts

try:
    from PIL import Image
except ImportError:
    Image = None  # main names it with all else that is missing

CLDR = pathlib.Path("/usr/share/unicode/cldr/common")
STAMPS = pathlib.Path("/usr/share/tuxpaint/stamps")
CLIPART = pathlib.Path("/usr/share/openclipart/svg")


class Picture:
    def __init__(self, name, draw, captions, label, concept):
        self.name, self.draw, self.label, self.concept = name, draw, label, concept
        self.captions = [c for c in dict.fromkeys(re.sub(r"\s+", " ", c).strip() for c in captions) if c]


def on_white(png, side):
    """A square picture: the whole of the original, centred, transparency over white."""
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    image.thumbnail((side, side), Image.LANCZOS)
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2), image)
    return square


def run(command):
    done = subprocess.run(command, capture_output=True, timeout=60)
    if done.returncode != 0 or not done.stdout:
        raise ValueError(done.stderr.decode(errors="replace")[:200])
    return done.stdout


def svg(path, side):
    # A picture of its own size first would be blurred or huge.
    return run(["rsvg-convert", "--keep-aspect-ratio", "-w", str(side), "-h", str(side), str(path)])


def draw_text(text):
    with tempfile.TemporaryDirectory() as folder:
        png = pathlib.Path(folder) / "text.png"  # pango-view chooses the format by the ending
        done = subprocess.run(["pango-view", "--no-display", "--font=Noto Color Emoji 96", "--background=transparent", "--margin=0",
                               "--text=" + text, f"--output={png}"], capture_output=True, timeout=60)
        if done.returncode != 0:
            raise ValueError(done.stderr.decode(errors="replace")[:200])
        return png.read_bytes()


def emoji(side):
    names, keywords = {}, {}
    for folder in ("annotations", "annotationsDerived"):
        for node in ET.parse(CLDR / folder / "en.xml").iter("annotation"):
            (names if node.get("type") == "tts" else keywords)[node.get("cp")] = node.text
    for characters, name, group, subgroup in concepts.emoji_list():
        plain = characters.replace("\ufe0f", "")
        found = names.get(characters) or names.get(plain) or name
        words = (keywords.get(characters) or keywords.get(plain) or "").split(" | ")
        captions = [found, ", ".join(w for w in words if w)]
        draw = lambda c=characters: draw_text(c)
        yield Picture("-".join(f"{ord(c):x}" for c in characters), draw, captions, f"emoji {group}: {subgroup}", concepts.base_name(name))


def stamps(side):
    for path in sorted([*STAMPS.rglob("*.png"), *STAMPS.rglob("*.svg")]):
        text = path.with_suffix(".txt")
        if "_mirror" in path.stem or not text.exists():
            continue
        caption = text.read_text(encoding="utf-8", errors="replace").splitlines()[0].strip().rstrip(".!")
        draw = (lambda p=path: svg(p, side)) if path.suffix == ".svg" else path.read_bytes
        parts = path.relative_to(STAMPS).parts[:-1]
        label = "stamp " + "/".join(p for p in parts[:2] if p != "cartoon")
        yield Picture("-".join(path.relative_to(STAMPS).with_suffix("").parts), draw, [caption], label, caption.lower())


def clipart(side):
    seen = set()
    for path in sorted(CLIPART.rglob("*.svg")):
        data = path.read_bytes()
        # Many pictures lie in a folder and again in one below it: the deeper label says more.
        if path.is_symlink() or any((CLIPART / path.relative_to(CLIPART).parent).glob("*/" + path.name)) or data in seen:
            continue
        seen.add(data)
        text = data.decode(errors="replace")
        title = re.search(r"<dc:title>(.*?)</dc:title>", text, re.S)
        keywords = re.findall(r"<rdf:li>(.*?)</rdf:li>", text, re.S)
        clean = lambda t: re.sub(r"<[^>]*>|&[a-z#0-9]+;|[_]+", " ", t).strip()
        name = clean(title.group(1)) if title else ""
        parts = path.relative_to(CLIPART).parts[:-1]
        captions = [name, ", ".join(clean(k) for k in keywords)]
        yield Picture("-".join(path.relative_to(CLIPART).with_suffix("").parts), lambda p=path: svg(p, side), captions,
                      "clipart " + "/".join(parts), name.lower())


SETS = {
    "emoji": (emoji, "Noto Color Emoji (Debian fonts-noto-color-emoji): SIL OFL 1.1. Names and keywords (unicode-cldr-core): Unicode-DFS-2016.",
              "fonts-noto-color-emoji unicode-cldr-core unicode-data pango1.0-tools python3-pil"),
    "stamps": (stamps, "Tux Paint stamps (Debian tuxpaint-stamps-default): GPL-2+.",
               "tuxpaint-stamps-default librsvg2-bin unicode-cldr-core unicode-data python3-pil"),
    "clipart": (clipart, "Open Clip Art Library (Debian openclipart-svg): public domain.",
                "openclipart-svg librsvg2-bin unicode-cldr-core unicode-data python3-pil"),
}


def missing(packages):
    """Those of Debian's packages that are not installed."""
    status = lambda package: subprocess.run(["dpkg-query", "-W", "-f=${db:Status-Status}", package], capture_output=True, text=True).stdout
    try:
        return [package for package in packages.split() if status(package) != "installed"]
    except FileNotFoundError:  # no Debian: what is there shows in what can be drawn
        return [] if Image else ["python3-pil"]


def write_csv(path, header, rows):
    with open(path.with_suffix(".tmp"), "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    os.replace(path.with_suffix(".tmp"), path)


def main(kind):
    pictures, licence, packages = SETS[kind]
    parser = argparse.ArgumentParser(prog=f"script/data/{kind}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog=f"Needs Debian's {packages}.")
    parser.add_argument("out", type=pathlib.Path, help="folder to make")
    parser.add_argument("--side", type=int, default=64, help="pixels a side (64)")
    parser.add_argument("--smallest-class", type=int, default=12, help="labels.csv leaves smaller classes out (12)")
    options = parser.parse_args()
    if absent := missing(packages):
        sys.exit(f"missing packages; run: apt-get install {' '.join(absent)}")
    images = options.out / "images"
    images.mkdir(parents=True, exist_ok=True)
    splitter = concepts.Splitter()

    def make(picture):
        target = images / (picture.name + ".png")
        if target.exists():
            return True
        try:
            on_white(picture.draw(), options.side).save(target.with_suffix(".tmp"), format="PNG")
        except (OSError, ValueError, SyntaxError, subprocess.SubprocessError, Image.DecompressionBombError):
            return False
        os.replace(target.with_suffix(".tmp"), target)
        return True

    try:
        listed = list(pictures(options.side))
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} is missing; run: apt-get install {packages}")
    if not listed:
        sys.exit(f"no pictures found; run: apt-get install {packages}")
    # Some stamps are there twice, as .png and as .svg: the first is drawn, so that every run makes the same pictures.
    unique = {p.name: p for p in reversed(listed)}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        drawn = dict(zip(unique, pool.map(make, unique.values())))
    done = [p for p in listed if drawn[p.name]]
    captioned, labelled, sizes = [], [], {}
    for p in done:
        sizes[p.label] = sizes.get(p.label, 0) + 1
    for p in done:
        side = splitter.side(p.concept, p.captions)
        captioned += [[f"images/{p.name}.png", c, p.label, p.concept, side] for c in p.captions]
        if sizes[p.label] >= options.smallest_class and side == "train":
            labelled.append([f"images/{p.name}.png", p.label, "test" if concepts.draw("labels " + p.name) < 0.5 and kind == "stamps" else "train"])
    write_csv(options.out / "manifest.csv", ["filepath", "caption", "label", "concept", "split"], captioned)
    write_csv(options.out / "labels.csv", ["filepath", "label", "split"], labelled)
    first = {p.concept: p for p in reversed(done) if p.concept in splitter.held_out}
    if first:
        write_csv(options.out / "concepts.csv", ["filepath", "label", "split"],
                  [[f"images/{p.name}.png", concept, "test"] for concept, p in sorted(first.items())])
    (options.out / "LICENSE").write_text(licence + "\n")
    sides = {s: len({r[0] for r in captioned if r[4] == s}) for s in ("train", "test", "excluded")}
    held_out = len({r[3] for r in captioned if r[4] == "test"})
    print(f"{options.out}: {len(set(p.name for p in done))} pictures ({len(unique) - sum(drawn.values())} could not be drawn), by concept {sides}, {held_out} concepts held out; "
          f"{len(labelled)} labelled in {len({r[1] for r in labelled})} classes")
