"""The program's heads on files of features beside scikit-learn's, by what they say of each test sample. scikit-learn 1.9.1.

Usage: live_sklearn.py VIT22B_BINARY     A line a case: samples on which they differ, and how many those near a tie are.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.neighbors import KNeighborsClassifier

TEMPERATURE = 0.07
NEAR_A_TIE = 1e-4  # of the two best scores: the program's features are float32, its optimum is within 1e-8
# Samples, width, classes, scale of a column against another, classes that occur.
CASES = {"many": (400, 37, 5, 1, 5), "two": (150, 11, 2, 1, 2), "wide": (60, 130, 3, 1, 3),
         "columns of unlike scale": (300, 20, 4, 1e3, 4), "labels with gaps": (200, 16, 9, 1, 4)}


def draw(rng, samples, width, classes, spread, used):
    labels = rng.choice(rng.permutation(classes)[:used], size=samples)
    labels[:used] = np.unique(labels)[np.arange(used) % len(np.unique(labels))]
    centres = np.random.default_rng(1).normal(size=(classes, width))
    scales = np.geomspace(1, spread, width)
    return ((centres[labels] + 2 * rng.normal(size=(samples, width))) * scales).astype(np.float32), labels


def said(binary, folder, name, flags):
    files = ["--train", folder / "train.safetensors", "--test", folder / "test.safetensors"]
    predictions = folder / f"{name}.safetensors"
    out = subprocess.run([binary, *flags, *files, "--predictions", predictions, "--json", "-q", "--threads", "1"], check=True,
                         capture_output=True, text=True).stdout
    tensors = load_file(predictions)
    predicted = next(tensors[key] for key in tensors if key.startswith("predicted"))
    return json.loads(out)["accuracy"], predicted.numpy().reshape(-1)


def check(case, method, accuracy, got, want, scores, truth):
    best = np.sort(scores, axis=1)[:, -2:]
    is_near = (best[:, 1] - best[:, 0]) <= NEAR_A_TIE * np.abs(best).max(1)
    differ = got != want
    if isinstance(accuracy, dict):
        accuracy = next(iter(accuracy.values()))
    is_right = not (differ & ~is_near).any() and abs(accuracy - accuracy_score(truth, got)) < 1e-9
    print(f"{case}, {method}: {differ.sum()} of {len(truth)} differ, {is_near.sum()} are near a tie{'' if is_right else '  WRONG'}")
    return is_right


def main():
    binary, all_right = sys.argv[1], True
    for seed, (case, (samples, width, classes, spread, used)) in enumerate(CASES.items()):
        rng = np.random.default_rng(seed)
        train, labels = draw(rng, samples, width, classes, spread, used)
        order = rng.permutation(samples)
        test, truth = train[order[: samples // 3]], labels[order[: samples // 3]]
        train, labels = train[order[samples // 3:]], labels[order[samples // 3:]]
        with tempfile.TemporaryDirectory() as place:
            folder = pathlib.Path(place)
            for name, x, y in (("train", train, labels), ("test", test, truth)):
                save_file({"features": torch.from_numpy(x), "labels": torch.from_numpy(y.astype(np.int64))}, folder / f"{name}.safetensors")
            for c in (0.01, 1.0):
                fit = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(train.astype(np.float64), labels)
                scores = fit.decision_function(test.astype(np.float64))
                scores = np.stack([-scores, scores], 1) if scores.ndim == 1 else scores
                got = said(binary, folder, f"logistic{c}", ["probe", "--c", str(c), "--tolerance", "1e-8", "--max-iterations", "100000"])
                all_right &= check(case, f"logistic regression, C={c}", *got, fit.predict(test.astype(np.float64)), scores, truth)
            for k in (1, 7, 20):
                # Cosine distance is 1 - similarity; a common factor of the votes changes nothing.
                fit = KNeighborsClassifier(k, weights=lambda d: np.exp(-d / TEMPERATURE), metric="cosine", algorithm="brute")
                fit.fit(train.astype(np.float64), labels)
                got = said(binary, folder, f"knn{k}", ["knn", "--k", str(k)])
                all_right &= check(case, f"{k} neighbours", *got, fit.predict(test.astype(np.float64)),
                                   fit.predict_proba(test.astype(np.float64)), truth)
    sys.exit(not all_right)


if __name__ == "__main__":
    main()
