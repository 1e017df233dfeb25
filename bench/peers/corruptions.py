#!/usr/bin/python3
"""All fifteen corruptions in five severities of one picture of 224 pixels, here and by the Python package, in turn, on one core:
corruptions.py PROGRAM [ROUNDS]. Wants imagecorruptions 1.1.2 (pip install --no-deps --target DIR, PYTHONPATH=DIR) and Debian's python3-numpy,
-skimage, -scipy, -opencv, -pil. Ours is `bench corruptions`. Prints medians and ratios.
"""
import json
import os
import statistics
import subprocess
import sys
import time
import warnings

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
warnings.filterwarnings("ignore")
import cv2  # noqa: E402
import imagecorruptions  # noqa: E402
import numpy as np  # noqa: E402

cv2.setNumThreads(1)
program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
y, x = np.mgrid[0:224, 0:224].astype(np.float64)
picture = np.stack([255 * x / 223, 127.5 + 127.5 * np.sin(y / 5) * np.cos(x / 9), np.where((x // 8 + y // 8) % 2 == 0, 230, 20)], axis=2)
picture = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
theirs, ours = {}, {}
for _ in range(rounds):
    for name in imagecorruptions.get_corruption_names():
        start = time.perf_counter()
        for severity in range(1, 6):
            imagecorruptions.corrupt(picture, corruption_name=name, severity=severity)
        theirs.setdefault(name, []).append(time.perf_counter() - start)
    said = json.loads(subprocess.run([program, "bench", "corruptions", "--threads", "1", "--json"], check=True, capture_output=True).stdout)
    for name, seconds in said["seconds"].items():
        ours.setdefault(name, []).append(seconds)
print("| corruption, five severities | Python, ms | here, ms | times |\n|---|---|---|---|")
total = [0.0, 0.0]
for name in theirs:
    a, b = statistics.median(theirs[name]), statistics.median(ours[name])
    total[0] += a
    total[1] += b
    print(f"| {name} | {a * 1e3:.1f} | {b * 1e3:.1f} | {a / b:.1f} |")
print(f"| all | {total[0] * 1e3:.0f} | {total[1] * 1e3:.0f} | {total[0] / total[1]:.1f} |")
