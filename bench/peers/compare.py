"""vit22b beside its peers: identical weights and inputs, answers checked, runs in turn; one row of a table a peer.

    compare.py MODEL [--batch N] [--mode infer|train] [--precision fp32|bf16] [--peers timm,openvino,…] [--rounds N]
               [--device cuda]

MODEL is a preset of ours, or timm:NAME[:SIZE], one of timm's architectures with random values of every parameter.
Peers that do not answer within --patience seconds are named and left out. Needs script/peer-env and a release build.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading

import safetensors.torch
import timm
import torch

here = os.path.dirname(os.path.abspath(__file__))
project = os.path.dirname(os.path.dirname(here))
binary = os.path.join(project, "build", "release", "vit22b")


class Peer:
    def __init__(self, name, folder, a, images, scratch):
        self.name, self.seconds, self.memory = name, [], 0
        self.logits = os.path.join(scratch, name + ".safetensors")
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(here, "worker.py"), name, folder, "--mode", a.mode, "--precision", a.precision,
             "--images", images, "--logits", self.logits, "--device", a.device], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        self.versions = self.read(a.patience).get("versions")

    def read(self, patience):
        timer = threading.Timer(patience, self.process.kill)
        timer.start()
        try:
            for line in self.process.stdout:
                if line.startswith("{"):
                    return json.loads(line)
        finally:
            timer.cancel()
        raise TimeoutError(f"{self.name} gave no answer in {patience} s")

    def run(self, count, patience):
        self.process.stdin.write(json.dumps({"run": count}) + "\n")
        self.process.stdin.flush()
        reply = self.read(patience)
        self.seconds += reply["seconds"]
        self.memory = max(self.memory, reply["peak_memory_bytes"])


def vit22b(*arguments):
    return subprocess.run([binary, *arguments], check=True, capture_output=True, text=True).stdout


def make_folder(model, folder):
    """A checkpoint folder that timm and vit22b open; its images' size, and the output that both give."""
    if model.startswith("timm:"):
        name, _, size = model[len("timm:"):].partition(":")
        made = timm.create_model(name, **({"img_size": int(size)} if size else {}))
        torch.manual_seed(1)
        for parameter in made.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
        timm.models.save_for_hf(made, folder, model_args={"img_size": int(size)} if size else None, safe_serialization=True)
        size = (3, int(size), int(size)) if size else made.pretrained_cfg["input_size"]
        return size, "logits" if made.num_classes else "pooled"
    vit22b("model", "init", model, "--randomize-all", "--out", folder)
    return json.load(open(os.path.join(folder, "config.json")))["pretrained_cfg"]["input_size"], "logits"


def check(name, path, ours, bound):
    logits = safetensors.torch.load_file(path)["logits"]
    error = ((logits - ours).abs().max() / ours.abs().max()).item()
    if not error <= bound:
        sys.exit(f"{name}: its logits differ by {error:.2g} of the largest, want {bound}: not the same work")
    return error


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--mode", default="infer", choices=["infer", "train"])
    p.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    p.add_argument("--peers", default="timm,openvino,onnxruntime")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--runs", type=int, default=2, help="timed runs of each a round")
    p.add_argument("--patience", type=float, default=120)
    p.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, images = os.path.join(scratch, "model"), os.path.join(scratch, "images.safetensors")
        size, output = make_folder(a.model, folder)
        torch.manual_seed(0)
        safetensors.torch.save_file({"images": torch.randn(a.batch, *size)}, images)
        # In training mode the peers' first step sees the untouched weights (its learning rate is 0 anyway).
        vit22b("features", folder, "--input", images, "--only", output, "--precision", a.precision, "--device", a.device, "--out",
               os.path.join(scratch, "ours.safetensors"))
        ours = safetensors.torch.load_file(os.path.join(scratch, "ours.safetensors"))[output]
        peers, rows = [], []
        for name in a.peers.split(","):
            try:
                peer = Peer(name, folder, a, images, scratch)
            except TimeoutError as error:
                print(f"left out: {error}", file=sys.stderr)
                continue
            peer.error = check(name, peer.logits, ours, 0.1 if a.precision == "bf16" else 1e-4)
            peers.append(peer)
        rates, memory, gemm = [], 0, []
        for _ in range(a.rounds):
            reply = json.loads(vit22b("bench", "model", folder, "--batch", str(a.batch), "--mode", a.mode, "--precision",
                                      a.precision, "--device", a.device, "--repeats", str(a.runs), "--json"))
            rates.append(reply["images_per_second"])
            memory = max(memory, reply["peak_memory_bytes"])
            gemm.append(reply["gemm_gflops"])
            for peer in peers:
                peer.run(a.runs, a.patience)
        mine = statistics.median(rates)
        work = f"{a.model} {a.mode} {a.precision} batch {a.batch}"
        print(f"| {work} | vit22b fused | {mine:.2f} ({min(rates):.2f}-{max(rates):.2f}) | 1 | "
              f"{memory / 2**30:.2f} GiB | best GEMM {max(gemm):.0f} GFLOP/s |")
        for peer in peers:
            each = [a.batch / s for s in peer.seconds]
            rate = statistics.median(each)
            name = ", ".join(f"{k} {v.split('-')[0]}" for k, v in peer.versions.items())
            print(f"| {work} | {peer.name} ({name}) | {rate:.2f} ({min(each):.2f}-{max(each):.2f}) | {mine / rate:.2f} | "
                  f"{peer.memory / 2**30:.2f} GiB | logits differ by {peer.error:.1e} |")
            peer.process.kill()


if __name__ == "__main__":
    main()
