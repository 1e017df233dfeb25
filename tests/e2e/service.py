"""Asks examples/cpp/service for a picture's features, and for those of no picture: service.py SERVICE CHECKPOINT PICTURE FEATURES"""
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

service, checkpoint, picture, features = sys.argv[1:]
with socket.socket() as free:  # a port that is free, as the example takes one by its number
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]


def ask(body):
    return urllib.request.urlopen(f"http://127.0.0.1:{port}/", data=body, timeout=60).read().decode()


process = subprocess.Popen([service, checkpoint, str(port)])
try:
    for _ in range(600):
        try:
            answer = ask(open(picture, "rb").read())
            break
        except urllib.error.URLError:
            assert process.poll() is None, "the service has ended"
            time.sleep(0.1)
    got = [float(value) for value in answer.strip("[]\n").split(", ")]
    want = [float(value) for value in features.split()]
    assert len(got) == len(want) and all(abs(a - b) <= 1e-5 * max(map(abs, want)) for a, b in zip(got, want)), (got, want)
    try:
        ask(b"no picture")
        raise SystemExit("no picture has features")
    except urllib.error.HTTPError as error:
        assert error.code == 400 and b"picture-" in error.read(), error
finally:
    process.kill()
