"""An event file by TensorBoard's own protocol buffers and record writer.

Run: script/oracle-env && .deps/oracle/bin/python tests/oracle/make_events.py
Versions: tensorboard 2.21.0, protobuf 7.36.2.
"""
import pathlib

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

ROW = {  # the row that tests/report/event_file_test.cpp writes, names in order
    "attention_entropy/0": 0.5,
    "attention_entropy/1": 1.25,
    "lr": 3e-4,
    "training_loss": 2.75,
}

with open(pathlib.Path(__file__).parent / "events.tfevents", "wb") as file:
    writer = RecordWriter(file)
    writer.write(Event(wall_time=1700000000.0, file_version="brain.Event:2").SerializeToString())
    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in ROW.items()]
    writer.write(Event(wall_time=1700000012.5, step=300, summary=Summary(value=values)).SerializeToString())
    writer.flush()
