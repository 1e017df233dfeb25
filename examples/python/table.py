"""A table for a paper: k-NN and a linear classifier on frozen features of several checkpoints, on images by class.

Prints LaTeX (booktabs); `vit22b` is on PATH. Features are computed once and kept beside each checkpoint. Where the source has no
split for the test, --test-part 20% takes a fifth of each class, the same for all checkpoints.
"""
import argparse
import json
import pathlib
import subprocess
import sys

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("source", help="such as folder:DIR or manifest:FILE")
parser.add_argument("checkpoints", nargs="+")
parser.add_argument("--test-part")
words = parser.parse_args()
data = ["--train", words.source] + (["--test-part", words.test_part] if words.test_part else [])


def measure(command, checkpoint, *options):
    done = subprocess.run(["vit22b", command, checkpoint, *data, *options, "--json", "--quiet"], stdout=subprocess.PIPE)
    return json.loads(done.stdout) if done.returncode == 0 else sys.exit(done.returncode)


def cell(result, of=None):
    accuracy, (low, high) = [result[key] if of is None else result[key][of] for key in ("accuracy", "confidence_interval")]
    return f"{100 * accuracy:.1f} {{\\scriptsize[{100 * low:.1f}, {100 * high:.1f}]}}"


rows = []
for checkpoint in words.checkpoints:
    neighbours, linear = measure("knn", checkpoint, "--k", "5"), measure("probe", checkpoint)
    rows.append(f"{pathlib.Path(checkpoint).name} & {cell(neighbours, of='5')} & {cell(linear)} \\\\".replace("_", "\\_"))
print("\\begin{tabular}{lcc}\n\\toprule\n & 5-NN & linear \\\\\n\\midrule", *rows, "\\bottomrule\n\\end{tabular}", sep="\n")
print(f"% top-1 in \\% of {linear['num_test']} test images, 95 \\% intervals")
