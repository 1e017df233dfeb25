"""Trains a small run in two parts and compares its event file, read by TensorBoard, with metrics.jsonl: live_events.py VIT22B"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

program = sys.argv[1]
with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    pixels, labels = bytes(i * 7 % 256 for i in range(40 * 64)), bytes(i % 4 for i in range(40))
    (folder / "train-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, 40, 8, 8) + pixels)
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, 40) + labels)
    config = folder / "c.toml"
    config.write_text(
        'log_steps = 1\neval_steps = 2\nckpt_steps = 2\n[model]\nname = "test8"\nimg_size = 8\nin_chans = 1\n'
        f'[data]\nsource = "idx"\nroot = "{folder}"\nbatch_size = 8\npp_train = "value_range(-1,1)"\n'
        'pp_eval = "value_range(-1,1)"\nval = "20%"\n'
    )
    for total in (3, 6):
        subprocess.run([program, "train", config, f"total_steps={total}", "--out", folder / "run", "--quiet"], check=True)
    wanted = {}
    for line in (folder / "run/metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        step = row.pop("step")
        for key, value in row.items():
            for tag, v in [(f"{key}/{i}", v) for i, v in enumerate(value)] if isinstance(value, list) else [(key, value)]:
                if v is not None:
                    wanted.setdefault(tag, {})[step] = v
    events = EventAccumulator(str(folder / "run/tb"), size_guidance={"scalars": 0}).Reload()
    tags = events.Tags()["scalars"]
    assert sorted(tags) == sorted(wanted), set(tags) ^ set(wanted)
    for tag in tags:
        got = {e.step: e.value for e in events.Scalars(tag)}
        assert got.keys() == wanted[tag].keys(), tag
        for step, value in got.items():
            assert value == struct.unpack("f", struct.pack("f", wanted[tag][step]))[0], (tag, step)
    times = [e.wall_time for e in events.Scalars("training_loss")]
    assert times == sorted(times) and len(times) == 6, times
    print(f"TensorBoard reads {len(tags)} tags of {len(times)} steps as metrics.jsonl has them")
