"""One peer's work in a process of its own: reads lines of JSON, answers with lines of JSON.

    worker.py PEER FOLDER --mode infer|train --precision fp32|bf16 --batch N --images F --logits F [--device cuda]

PEER is timm, compile, openvino or onnxruntime; FOLDER is a checkpoint folder that timm opens. The first answer
says that the peer is ready, its versions, and that its logits of the images are in the file; {"run": n} answers with
the seconds of n runs and the process's highest resident set
(on a GPU the allocator's highest reserved).
"""
import argparse
import json
import resource
import sys
import time

import safetensors.torch
import timm
import torch


def answer(**values):
    print(json.dumps(values), flush=True)


def make_timm(a, model, x):
    dtype = torch.bfloat16 if a.precision == "bf16" else torch.float32
    model = model.to(a.device, dtype).eval()
    x = x.to(a.device, dtype)
    run = torch.compile(model) if a.peer == "compile" else model

    def infer():
        with torch.inference_mode():
            return run(x)

    return infer


def make_train(a, model, x):
    """Forward, sigmoid loss, backward and AdamW with fp32 weights; bf16 by autocast."""
    model = model.to(a.device).train()
    x = x.to(a.device)
    run = torch.compile(model) if a.peer == "compile" else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.05)
    targets = torch.nn.functional.one_hot(torch.arange(len(x)) % model.num_classes, model.num_classes).float().to(a.device)

    def step():
        with torch.autocast(a.device, torch.bfloat16, enabled=a.precision == "bf16"):
            logits = run(x)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="sum") / len(x)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return logits

    return step


def make_openvino(a, model, x):
    import openvino as ov

    # Traced with explicit products: OpenVINO's front end fuses them as its own attention.
    compiled = ov.Core().compile_model(
        ov.convert_model(model.eval(), example_input=x, input=list(x.shape)), "CPU",
        {"INFERENCE_PRECISION_HINT": "bf16" if a.precision == "bf16" else "f32", "INFERENCE_NUM_THREADS": a.threads,
         "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"})
    array = x.numpy()
    return lambda: torch.from_numpy(compiled(array)[0])


def make_onnxruntime(a, model, x):
    import os
    import tempfile

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = a.threads
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        torch.onnx.export(model.eval(), (x,), path, dynamo=True, input_names=["x"], verbose=False)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    array = x.numpy()
    return lambda: torch.from_numpy(session.run(None, {"x": array})[0])


def versions(peer):
    found = {"torch": torch.__version__, "timm": timm.__version__}
    if peer in ("openvino", "onnxruntime"):
        found = {peer: __import__(peer).__version__}
    return found


def main():
    p = argparse.ArgumentParser()
    p.add_argument("peer", choices=["timm", "compile", "openvino", "onnxruntime"])
    p.add_argument("folder")
    p.add_argument("--mode", default="infer", choices=["infer", "train"])
    p.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    p.add_argument("--images", required=True)
    p.add_argument("--logits", required=True)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    model = timm.create_model("local-dir:" + a.folder, pretrained=True)
    x = safetensors.torch.load_file(a.images)["images"]
    if a.mode == "train":
        run = make_train(a, model, x)
    else:
        run = {"openvino": make_openvino, "onnxruntime": make_onnxruntime}.get(a.peer, make_timm)(a, model, x)
    logits = run().float().detach().cpu()
    safetensors.torch.save_file({"logits": logits.contiguous()}, a.logits)
    answer(ready=True, versions=versions(a.peer))
    for line in sys.stdin:
        seconds = []
        for _ in range(json.loads(line)["run"]):
            start = time.perf_counter()
            run()
            if a.device == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        memory = torch.cuda.max_memory_reserved() if a.device == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        answer(seconds=seconds, peak_memory_bytes=memory)


if __name__ == "__main__":
    main()
