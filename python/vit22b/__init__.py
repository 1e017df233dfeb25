"""Vision transformers by the vit22b library: checkpoints, features, logits, training, linear classifiers.

Tensors go in by DLPack or as anything numpy takes (a torch.Tensor on the CPU, a jax.Array, a list), and come out as
numpy arrays, which speak DLPack: torch.from_dlpack(model.features(images)).
"""
import ctypes
import os
import pathlib
import struct
import tempfile
import zlib

import numpy as np

__all__ = ["Classifier", "DepthEstimator", "Error", "Model", "Segmenter", "Trainer", "train_classifier"]


class Error(RuntimeError):
    """What the library refuses; its text says what, where and what to do."""


class _Array(ctypes.Structure):
    _fields_ = [
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("dims", ctypes.c_int64),
        ("values", ctypes.POINTER(ctypes.c_float)),
        ("owner", ctypes.c_void_p),
    ]


def _open_library():
    here = pathlib.Path(__file__).resolve().parent
    # A wheel holds the library; an installation has it in PREFIX/lib, three folders above.
    for place in (here / "libvit22b.so", here.parents[2] / "libvit22b.so"):
        if place.exists():
            return ctypes.CDLL(str(place))
    raise ImportError(f"libvit22b.so is neither in {here} nor in {here.parents[2]}; install vit22b with cmake --install")


_lib = _open_library()
_lib.vit22b_last_error.restype = ctypes.c_char_p
_lib.vit22b_version.restype = ctypes.c_char_p
_lib.vit22b_open.restype = ctypes.c_void_p
_lib.vit22b_open.argtypes = [ctypes.c_char_p] * 4 + [ctypes.c_int64]
_lib.vit22b_close.argtypes = [ctypes.c_void_p]
_lib.vit22b_image_shape.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_int64)]
_lib.vit22b_transforms.argtypes = [ctypes.c_void_p]
_lib.vit22b_transforms.restype = ctypes.c_char_p
_lib.vit22b_label_name.argtypes = [ctypes.c_void_p, ctypes.c_int64]
_lib.vit22b_label_name.restype = ctypes.c_char_p
_lib.vit22b_free.argtypes = [ctypes.POINTER(_Array)]
_lib.vit22b_preprocess.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int64, ctypes.POINTER(_Array)]
_lib.vit22b_run.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(_Array), ctypes.POINTER(_Array)]
_lib.vit22b_train_classifier.argtypes = [ctypes.POINTER(_Array), ctypes.c_void_p, ctypes.c_double, ctypes.POINTER(_Array), ctypes.POINTER(_Array)]
_lib.vit22b_depth_open.restype = ctypes.c_void_p
_lib.vit22b_depth_open.argtypes = [ctypes.c_char_p] * 4 + [ctypes.c_int64]
_lib.vit22b_depth_close.argtypes = [ctypes.c_void_p]
_lib.vit22b_depth_unit.argtypes = [ctypes.c_void_p]
_lib.vit22b_depth_unit.restype = ctypes.c_char_p
_lib.vit22b_depth_of.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(_Array)]
_lib.vit22b_segmenter_open.restype = ctypes.c_void_p
_lib.vit22b_segmenter_open.argtypes = [ctypes.c_char_p] * 4 + [ctypes.c_int64]
_lib.vit22b_segmenter_close.argtypes = [ctypes.c_void_p]
_lib.vit22b_segmenter_label_name.argtypes = [ctypes.c_void_p, ctypes.c_int64]
_lib.vit22b_segmenter_label_name.restype = ctypes.c_char_p
_lib.vit22b_segmenter_segment.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(_Array)]
_lib.vit22b_trainer_open.restype = ctypes.c_void_p
_lib.vit22b_trainer_open.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int64]
_lib.vit22b_trainer_close.argtypes = [ctypes.c_void_p]
_lib.vit22b_trainer_step.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Array), ctypes.c_void_p, ctypes.POINTER(ctypes.c_double)]
_lib.vit22b_trainer_steps.restype = ctypes.c_int64
_lib.vit22b_trainer_steps.argtypes = [ctypes.c_void_p]
_lib.vit22b_trainer_learning_rate.restype = ctypes.c_double
_lib.vit22b_trainer_learning_rate.argtypes = [ctypes.c_void_p]
_lib.vit22b_trainer_preprocess.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int64, ctypes.POINTER(_Array)]
_lib.vit22b_trainer_logits.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Array), ctypes.POINTER(_Array)]
_lib.vit22b_trainer_save.argtypes = [ctypes.c_void_p, ctypes.c_char_p]

__version__ = _lib.vit22b_version().decode()


def _check(code):
    if code != 0:
        raise Error(_lib.vit22b_last_error().decode(errors="replace"))


def _as_array(values, dtype):
    if hasattr(values, "__dlpack__") and not isinstance(values, np.ndarray):
        values = np.from_dlpack(values)
    return np.ascontiguousarray(values, dtype=dtype)


def _as_images(values):
    values = _as_array(values, None)
    if values.dtype.kind != "f":
        raise Error(
            f"images are {values.dtype}, want floating numbers in the scale that the model was trained on: preprocess(files) gives them, "
            "and transforms says how (value_range, normalize)"
        )
    return np.ascontiguousarray(values, dtype=np.float32)


def _as_labels(values):
    values = _as_array(values, None)
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all() or (values.dtype.kind == "f" and (values % 1).any()):
        raise Error(f"labels are {values.dtype} and not all whole numbers, want integers from 0 on")
    return np.ascontiguousarray(values, dtype=np.int64)


def _given(values):
    """An argument over a numpy array, which has to outlive it."""
    shape = (ctypes.c_int64 * values.ndim)(*values.shape)
    return _Array(shape, values.ndim, values.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), None)


def _taken(answer):
    """The values of an answer, which is freed."""
    shape = tuple(answer.shape[i] for i in range(answer.dims))
    values = np.ctypeslib.as_array(answer.values, shape).copy() if 0 not in shape else np.empty(shape, np.float32)
    _lib.vit22b_free(ctypes.byref(answer))
    return values


def _is_one_picture(value):
    return isinstance(value, (str, os.PathLike)) or hasattr(value, "convert") or (isinstance(value, np.ndarray) and value.ndim in (2, 3))


def _png(pixels):
    """A PNG file of uint8 pixels [height, width] or [height, width, 1 or 3]."""
    pixels = np.asarray(pixels)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise Error(f"a picture is {pixels.dtype} {pixels.shape}, want uint8 [height, width, 3], or [height, width] for grey")

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, channels = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 1)) + chunk(b"IEND", b"")


def _as_file(picture, folder, index):
    """A file as it is; pixels and PIL's images as a file in a folder, without loss."""
    if isinstance(picture, (str, os.PathLike)):
        return picture
    if hasattr(picture, "convert"):
        picture = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
    path = pathlib.Path(folder) / f"picture {index}.png"
    path.write_bytes(_png(picture))
    return path


def _preprocessed(function, handle, files):
    files = [files] if _is_one_picture(files) else list(files)
    with tempfile.TemporaryDirectory() as folder:
        paths = [_as_file(file, folder, i) for i, file in enumerate(files)]
        names = (ctypes.c_char_p * len(paths))(*[os.fsencode(path) for path in paths])
        answer = _Array()
        _check(function(handle, names, len(paths), ctypes.byref(answer)))
    return _taken(answer)


class _Opened:
    """What the library holds until it is closed: by close(), at the end of a `with`, or when nothing refers to it."""

    _held, _free = None, None

    def _open(self, handle, free):
        if not handle:
            _check(1)
        self._held, self._free = handle, free

    @property
    def _handle(self):
        if not self._held:
            raise Error(f"this {type(self).__name__} is closed")
        return self._held

    def close(self):
        """Gives its memory back; it cannot be used afterwards. A second time does nothing."""
        held, self._held = self._held, None
        if held:
            self._free(held)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()


def _names(function, handle):
    names = []
    while (name := function(handle, len(names))) is not None:
        names.append(name.decode(errors="replace"))
    return names


class Model(_Opened):
    """A vision transformer opened for inference.

    checkpoint  a run folder, a checkpoint folder or file of any library that `vit22b model inspect` knows; "FILE?num_heads=12" says what
                the file does not
    """

    def __init__(self, checkpoint, device="cpu", precision="fp32", engine="fused", threads=0):
        handle = _lib.vit22b_open(os.fsencode(checkpoint), device.encode(), precision.encode(), engine.encode(), threads)
        self._open(handle, _lib.vit22b_close)

    @property
    def image_shape(self):
        """(channels, height, width)"""
        shape = (ctypes.c_int64 * 3)()
        _check(_lib.vit22b_image_shape(self._handle, shape))
        return tuple(shape)

    @property
    def transforms(self):
        """What preprocess does, in the words of a config's pp_eval."""
        return _lib.vit22b_transforms(self._handle).decode()

    @property
    def label_names(self):
        return _names(_lib.vit22b_label_name, self._handle)

    def preprocess(self, files):
        """Image files, PIL's images, or uint8 pixels [height, width, channels]; one or several → float32 [B, C, H, W]."""
        return _preprocessed(_lib.vit22b_preprocess, self._handle, files)

    def features(self, images):
        """Images [B, C, H, W] as preprocess gives them → the pooled vector of each, [B, D]; pictures of whole numbers are refused."""
        return self._run(b"pooled", images)

    def tokens(self, images):
        """Images → tokens after the final norm, [B, T, D]."""
        return self._run(b"tokens", images)

    def logits(self, images):
        """Images → the classifier's scores, [B, classes]."""
        return self._run(b"logits", images)

    def embed(self, files, batch=32):
        """The pooled vectors of any number of pictures as preprocess takes them, [N, D], with `batch` pictures in memory at a time."""
        files = [files] if _is_one_picture(files) else list(files)
        rows = [self.features(self.preprocess(files[first : first + batch])) for first in range(0, len(files), batch)]
        return np.concatenate(rows) if rows else self.features(np.zeros((0, *self.image_shape), np.float32))

    def predict(self, files, top=5, batch=32):
        """The most probable labels of pictures as preprocess takes them: for each, the best first, as `vit22b predict --json` has them.

        batch  pictures that are in memory at a time
        """
        files = [files] if _is_one_picture(files) else list(files)
        names, said = self.label_names, []
        for first in range(0, len(files), batch):
            scores = self.logits(self.preprocess(files[first : first + batch])).astype(np.float64)
            shares = np.exp(scores - scores.max(1, keepdims=True))
            shares /= shares.sum(1, keepdims=True)
            for row in shares:
                best = np.argsort(-row, kind="stable")[:top]
                said.append([{"label": names[i] if i < len(names) else str(i), "index": int(i), "probability": float(row[i])} for i in best])
        return said

    def _run(self, output, images):
        images = _as_images(images)
        answer = _Array()
        _check(_lib.vit22b_run(self._handle, output, ctypes.byref(_given(images)), ctypes.byref(answer)))
        return _taken(answer)


class Segmenter(_Opened):
    """Names the class of every pixel: a checkpoint with a head that `vit22b segment` has trained."""

    def __init__(self, checkpoint, device="cpu", precision="fp32", engine="fused", threads=0):
        handle = _lib.vit22b_segmenter_open(os.fsencode(checkpoint), device.encode(), precision.encode(), engine.encode(), threads)
        self._open(handle, _lib.vit22b_segmenter_close)

    @property
    def label_names(self):
        return _names(_lib.vit22b_segmenter_label_name, self._handle)

    def segment(self, files):
        """Pictures as Model.preprocess takes them → the class of each pixel in the picture's own size, int32 [height, width]: of several a list."""
        if not _is_one_picture(files):
            return [self.segment(file) for file in files]
        with tempfile.TemporaryDirectory() as folder:
            answer = _Array()
            _check(_lib.vit22b_segmenter_segment(self._handle, os.fsencode(_as_file(files, folder, 0)), ctypes.byref(answer)))
        return _taken(answer).astype(np.int32)


class DepthEstimator(_Opened):
    """Says how far every pixel is: a checkpoint with a head that `vit22b depth` has trained, or of DPT's or Depth Anything's."""

    def __init__(self, checkpoint, device="cpu", precision="fp32", engine="fused", threads=0):
        handle = _lib.vit22b_depth_open(os.fsencode(checkpoint), device.encode(), precision.encode(), engine.encode(), threads)
        self._open(handle, _lib.vit22b_depth_close)

    @property
    def unit(self):
        """"m"; or what relative depths are, which are the larger the nearer."""
        return _lib.vit22b_depth_unit(self._handle).decode()

    def depth(self, files):
        """Pictures as Model.preprocess takes them → how far each pixel is, in the picture's own size, float32 [height, width]: of several a list."""
        if not _is_one_picture(files):
            return [self.depth(file) for file in files]
        with tempfile.TemporaryDirectory() as folder:
            answer = _Array()
            _check(_lib.vit22b_depth_of(self._handle, os.fsencode(_as_file(files, folder, 0)), ctypes.byref(answer)))
        return _taken(answer)


class Trainer(_Opened):
    """Trains a model step by step on batches of the caller's.

    config     a TOML file as `vit22b train` takes it; or a checkpoint's folder, whose model and weights training starts from; or ""
    overrides  config keys and values: {"model.name": "s16", "model.num_classes": 10, "total_steps": 1000, "optim.lr": 1e-3}
    """

    def __init__(self, config="", overrides=()):
        def text(value):
            return str(value).lower() if isinstance(value, bool) else str(value)

        words = [f"{key}={text(value)}".encode() for key, value in dict(overrides).items()]
        handle = _lib.vit22b_trainer_open(os.fsencode(config), (ctypes.c_char_p * len(words))(*words), len(words))
        self._open(handle, _lib.vit22b_trainer_close)

    @property
    def steps(self):
        """Steps made."""
        return _lib.vit22b_trainer_steps(self._handle)

    @property
    def learning_rate(self):
        """Of the next step."""
        return _lib.vit22b_trainer_learning_rate(self._handle)

    def step(self, images, labels):
        """One update on images [B, C, H, W] with labels [B]; returns the loss that the batch had before."""
        images, labels = _as_images(images), _as_labels(labels)
        if labels.shape != images.shape[:1]:
            raise Error(f"images {images.shape} and labels {labels.shape}, want [B, C, H, W] and [B]")
        loss = ctypes.c_double()
        _check(_lib.vit22b_trainer_step(self._handle, ctypes.byref(_given(images)), labels.ctypes.data, ctypes.byref(loss)))
        return loss.value

    def preprocess(self, files):
        """Image files → float32 [B, C, H, W], by data.pp_eval."""
        return _preprocessed(_lib.vit22b_trainer_preprocess, self._handle, files)

    def logits(self, images):
        """Images → the classifier's scores as the weights are now, [B, classes]."""
        answer = _Array()
        _check(_lib.vit22b_trainer_logits(self._handle, ctypes.byref(_given(_as_images(images))), ctypes.byref(answer)))
        return _taken(answer)

    def save(self, folder):
        """Writes a checkpoint folder that Model, the program and timm open."""
        _check(_lib.vit22b_trainer_save(self._handle, os.fsencode(folder)))


class Classifier:
    """A linear classifier of features: weights [C, D], bias [C]."""

    def __init__(self, weights, bias):
        self.weights, self.bias = weights, bias

    def scores(self, features):
        return _as_array(features, np.float32) @ self.weights.T + self.bias

    def predict(self, features):
        return self.scores(features).argmax(1)


def train_classifier(features, labels, c=1.0):
    """Logistic regression by L-BFGS, as scikit-learn's LogisticRegression(C=c) has it."""
    features, labels = _as_array(features, np.float32), _as_labels(labels)
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise Error(f"features {features.shape} and labels {labels.shape}, want [N, D] and [N]")
    weights, bias = _Array(), _Array()
    _check(_lib.vit22b_train_classifier(ctypes.byref(_given(features)), labels.ctypes.data, c, ctypes.byref(weights), ctypes.byref(bias)))
    return Classifier(_taken(weights), _taken(bias))
