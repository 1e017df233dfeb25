"""Calibration, selective prediction, OOD scores and fairness against scikit-learn, torchmetrics, pytorch-ood and plain numpy:
live_trust.py VIT22B. Logits are random, peaked, tied and saturated; the same files go to both."""
import pathlib
import tempfile

import numpy as np
import torch
from safetensors.numpy import save_file
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from torchmetrics.functional.classification import multiclass_calibration_error

from checks import near, run, tell

folder = pathlib.Path(tempfile.mkdtemp())


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def draw(seed, n, c, scale, levels=None):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, c)) * scale
    if levels:
        z = np.round(z * levels) / levels
    y = (z + rng.gumbel(size=z.shape) * scale * 0.7).argmax(1)
    return z.astype(np.float32), y.astype(np.int64), rng


# The published definitions, written out again.
def equal_mass(confidence, right, bins):
    order = np.argsort(confidence, kind="stable")
    c, r = confidence[order], right[order].astype(float)
    for value in np.unique(c):  # equal ones share their right ones
        r[c == value] = r[c == value].mean()
    edges = [b * len(c) // bins for b in range(bins + 1)]
    return sum(abs(r[a:b].sum() - c[a:b].sum()) for a, b in zip(edges, edges[1:])) / len(c)


def oracle_auc(confidence, right, share):
    n, bins = len(confidence), 1000
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    points = []
    for i in range(200):
        t = [-1e-7, *[k / 199 for k in range(1, 199)], 1 + 1e-7][i]
        taken = confidence > t
        count = {k: np.bincount(place[m], minlength=bins).astype(float) for k, m in
                 {"tp": taken & right, "fp": taken & ~right, "fn": ~taken & right, "tn": ~taken & ~right}.items()}
        left = 0 if i in (0, 199) else int(np.floor(share * n))
        for b in range(bins):
            total = sum(v[b] for v in count.values())
            s = min(1, left / total) if total else 0
            left -= s * total
            count["tp"][b] += s * count["fn"][b]
            count["fn"][b] *= 1 - s
            count["tn"][b] += s * count["fp"][b]
            count["fp"][b] *= 1 - s
        total = {k: v.sum() for k, v in count.items()}
        points.append((total["fp"] / (total["fp"] + total["tn"]), total["tp"] / (total["tp"] + total["fn"])))
    return sum((a[0] - b[0]) * (a[1] + b[1]) / 2 for a, b in zip(points, points[1:]))


for seed, (n, c, scale, levels) in enumerate([(2000, 10, 2.0, None), (500, 3, 1.0, 2), (777, 100, 4.0, None), (300, 2, 30.0, None)]):
    z, y, rng = draw(seed, n, c, scale, levels)
    file, fit = folder / f"{seed}.safetensors", folder / f"{seed}fit.safetensors"
    save_file({"logits": z, "labels": y}, file)
    z2, y2, _ = draw(seed + 100, n, c, scale, levels)
    save_file({"logits": z2, "labels": y2}, fit)
    p = softmax(z.astype(np.float64))
    confidence, right = p.max(1), p.argmax(1) == y
    truth = np.eye(c)[y]

    said = run("eval", "calibration", "--logits", file, "--fit", fit)
    near("top1", said["top1"], right.mean())
    # torchmetrics' bins are open below; they differ where a confidence is an edge, as 1 is not.
    near("ece_15", said["ece_15"], float(multiclass_calibration_error(torch.tensor(p), torch.tensor(y), c, n_bins=15, norm="l1")), 1e-5)
    near("ece_100_equal_mass", said["ece_100_equal_mass"], equal_mass(confidence, right, 100), 1e-9)
    classwise = np.mean([
        sum(abs(truth[m, k].sum() - p[m, k].sum()) for b in range(15) if (m := np.minimum((p[:, k] * 15).astype(int), 14) == b).any()) / n
        for k in range(c)])
    near("ece_classwise_15", said["ece_classwise_15"], classwise, 1e-9)
    near("nll", said["nll"], -np.log(np.maximum(p[np.arange(n), y], 1e-300)).mean(), 1e-6)
    near("brier", said["brier"], ((p - truth) ** 2).sum(1).mean(), 1e-9)
    groups = {k: truth[p.argmax(1) == k].mean(0) for k in range(c) if (p.argmax(1) == k).any()}
    labels_of = np.array([groups[k] for k in p.argmax(1)])
    near("brier_uncertainty", said["brier_uncertainty"], 1 - (truth.mean(0) ** 2).sum(), 1e-9)
    near("brier_resolution", said["brier_resolution"], ((labels_of - truth.mean(0)) ** 2).sum(1).mean(), 1e-9)
    near("brier_reliability", said["brier_reliability"], ((p - labels_of) ** 2).sum(1).mean(), 1e-9)

    # Guo's temperature by torch's L-BFGS.
    beta = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([beta], lr=1, max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-14, line_search_fn="strong_wolfe")
    logits, labels = torch.tensor(z2, dtype=torch.float64), torch.tensor(y2)

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits * beta, labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    near("temperature", said["temperature"] * beta.item(), 1, 1e-5)
    scaled = softmax(z * beta.item())
    near("nll_after", said["nll_after"], -np.log(np.maximum(scaled[np.arange(n), y], 1e-300)).mean(), 1e-5)

    said = run("eval", "selective", "--logits", file)
    near("calibration_auc", said["calibration_auc"], roc_auc_score(right, confidence))
    order = np.argsort(-confidence, kind="stable")
    wrong = 1.0 - right[order]
    for value in np.unique(confidence):
        m = confidence[order] == value
        wrong[m] = wrong[m].mean()
    k = np.arange(1, n + 1)
    aurc = (np.cumsum(wrong) / k).mean()
    near("aurc", said["aurc"], aurc, 1e-9)
    near("e_aurc", said["e_aurc"], aurc - (np.maximum(0, k - right.sum()) / k).mean(), 1e-9)
    for row in said["oracle_auc"]:
        near("oracle_auc", row["auroc"], oracle_auc(confidence, right, row["share"]), 1e-9)

    # Strange samples: flatter logits.
    strange, _, _ = draw(seed + 200, n // 2, c, scale / 2, levels)
    features = {name: rng.normal(size=(m, 12)).astype(np.float32) + shift for name, m, shift in
                (("known", n, 0), ("in", n, 0), ("out", n // 2, 0.5))}
    features["known"] += np.eye(c, 12)[y].astype(np.float32) * 2
    features["in"] += np.eye(c, 12)[y].astype(np.float32) * 2
    save_file({"logits": z, "labels": y, "features": features["in"]}, folder / "in.safetensors")
    save_file({"logits": strange, "labels": np.zeros(n // 2, np.int64), "features": features["out"]}, folder / "out.safetensors")
    save_file({"features": features["known"], "labels": y}, folder / "known.safetensors")
    said = run("eval", "ood", "--logits", folder / "in.safetensors", "--ood-logits", folder / "out.safetensors",
               "--known", folder / "known.safetensors", "--k", 7)
    from pytorch_ood.detector import EnergyBased, Entropy, MaxLogit, MaxSoftmax

    both = torch.tensor(np.concatenate([z, strange]), dtype=torch.float64)
    is_out = np.r_[np.zeros(n), np.ones(n // 2)]
    theirs = {"msp": 1 + MaxSoftmax.score(both), "entropy": Entropy.score(both), "energy": EnergyBased.score(both), "max_logit": MaxLogit.score(both)}
    if scale > 10:  # pytorch-ood's probabilities are kept from 0 there, and 1 - p has no digits left
        log_p = torch.log_softmax(both, 1)
        theirs |= {"msp": -torch.expm1(log_p.max(1).values), "entropy": -(log_p.exp() * log_p).sum(1)}
    x = features["known"].astype(np.float64)
    means = np.array([x[y == k].mean(0) for k in range(c) if (y == k).any()])
    centred = x - np.array([x[y == k].mean(0) for k in y])

    def inverse(v):
        cov = v.T @ v / len(v)
        return np.linalg.inv(cov + np.eye(12) * 1e-6 * np.trace(cov) / 12)

    tied, of_all = inverse(centred), inverse(x - x.mean(0))
    q = np.concatenate([features["in"], features["out"]]).astype(np.float64)
    d = q[:, None] - means[None]
    theirs["mahalanobis"] = np.einsum("nkd,de,nke->nk", d, tied, d).min(1)
    theirs["relative_mahalanobis"] = theirs["mahalanobis"] - np.einsum("nd,de,ne->n", q - x.mean(0), of_all, q - x.mean(0))
    unit = lambda v: v / np.linalg.norm(v, axis=1, keepdims=True)  # noqa: E731
    theirs["knn"] = 1 - np.sort(unit(q) @ unit(x).T, axis=1)[:, -7]
    for name, scores in theirs.items():
        scores = np.asarray(scores, np.float64).astype(np.float32)  # as the program compares them
        bound = 2e-3 if name == "knn" else 1e-5  # cosines are float32's
        near(f"{name} auroc", said[name]["auroc"], roc_auc_score(is_out, scores), bound)
        near(f"{name} auprc", said[name]["auprc"], average_precision_score(is_out, scores), bound)
        near(f"{name} auprc_in", said[name]["auprc_in"], average_precision_score(1 - is_out, -scores), bound)
        for key, labels_, sign in (("fpr95", is_out, 1), ("fpr95_in", 1 - is_out, -1)):
            fpr, tpr, _ = roc_curve(labels_, sign * scores, drop_intermediate=False)
            near(f"{name} {key}", said[name][key], fpr[tpr >= 0.95 - 1e-12].min(), max(bound, 2e-2 if bound > 1e-5 else bound))


# Randomised thresholds by the published algorithm's steps (Alabdulmohsin and Lucic 2021), in numpy, long enough to converge.
def published(scores, groups, gamma, tolerance):
    y, half, rho = 2 * scores - 1, tolerance / 2, scores.mean()
    offsets = []
    for k in range(groups.max() + 1):
        own, lam, mu = y[groups == k], 0.0, 0.0
        for _ in range(20000):
            mean = np.clip((own - (lam - mu)) / gamma, 0, 1).mean()
            if half > 1e-3:
                lam = max(0.0, lam - 0.5 * gamma * (half + rho - mean))
                mu = max(0.0, mu - 0.5 * gamma * (half - rho + mean))
            else:
                lam -= 0.5 * gamma * (half + rho - mean)
        offsets.append(lam - mu)
    return offsets


rng = np.random.default_rng(9)
groups = rng.integers(0, 3, 3000)
scores = np.clip(rng.beta(2, 2 + groups), 0, 1)
labels = (rng.random(3000) < scores).astype(int)
table = folder / "f.csv"
table.write_text("label,score,group\n" + "".join(f"{a},{b!r},{g}\n" for a, b, g in zip(labels.tolist(), scores.tolist(), groups.tolist())))
said = run("eval", "fairness", "--table", table)
predicted = scores >= 0.5
rates = [predicted[groups == k].mean() for k in range(3)]
near("parity_gap", said["parity_gap"], max(rates) - min(rates), 1e-9)
rates = [[predicted[(groups == k) & (labels == v)].mean() for k in range(3)] for v in (0, 1)]
near("equalized_odds_gap", said["equalized_odds_gap"], max(max(r) - min(r) for r in rates), 1e-9)
# Fitted and measured on halves that the program draws: the published steps on all samples lie within what halves differ by.
for row in said["rto"]:
    offsets = published(scores, groups, 0.05, row["tolerance"])
    chance = np.clip((2 * scores - 1 - np.array(offsets)[groups]) / 0.05, 0, 1)
    near("rto accuracy", row["accuracy"], np.where(labels == 1, chance, 1 - chance).mean(), 0.03)
    near("rto parity_gap", row["parity_gap"], np.ptp([chance[groups == k].mean() for k in range(3)]), 0.06)

tell()
