"""The README's chart of speed out of the tables of bench/results: speed_chart.py OUT.svg

The latest table of each processor; bars are images a second as multiples of timm's in the same run.
"""
import glob
import html
import os
import re
import sys

here = os.path.dirname(os.path.abspath(__file__))
STACKS = {"timm": "#9aa0a6", "openvino": "#5b8def", "vit22b": "#e8710a"}
NAMES = {"timm": "timm", "openvino": "OpenVINO", "vit22b": "vit22b"}
WIDTH, BAR, GAP, LEFT = 760, 11, 14, 250


def tables():
    """Processor -> {work: {stack: img/s}}; a work's rates are of one table, the latest that has it."""
    found = {}
    for path in sorted(glob.glob(os.path.join(here, "results", "peers_*.md")), key=lambda p: p[-13:]):
        text = open(path).read()
        machine = "Intel Xeon, AMX" if "Intel" in path and "by AMX" in text else "Intel Xeon" if "Intel" in path else "AMD EPYC, Zen 4"
        works = {}
        for row in re.findall(r"^\| (.+?) \| (\w+)[^|]*\| ([0-9.]+) \(", text, re.M):
            work, stack, rate = row
            if stack in STACKS and "a run of its own" not in work:
                works.setdefault(work, {})[stack] = float(rate)
        found.setdefault(machine, {}).update(works)
    return found


def label(work):
    name, mode, precision, _, batch = work.split()
    name = {"b16": "ViT-B/16", "l16": "ViT-L/16", "h14": "ViT-H/14", "timm:vit_large_patch14_dinov2:224": "DINOv2-L/14",
            "timm:vit_large_patch16_dinov3:256": "DINOv3-L/16", "timm:vit_large_patch16_siglip_256": "SigLIP-L/16"}[name]
    return f"{name} {'training' if mode == 'train' else 'inference'}, {precision}, batch {batch}"


def bars(found):
    """(y, svg lines): one group a work, machines one below the other."""
    y, lines = 34, []
    scale = (WIDTH - LEFT - 60) / max(r["vit22b"] / r["timm"] for w in found.values() for r in w.values())
    for machine, works in found.items():
        lines.append(f"<text class='m' x='0' y='{y}'>{html.escape(machine)}, 2 cores</text>")
        y += 8
        for work, rates in works.items():
            lines.append(f"<text x='0' y='{y + BAR * len(rates) / 2 + 4}'>{html.escape(label(work))}</text>")
            for stack in STACKS:
                if stack not in rates:
                    continue
                ratio = rates[stack] / rates["timm"]
                lines.append(f"<rect x='{LEFT}' y='{y}' width='{ratio * scale:.1f}' height='{BAR - 1}' fill='{STACKS[stack]}'/>")
                if stack != "timm":
                    lines.append(f"<text class='n' x='{LEFT + ratio * scale + 4:.1f}' y='{y + BAR - 2}'>{ratio:.2f}</text>")
                y += BAR
            y += GAP - 6
        y += 28
    return y - 20, lines


def main():
    found = {machine: {work: rates for work, rates in works.items() if {"timm", "vit22b"} <= set(rates) and "demo7" not in work
                       and " batch 1" != work[-8:]}
             for machine, works in tables().items() if machine != "Intel Xeon"}
    height, lines = bars(found)
    legend, x = [], LEFT
    for stack, colour in STACKS.items():
        legend.append(f"<rect x='{x}' y='3' width='10' height='10' fill='{colour}'/><text x='{x + 15}' y='12'>{NAMES[stack]}</text>")
        x += 90
    legend.append(f"<text x='{x}' y='12'>images a second, timm = 1</text>")
    style = ("text{font:12px sans-serif;fill:#24292f}.m{font-weight:bold}.n{font-size:10px}"
             "@media(prefers-color-scheme:dark){text{fill:#d0d7de}}")
    with open(sys.argv[1], "w") as file:
        file.write(f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img' "
                   f"aria-label='Images a second beside timm and OpenVINO'>\n<style>{style}</style>\n" +
                   "\n".join(legend + lines) + "\n</svg>\n")


main()
