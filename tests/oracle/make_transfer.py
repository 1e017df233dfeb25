"""Classifiers on frozen features by other hands: scikit-learn's logistic regression, big_vision's few-shot classifier and
DINOv2's nearest neighbours, the last two as their files define them, in numpy and float64.

Run: .deps/oracle/bin/python tests/oracle/make_transfer.py      Made with scikit-learn 1.9.1, numpy 2.4.6.
Tensors of tests/oracle/transfer.safetensors: CASE/train, CASE/labels, CASE/test and
  CASE/logistic.C/coef [C or 1, D], .../intercept, .../predicted;  CASE/ridge/weights [D + 1, C], .../scores;
  CASE/knn.K/predicted.
"""
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

CASES = {"many": (300, 37, 5), "two": (120, 11, 2), "wide": (40, 67, 3)}
PENALTIES = ("0.01", "1", "100")
NEIGHBORS = (1, 7, 40)


def logistic(train, labels, test, c):
    fit = LogisticRegression(C=c, solver="lbfgs", tol=1e-9, max_iter=100_000).fit(train, labels)
    return {"coef": fit.coef_, "intercept": fit.intercept_, "predicted": fit.predict(test)}


def ridge(train, labels, test, num_classes, l2=2.0**10):
    mean, std = train.mean(0, keepdims=True), train.std(0, keepdims=True) + 1e-5
    whiten = lambda x: np.pad((x - mean) / std, ((0, 0), (0, 1)), constant_values=100.0)
    x, y = whiten(train), 2.0 * np.eye(num_classes)[labels] - 1.0
    weights = np.linalg.solve(x.T @ x + l2 * np.eye(x.shape[1]), x.T @ y)
    return {"weights": weights, "scores": whiten(test) @ weights}


def neighbors(train, labels, test, num_classes, k, temperature=0.07):
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
    similar = unit(test) @ unit(train).T
    nearest = np.argsort(-similar, axis=1)[:, :k]
    weights = np.exp(np.take_along_axis(similar, nearest, 1) / temperature)
    votes = np.zeros((len(test), num_classes))
    for c in range(num_classes):
        votes[:, c] = (weights * (labels[nearest] == c)).sum(1)
    return {"predicted": votes.argmax(1)}


def main():
    out = {}
    rng = np.random.default_rng(0)
    for case, (n, d, classes) in CASES.items():
        centres = rng.normal(size=(classes, d))
        labels, truth = rng.integers(classes, size=n), rng.integers(classes, size=200)
        draw = lambda of: (centres[of] + 2 * rng.normal(size=(len(of), d))).astype(np.float32)
        train, test = draw(labels), draw(truth)
        out |= {f"{case}/train": train, f"{case}/labels": labels, f"{case}/test": test}
        results = {f"logistic.{c}": logistic(train.astype(np.float64), labels, test.astype(np.float64), float(c)) for c in PENALTIES}
        results["ridge"] = ridge(train.astype(np.float64), labels, test.astype(np.float64), classes)
        results |= {f"knn.{k}": neighbors(train.astype(np.float64), labels, test.astype(np.float64), classes, k) for k in NEIGHBORS}
        out |= {f"{case}/{kind}/{name}": value for kind, result in results.items() for name, value in result.items()}
    save_file({name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in out.items()},
              pathlib.Path(__file__).parent / "transfer.safetensors")


if __name__ == "__main__":
    main()
