"""A heteroscedastic head and BatchEnsemble layers as uncertainty-baselines defines them, in numpy and float64 on given noise.

Formulas: edward2/jax/nn/heteroscedastic_lib.py (MCSoftmaxDenseFA, MCSigmoidDenseFA), edward2/jax/nn/dense.py
(DenseBatchEnsemble), uncertainty_baselines/models/vit_batchensemble.py (members one after the other; the mean of members).
Run: .deps/oracle/bin/python tests/oracle/make_plex.py      Made with numpy 2.4.6.
Tensors of tests/oracle/plex.safetensors, float32:
  head/x [7, 11], head/{loc,factors,diag}.{weight,bias} as torch has them, head/factor_noise [13, 4], head/class_noise [13, 6],
  head/temperature; head/{softmax,sigmoid}.{all,one,diagonal}: logits with a number for each class, with one for all classes of
  a sample (the first column: what edward2's code draws), and without factors (its num_factors=0);
  mlp/x [6, 5, 8] (3 members with 2 images), mlp/{fc1,fc2}.{weight,bias,fast_in,fast_out,fast_bias}, mlp/hidden, mlp/y;
  members/z [6, 4], members/softmax, members/sigmoid [2, 4]: logits of the means over 3 members.
"""
import pathlib

import numpy as np
from safetensors.numpy import save_file

LEAST_SCALE, EPS = 1e-3, 1e-7
softmax = lambda z: np.exp(z - z.max(-1, keepdims=True)) / np.exp(z - z.max(-1, keepdims=True)).sum(-1, keepdims=True)
sigmoid = lambda z: 1 / (1 + np.exp(-z))
softplus = lambda z: np.logaddexp(z, 0)
dense = lambda x, layer: x @ layer["weight"].T + layer["bias"]


def noisy_logits(link, loc, factors, diag, factor_noise, class_noise, temperature):
    latents = loc[:, None] + diag[:, None] * class_noise
    if factors is not None:
        latents = latents + np.einsum("ijk,ak->iaj", factors, factor_noise)
    probs = (softmax if link == "softmax" else sigmoid)(latents / temperature).mean(1)
    log_probs = np.log(np.clip(probs, EPS, None))
    return log_probs if link == "softmax" else log_probs - np.log(1 - np.clip(probs, EPS, 1 - EPS))


def head(rng):
    rounded = lambda *shape, scale=1.0: (scale * rng.normal(size=shape)).astype(np.float32).astype(np.float64)
    images, width, classes, rank, samples, temperature = 7, 11, 6, 4, 13, 0.7
    x = rounded(images, width)
    layers = {name: {"weight": rounded(n, width, scale=0.4), "bias": rounded(n)} for name, n in
              (("loc", classes), ("factors", classes * rank), ("diag", classes))}
    factor_noise, class_noise = rounded(samples, rank), rounded(samples, classes)
    loc, diag = dense(x, layers["loc"]), softplus(dense(x, layers["diag"])) + LEAST_SCALE
    factors = dense(x, layers["factors"]).reshape(-1, classes, rank)
    out = {"x": x, "factor_noise": factor_noise, "class_noise": class_noise, "temperature": np.array([temperature])}
    out |= {f"{name}.{part}": value for name, layer in layers.items() for part, value in layer.items()}
    for link in ("softmax", "sigmoid"):
        of = lambda v, noise: noisy_logits(link, loc, v, diag, factor_noise, noise, temperature)
        out |= {f"{link}.all": of(factors, class_noise), f"{link}.one": of(factors, class_noise[:, :1]),
                f"{link}.diagonal": of(None, class_noise)}
    return {f"head/{name}": value for name, value in out.items()}


def batch_ensemble(x, layer):
    members = len(layer["fast_in"])
    split = x.reshape(members, -1, *x.shape[1:])
    y = np.einsum("ebtc,ec,dc,ed->ebtd", split, layer["fast_in"], layer["weight"], layer["fast_out"])
    y = y + (layer["bias"] + layer["fast_bias"])[:, None, None]  # their sum is a member's bias
    return y.reshape(*x.shape[:-1], -1)


def mlp(rng):
    rounded = lambda *shape: rng.normal(size=shape).astype(np.float32).astype(np.float64)
    members, x = 3, rounded(6, 5, 8)
    layer = lambda n, m: {"weight": rounded(n, m) / 4, "bias": rounded(n), "fast_in": rounded(members, m),
                          "fast_out": rounded(members, n), "fast_bias": rounded(members, n)}
    fc1, fc2 = layer(12, 8), layer(8, 12)
    hidden = batch_ensemble(x, fc1)
    gelu = lambda z: 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))
    out = {"mlp/x": x, "mlp/hidden": hidden, "mlp/y": batch_ensemble(gelu(hidden), fc2)}
    return out | {f"mlp/{name}.{part}": value for name, one in (("fc1", fc1), ("fc2", fc2)) for part, value in one.items()}


def members(rng):
    z = rng.normal(size=(6, 4)).astype(np.float32).astype(np.float64) * 3
    split = z.reshape(3, 2, 4)
    p = sigmoid(split).mean(0)
    return {"members/z": z, "members/softmax": np.log(softmax(split).mean(0)), "members/sigmoid": np.log(p) - np.log(1 - p)}


def main():
    rng = np.random.default_rng(0)
    out = head(rng) | mlp(rng) | members(rng)
    save_file({name: np.ascontiguousarray(value, dtype=np.float32) for name, value in out.items()},
              pathlib.Path(__file__).parent / "plex.safetensors")


if __name__ == "__main__":
    main()
