"""One cache for the program and for the hub's own library: live_hub.py VIT22B.

A hub of this machine has one model: a small timm folder. What the program fetches by `hf:` is read by huggingface_hub without a
network, and what huggingface_hub fetches is read by the program offline; both times every byte is the hub's. By https the program takes
certificates of one's own, and nobody else's.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

from hub_server import Hub

program = sys.argv[1]
source = pathlib.Path(__file__).parent / "timm_serial"
MODEL = "me/small-model"
files = {name: (source / name).read_bytes() for name in ("config.json", "model.safetensors")}
hub = Hub({MODEL: files})


def run(words, home, **more):
    done = subprocess.run(words, env=hub.environment(home, **more), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ours(home, **more):
    said = json.loads(run([program, "model", "inspect", f"hf:{MODEL}", "--json"], home, **more))
    del said["fits_here"]  # of the machine, and measured
    return said


def library(home, words, **more):
    code = f"from huggingface_hub import snapshot_download; print(snapshot_download('{MODEL}', {words}))"
    return pathlib.Path(run([sys.executable, "-c", code], home, **more).strip().splitlines()[-1])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


with tempfile.TemporaryDirectory() as scratch:
    scratch = pathlib.Path(scratch)
    said = ours(scratch / "a")
    before = len(hub.asked)
    assert contents(library(scratch / "a", "local_files_only=True", HF_HUB_OFFLINE="1")) == files
    assert len(hub.asked) == before, "the library asked for what was there"
    print("what the program fetched, the library reads without asking")
    library(scratch / "a", "")
    bodies = [line for line in hub.asked[before:] if line.startswith("GET") and "/resolve/" in line]
    assert not bodies, bodies
    print("and online fetches nothing of it again")

    assert contents(library(scratch / "b", "")) == files
    before = len(hub.asked)
    assert ours(scratch / "b", HF_HUB_OFFLINE="1") == said
    assert len(hub.asked) == before
    print("what the library fetched, the program reads offline, as the same model")

    certificate = scratch / "own.pem", scratch / "own.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=own", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-out", certificate[0], "-keyout", certificate[1]], check=True, capture_output=True)
    hub = Hub({MODEL: files}, certificate)
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        assert ours(scratch / name, **{name: str(certificate[0])}) == said
    refused = subprocess.run([program, "model", "inspect", f"hf:{MODEL}"], env=hub.environment(scratch / "d"), capture_output=True, text=True, timeout=120)
    assert refused.returncode == 4, refused
    assert "certificate is not trusted" in refused.stderr and "SSL_CERT_FILE" in refused.stderr, refused.stderr
    print("by https with certificates of one's own, and not without")
