"""Zero-shot by captions alone: a picture's candidate is the name whose letters are most like the captions of its nearest
training pictures. What a two-tower model has to beat to have learnt more than neighbours and spelling.

Run: .deps/oracle/bin/python bench/ngram_baseline.py TRAIN.safetensors TEST.safetensors CAPTIONS.csv CONCEPTS.csv
The safetensors files are vit22b features ... --only pooled of the same pictures as the tables name.
"""
import collections
import csv
import json
import math
import pathlib
import sys

import numpy as np
from safetensors import safe_open

NEIGHBORS, LETTERS = 10, 3


def features(path):
    with safe_open(path, "np") as file:
        paths = json.loads(file.metadata()["paths"])
        x = file.get_tensor("pooled").astype(np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True), [str(pathlib.Path(p).resolve()) for p in paths]


def table(path, column):
    folder, rows = pathlib.Path(path).parent, collections.defaultdict(list)
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows[str((folder / row["filepath"]).resolve())].append(row[column])
    return rows


def grams(text):
    text = f"  {text.lower()}  "
    return collections.Counter(text[i : i + LETTERS] for i in range(len(text) - LETTERS + 1))


def wilson(right, n, z=1.959964):
    p, d = right / n, 1 + z * z / n
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    return (p + z * z / (2 * n)) / d - half, (p + z * z / (2 * n)) / d + half


def main(train_path, test_path, captions_path, concepts_path):
    train, train_files = features(train_path)
    test, test_files = features(test_path)
    captions, concepts = table(captions_path, "caption"), table(concepts_path, "label")
    names = sorted({n for v in concepts.values() for n in v})
    bags = [grams(name) for name in names]
    seen = collections.Counter(g for bag in bags for g in bag)
    weight = {g: math.log(len(names) / c) for g, c in seen.items()}
    lengths = [math.sqrt(sum((c * weight[g]) ** 2 for g, c in bag.items())) or 1 for bag in bags]
    ranks = []
    for x, file in zip(test, test_files):
        similar = train @ x
        said = collections.Counter()
        for i in np.argsort(-similar)[:NEIGHBORS]:
            for caption in captions[train_files[i]]:
                for g, c in grams(caption).items():
                    said[g] += c * similar[i]
        scores = np.array([sum(c * said[g] * weight[g] ** 2 for g, c in bag.items()) / n for bag, n in zip(bags, lengths)])
        truth = names.index(concepts[file][0])
        ranks.append(int((scores >= scores[truth]).sum()) - 1)
    ranks = np.array(ranks)
    low, high = wilson(int((ranks == 0).sum()), len(ranks))
    print(json.dumps({"accuracy": float((ranks == 0).mean()), "confidence_interval": [low, high], "recall_at_10": float((ranks < 10).mean()),
                      "candidates": len(names), "pictures": len(ranks)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
