"""What live tests share that compare the program's numbers: its JSON, differences within a bound, and the largest of each."""
import json
import subprocess
import sys

program = sys.argv[1]
worst = {}


def run(*words):
    done = subprocess.run([program, *map(str, words), "--json", "--quiet"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (words, done.stderr)
    return json.loads(done.stdout)


def near(name, got, want, bound=1e-5):
    difference = abs(got - want)
    worst[name] = max(worst.get(name, 0), difference)
    assert difference <= bound, (name, got, want)


def tell():
    print(f"{len(worst)} measures; largest differences:")
    for name, difference in sorted(worst.items(), key=lambda item: -item[1]):
        print(f"  {name}: {difference:.1e}")
