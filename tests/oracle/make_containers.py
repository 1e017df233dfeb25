"""Small files of every format of weights that others write, and what they hold.

Run: .deps/oracle/bin/python tests/oracle/make_containers.py      Made with torch 2.11.0, numpy 2.4.6, safetensors 0.8.0.
Folder containers: zip.pth and stream.pth (torch.save, and as torch before 1.6 wrote it) of one training state; protocol4.pth, the same
by pickle's protocol 4; script.pt (torch.jit.save); arrays.npz and packed.npz (numpy.savez, savez_compressed).
expected.safetensors: torch/NAME, script/NAME and npz/NAME as those libraries read them.
"""
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent / "containers"


def state_dict():
    generator = torch.Generator().manual_seed(0)
    random = lambda *shape: torch.randn(*shape, generator=generator)
    shared = random(5, 7)
    marked = torch.nn.Parameter(random(3))
    marked.is_marked = True  # is saved with a state of its own
    return {
        "module.plain": random(3, 5), "module.scalar": torch.tensor(2.5), "module.empty": torch.zeros(0, 4), "module.half": random(3).half(),
        "module.bf16": random(2, 3).bfloat16(), "module.double": random(3).double(), "module.long": torch.tensor([-1, 2**40]),
        "module.bool": torch.tensor([True, False, True]), "module.byte": torch.tensor([0, 255], dtype=torch.uint8), "module.shared": shared,
        "module.rows": shared[1:3], "module.columns": shared[:, 2:5], "module.transposed": shared.t(), "module.steps": shared[::2, ::3],
        "module.expanded": random(3, 1).expand(3, 4), "module.permuted": random(2, 3, 5).permute(2, 0, 1),
        "module.parameter": torch.nn.Parameter(random(4)), "module.marked": marked, "module.tracked": torch.tensor(7),
    }


def save_torch():
    state = {"epoch": 3, "model": state_dict(), "optimizer": {"state": {0: {"exp_avg": torch.zeros(5)}}, "param_groups": [{"lr": 1e-4}]}, "args": None}
    torch.save(state, HERE / "zip.pth")
    torch.save(state, HERE / "protocol4.pth", pickle_protocol=4)
    torch.save(state, HERE / "stream.pth", _use_new_zipfile_serialization=False)
    return {f"torch/{name.removeprefix('module.')}": t.detach().clone().contiguous() for name, t in state["model"].items()}


def save_script():
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.GELU(), torch.nn.BatchNorm1d(2)).half()
    torch.jit.script(model).save(HERE / "script.pt")
    return {f"script/{name}": t.detach().clone() for name, t in model.state_dict().items()}


def save_npz():
    random = np.random.default_rng(2)
    values = random.standard_normal((3, 5))
    arrays = {"params/img/kernel": values.astype(np.float32), "half": values.astype(np.float16), "double": values, "scalar": np.float32(2.5),
              "empty": np.zeros((0, 3), np.float32), "fortran": np.asfortranarray(values.astype(np.float32)), "flags": values > 0,
              **{f"int{bits}": (values * 9).astype(f"int{bits}") for bits in (8, 16, 32, 64)}, "uint8": np.arange(7, dtype=np.uint8),
              "zeros": np.zeros((40, 40), np.float32)}
    bf16 = torch.tensor(values).bfloat16()
    saved = {**arrays, "bf16": bf16.view(torch.int16).numpy().view("V2")}
    np.savez(HERE / "arrays.npz", **saved)
    np.savez_compressed(HERE / "packed.npz", **saved)
    return {**{f"npz/{name}": torch.from_numpy(np.ascontiguousarray(a).reshape(np.shape(a))) for name, a in arrays.items()}, "npz/bf16": bf16}


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    save_file({**save_torch(), **save_script(), **save_npz()}, HERE / "expected.safetensors")
