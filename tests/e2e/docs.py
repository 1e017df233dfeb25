"""Runs what the pages of docs/ and the README show: docs.py BUILD SOURCE

Every ```sh block is run as written by bash -eu, in a fresh copy of a folder that has what the pages name: CKPT, CONFIG, RUN's data
SRC and DIR, MASKS, SCENES, DEPTHS, runs/a and runs/b, photos/, captions.csv, names.txt, and the tree's own build/, configs/ and examples/. A page's ```cpp,
```c and ```python blocks are mine.cpp, mine.c and mine.py there, and are compiled and run too. A page without an ```sh block fails,
but for the records that docs/log.md and docs/roadmap.md are, and so does a block without a language: ```bash is of commands that are shown alone (they take long, or want data).
"""
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

build, source = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
RECORDS = {"log.md", "roadmap.md"}
# How a page's program runs, in a folder that has include/vit22b, lib and python beside it.
PROGRAMS = {
    "cpp": ("mine.cpp", "g++ -std=c++17 mine.cpp -Iinclude -Llib -lvit22b -Wl,-rpath,$PWD/lib -o a.out && ./a.out"),
    "c": ("mine.c", "gcc -std=c99 -Wall -Werror mine.c -Iinclude -Llib -lvit22b -Wl,-rpath,$PWD/lib -o a.out && ./a.out"),
    "python": ("mine.py", "PYTHONPATH=python python3 mine.py"),
}
CONFIG = """total_steps = 4
[model]
name = "test8"
img_size = 16
[data]
source = "folder"
root = "SRC"
batch_size = 8
val = "20%"
"""
LIT = """total_steps = 4
[model]
name = "test8"
context_length = 8
[lit]
tokenizer = "train:14"
[data]
source = "manifest"
batch_size = 8
val = "20%"
"""


def png_bytes(rows, colour_type, bits=8):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 16, 16, bits, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")


def mask(i):
    """Class 0 on the left, class 1 on the right."""
    return png_bytes([b"\0" + bytes(x > 4 + i for x in range(16))] * 16, 0)


def depth_map(i):
    """Millimetres, farther on the right."""
    return png_bytes([b"\0" + b"".join(struct.pack(">H", 1000 + 100 * x + i) for x in range(16))] * 16, 0, 16)


def png(red, blue, i):
    def row(y):
        return b"\0" + bytes(v for x in range(16) for v in (red, (x * 7 + y * 13 + i * 5) % 40, blue))

    return png_bytes([row(y) for y in range(16)], 2)


def make_folder(folder):
    rows = ["filepath,caption,label"]
    for split, count in (("train", 30), ("test", 6)):
        for name, red, blue in (("red", 200, 20), ("blue", 20, 200)):
            for i in range(count):
                place = folder / "SRC" / split / name / f"{i}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(png(red, blue, i))
                if split == "train":
                    rows.append(f"SRC/train/{name}/{i}.png,a {name} square,{name}")
    for name in ("photos", "more"):
        (folder / name).mkdir()
        for i in range(3):
            (folder / name / f"{name}{i}.png").write_bytes(png(90 * i, 200 - 90 * i, i))
    for name in ("photo.png", "a.png", "b.png"):
        (folder / name).write_bytes(png(200, 20, ord(name[0])))
    for split, count in (("train", 6), ("val", 2)):
        for i in range(count):
            for kind, values in (("images", png(200, 20, i)), ("masks", mask(i))):
                place = folder / "MASKS" / kind / split / f"{i}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(values)
    (folder / "MASKS/classes.txt").write_text("left\nright\n")
    for split, count in (("train", 6), ("val", 2)):
        for i in range(count):
            for kind, values in (("rgb", png(200, 20, i)), ("depth", depth_map(i))):
                place = folder / "SCENES" / kind / split / f"{i}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(values)
    for kind, nearer in (("truth", 0), ("said", 300)):
        for i in range(3):
            place = folder / "DEPTHS" / kind / f"{i}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(depth_map(i * 10 + nearer))
    (folder / "captions.csv").write_text("\n".join(rows) + "\n")
    (folder / "names.txt").write_text("red\nblue\n")
    (folder / "CONFIG").write_text(CONFIG)
    (folder / "LIT").write_text(LIT)
    (folder / "DIR").symlink_to("SRC")
    (folder / "FLAT").symlink_to("SRC/train")
    for name in ("include", "python", "build"):
        (folder / name).mkdir()
    (folder / "include/vit22b").symlink_to(source / "src/api")
    (folder / "lib").symlink_to(build)
    shutil.copytree(source / "python/vit22b", folder / "python/vit22b")
    (folder / "python/vit22b/libvit22b.so").symlink_to(build / "libvit22b.so")
    (folder / "build/release").symlink_to(build)
    for name in ("configs", "examples", "script"):
        (folder / name).symlink_to(source / name)
    for line in (
        "model init test8 img_size=16 num_classes=2 --seed 1 --out CKPT --quiet",
        "train CONFIG --seed 1 --out runs/a --quiet",
        "train CONFIG optim.lr=0.01 --out runs/b --quiet",
        "eval runs/a --quiet",
    ):
        subprocess.run([build / "vit22b", *line.split()], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def blocks(page, language):
    """(line, text) of each fenced block of a language."""
    text = page.read_text()
    for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, found.start()) + 1, found[1]


def bare_fences(page):
    """Lines on which a block without a language begins."""
    is_inside = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            if not is_inside and line.strip() == "```":
                yield number
            is_inside = not is_inside


def untrue_messages(page):
    """Messages of docs/troubleshooting.md (code in a table's first column) that no source has."""
    sources = "".join(re.sub(r'"\s*\n\s*"', "", path.read_text()) for path in sorted((source / "src").rglob("*.cpp")))
    rows = re.findall(r"^\| (`.*?) \| ", page.read_text(), re.MULTILINE)
    return [said for row in rows for said in re.findall(r"`([^`]+)`", row) if said not in sources]


def run(page, line, text, fixture, folder):
    shutil.copytree(fixture, folder, symlinks=True)
    for language, (name, _) in PROGRAMS.items():
        (folder / name).write_text("".join(block for _, block in blocks(page, language)))
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    (bin_folder / "vit22b").symlink_to(build / "vit22b")
    (bin_folder / "python3").symlink_to("/usr/bin/python3")  # Debian's, which has Debian's numpy
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    if ended.returncode == 0:
        return True
    print(f"{page.relative_to(source)}:{line}: exit code {ended.returncode}\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return False


def main():
    pages = [source / "README.md", *sorted((source / "docs").glob("*.md"))]
    is_good, count = True, 0
    with tempfile.TemporaryDirectory() as scratch:
        fixture = pathlib.Path(scratch) / "fixture"
        fixture.mkdir()
        make_folder(fixture)
        for page in pages:
            shown = list(blocks(page, "sh"))
            if not shown and page.name not in RECORDS:
                print(f"{page.relative_to(source)}: shows no command; want one ```sh block that works as written")
                is_good = False
            for said in untrue_messages(page) if page.name == "troubleshooting.md" else []:
                print(f"docs/troubleshooting.md: no source says {said!r}")
                is_good = False
            for line in bare_fences(page):
                print(f"{page.relative_to(source)}:{line}: a block of no language; say sh, bash, text, …")
                is_good = False
            for language, (_, command) in PROGRAMS.items():
                shown += [(line, command) for line, _ in list(blocks(page, language))[:1]]
            for line, text in shown:
                is_good &= run(page, line, text, fixture, pathlib.Path(scratch) / f"block{count}")
                count += 1
    print(f"{count} blocks of {len(pages)} pages run as written" if is_good else "a page shows what does not work")
    sys.exit(not is_good)


main()
