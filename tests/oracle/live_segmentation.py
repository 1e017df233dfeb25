"""`eval segmentation` beside scikit-learn, torchmetrics and, for boundaries, scipy: live_segmentation.py VIT22B.

Masks of classes in mixed PNGs (grey and palette of 8 bits, grey of 16), counts summed over the whole set. Classes that are in neither
truth nor prediction have no IoU or Dice, those not in truth no accuracy, those without boundary no boundary IoU; means leave them out.
The boundary IoU is Cheng et al.'s (CVPR 2021; boundary_iou/utils/boundary_utils.py): a class's region less what is left of it after d
erosions by 3x3, what is outside the picture being of no class, d = max(1, round(0.02 * diagonal)) with halves to the even number, as
Python rounds. Predictions on ignored pixels are struck out before all else, so that these are of no class on both sides.
"""
import pathlib
import tempfile
import warnings
from fractions import Fraction

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import binary_erosion
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score, jaccard_score, recall_score
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassJaccardIndex

from checks import near, run, tell

torch.set_num_threads(1)
folder = pathlib.Path(tempfile.mkdtemp())
rng = np.random.default_rng(22)
NONE = -1  # of an ignored pixel, here
LISTS = ("iou_per_class", "accuracy_per_class", "dice_per_class")
NUMBERS = ("miou", "mean_accuracy", "mean_dice", "pixel_accuracy", "boundary_iou")  # means of LISTS first
# 75x100 has 2.5 for d, 45x60 has 1.5.
SIZES = [(1, 1), (1, 37), (29, 1), (2, 3), (31, 47), (75, 100), (60, 45), (64, 48), (151, 203), (53, 17)]


def close(case, measure, got, want, bound=1e-9):
    try:
        near(measure, got, want, bound)
    except AssertionError:
        raise AssertionError(f"{case}: {measure} is {got}, not {want}") from None


def boundary(mask):
    d = max(1, round(0.02 * np.sqrt(mask.shape[0] ** 2 + mask.shape[1] ** 2)))
    return mask & ~binary_erosion(mask, np.ones((3, 3)), iterations=d, border_value=0)


def boundary_iou(truths, predictions, classes):
    shared, all_ = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    for truth, predicted in zip(truths, predictions):
        predicted = np.where(truth == NONE, NONE, predicted)
        for k in np.union1d(truth[truth != NONE], predicted[truth != NONE]):
            a, b = boundary(truth == k), boundary(predicted == k)
            shared[k] += (a & b).sum()
            all_[k] += (a | b).sum()
    return (shared[all_ > 0] / all_[all_ > 0]).mean()


def theirs(name, truths, predictions, classes):
    """What the libraries say, once they agree with each other."""
    y, p = (np.concatenate([x[t != NONE] for t, x in zip(truths, of)]) for of in (truths, predictions))
    every = range(classes)
    counts = confusion_matrix(y, p, labels=every)
    of_truth, of_both = counts.sum(1) > 0, counts.sum(0) + counts.sum(1) > 0
    of_class = {"iou_per_class": (jaccard_score(y, p, labels=every, average=None, zero_division=0), of_both),
                "accuracy_per_class": (recall_score(y, p, labels=every, average=None, zero_division=0), of_truth),
                "dice_per_class": (f1_score(y, p, labels=every, average=None, zero_division=0), of_both)}
    want = {key: [float(v) if ok else None for v, ok in zip(values, there)] for key, (values, there) in of_class.items()}
    for key, mean in zip(LISTS, NUMBERS):
        want[mean] = np.mean([v for v in want[key] if v is not None])
    want |= {"pixel_accuracy": accuracy_score(y, p), "boundary_iou": boundary_iou(truths, predictions, classes),
             "num_images": len(truths), "num_pixels": len(y)}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that only predictions have
        close(name, "scikit-learn's balanced accuracy", balanced_accuracy_score(y, p), want["mean_accuracy"])
    flat = [torch.from_numpy(np.concatenate([x.ravel() for x in of]).astype(np.int64)) for of in (truths, predictions)]
    flat[1][flat[0] == NONE] = 0  # torchmetrics looks at these before it leaves them out
    matrix = MulticlassConfusionMatrix(classes, ignore_index=NONE)(flat[1], flat[0]).numpy()
    assert (matrix == counts).all(), f"{name}: torchmetrics and scikit-learn count differently"
    jaccard = MulticlassJaccardIndex(classes, average=None, ignore_index=NONE)(flat[1], flat[0]).numpy()  # float32
    for k, v in enumerate(want["iou_per_class"]):
        close(name, "torchmetrics' IoU", float(jaccard[k]), v or 0, 1e-6)
    close(name, "torchmetrics' mIoU", float(MulticlassJaccardIndex(classes, ignore_index=NONE)(flat[1], flat[0])), want["miou"], 1e-6)
    return want


def save(path, values, kind):
    """A PNG of numbers; a palette's colours are anything."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values.astype(np.uint16 if kind == "grey16" else np.uint8))
    if kind == "palette":
        image.putpalette(rng.integers(0, 256, 768).astype(np.uint8).tobytes())
    image.save(path)
    head = path.read_bytes()[24:26]  # bits and kind of colour
    assert head == {"grey": b"\x08\x00", "palette": b"\x08\x03", "grey16": b"\x10\x00"}[kind], (kind, head)


def compare(name, said, want):
    for key in ("num_images", "num_pixels"):
        assert said[key] == want[key], f"{name}: {key} is {said[key]}, not {want[key]}"
    for key in NUMBERS:
        assert said[key] is not None, f"{name}: {key} is null, not {want[key]}"
        close(name, key, said[key], float(want[key]))
    for key in LISTS:
        assert len(said[key]) == len(want[key]), f"{name}: {key} has {len(said[key])} numbers for {len(want[key])} classes"
        for k, (got, v) in enumerate(zip(said[key], want[key])):
            assert (got is None) == (v is None), f"{name}: {key} of class {k} is {got}, not {v}"
            if v is not None:
                close(f"{name}, class {k}", key, got, float(v))


def ask(name, truths, predictions, classes, *options, ignore=(255,), offset=0, wide=False):
    """Files of these classes, and what the program says of them; NONE becomes one of the values of ignore."""
    place = folder / name.replace(" ", "_")
    for i, (truth, predicted) in enumerate(zip(truths, predictions)):
        kinds = ["grey16"] * 2 if wide else rng.choice(["grey", "palette", "grey16"], 2)
        save(place / "truth" / f"{i:03d}.png", np.where(truth == NONE, rng.choice(ignore, truth.shape), truth - offset), kinds[0])
        save(place / "predicted" / f"{i:03d}.png", predicted, kinds[1])
    say = lambda *more: run("eval", "segmentation", "--predictions", place / "predicted", "--truth", place / "truth",  # noqa: E731
                            "--classes", classes, *options, *more)
    said = say()
    alone, several = say("--workers", 1), say("--workers", 3)
    for key in (*NUMBERS, *LISTS, "num_images", "num_pixels"):
        assert key in said, f"{name}: no {key} in {sorted(said)}"
        assert said[key] == alone[key] == several[key], f"{name}: {key} is {said[key]}, {alone[key]}, {several[key]} by default, 1 and 3 workers"
    return said


def patches(size, values, block):
    """Random values in blocks, so that regions have insides, with a few pixels strewn in."""
    h, w = size
    coarse = rng.choice(values, (h // block + 1, w // block + 1)).repeat(block, 0).repeat(block, 1)[:h, :w]
    return np.where(rng.random(size) < 0.03, rng.choice(values, size), coarse)


def draw(size, truth_values, predicted_values, ignored):
    truth = patches(size, truth_values, int(rng.integers(5, 30)))
    predicted = np.where(patches(size, [0, 1, 1], 9) == 1, np.roll(truth, rng.integers(-2, 3, 2), (0, 1)), patches(size, predicted_values, 11))
    predicted = np.where(np.isin(predicted, predicted_values), predicted, rng.choice(predicted_values, size))
    if ignored:
        truth[patches(size, [0] * 7 + [1], 8) == 1] = NONE
    return truth, predicted


def random_set(name, classes, truth_values, predicted_values, *options, sizes=SIZES, ignored=True, **how):
    pairs = [draw(size, truth_values, predicted_values, ignored) for size in sizes]
    if ignored:
        pairs.append((np.full((9, 21), NONE), rng.choice(predicted_values, (9, 21))))
    truths, predictions = map(list, zip(*pairs))
    said = ask(name, truths, predictions, classes, *options, **how)
    compare(name, said, theirs(name, truths, predictions, classes))
    if ignored:  # what is predicted where nothing is labelled is nobody's business
        junk = [np.where(t == NONE, rng.choice([0, classes - 1, classes, 255], t.shape), p) for t, p in zip(truths, predictions)]
        again = ask(f"{name}, junk on ignored pixels", truths, junk, classes, *options, **how)
        for key in (*NUMBERS, *LISTS, "num_pixels"):
            assert again[key] == said[key], f"{name}: {key} is {again[key]}, not {said[key]}, by what is predicted on ignored pixels"


# By hand. Class 0 has 15 pixels in both, 14 shared; class 1 has 9 and 8, shared 8; class 2 is predicted once, wrongly; class 3 never.
# Of boundaries of one pixel, class 0 has 12 in truth (its middle row is inside but for the ends) and 13 predicted, 11 shared.
truth = np.array([[0] * 5] * 3 + [[1, 1, 1, 1, NONE], [1] * 5])
predicted = np.array([[0] * 5] * 2 + [[0, 0, 0, 0, 2], [1] * 5, [0, 1, 1, 1, 1]])
F = Fraction
known = {"iou_per_class": [F(14, 16), F(8, 9), 0, None], "accuracy_per_class": [F(14, 15), F(8, 9), None, None],
         "dice_per_class": [F(28, 30), F(16, 17), 0, None], "miou": (F(14, 16) + F(8, 9)) / 3, "mean_accuracy": (F(14, 15) + F(8, 9)) / 2,
         "mean_dice": (F(28, 30) + F(16, 17)) / 3, "pixel_accuracy": F(22, 24), "boundary_iou": (F(11, 14) + F(8, 9)) / 3,
         "num_images": 1, "num_pixels": 24}
compare("by hand, the libraries", theirs("by hand", [truth], [predicted], 4), known)
compare("by hand", ask("by hand", [truth], [predicted], 4), known)
compare("by hand, shifted", ask("by hand, shifted", [truth], [predicted], 4, "--label-offset", -1, ignore=(0,), offset=-1), known)
# An ignored pixel amid a class is a hole in both: 24 at the rim and 8 around it, whatever is predicted there.
truth = np.zeros((7, 7), int)
truth[3, 3] = NONE
hole = ask("by hand, a hole", [truth], [np.zeros((7, 7), int)], 1)
assert (hole["boundary_iou"], hole["miou"], hole["num_pixels"]) == (1, 1, 48), f"by hand, a hole: {hole}"

# Class 4 is never predicted, 5 is nowhere, 6 is only predicted.
random_set("absent classes", 7, [0, 1, 2, 3, 4], [0, 1, 2, 3, 6], "--ignore-index", 255)
random_set("two classes", 2, [0, 1], [0, 1], ignored=False)
random_set("zero is no class", 6, [0, 1, 2, 3, 5], [0, 1, 2, 3, 5], "--label-offset", -1, ignore=(0, 255), offset=-1)
random_set("another value ignored", 5, [0, 1, 2, 4], [0, 1, 2, 4], "--ignore-index", 3, ignore=(3,))
random_set("many classes", 300, np.arange(0, 300, 3), np.arange(0, 300, 2), "--ignore-index", 65535, ignore=(65535,), wide=True)
random_set("pictures of a pixel's height", 3, [0, 1, 2], [0, 1, 2], sizes=[(1, n) for n in (1, 2, 3, 50, 1000)])

tell()
