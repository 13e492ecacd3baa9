"""Fixtures of the oracle tests: the program, and where other people's files lie.

    pytest Tests/Oracles            (after `make test` has built the program, or TESSERA=path/to/tessera)
"""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
from typing import NamedTuple

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# Workers share the cores already; threads of the references' libraries would only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Started in the background or by nohup, the tests would hand ignored signals down to the program; those that have a
# handler are the default again in a child.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, lambda *_: None)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)


def _program():
    if "TESSERA" in os.environ:
        # Tests may work in a folder of their own.
        return os.path.abspath(os.environ["TESSERA"])
    built = [ROOT / folder / "release" / "tessera" for folder in (".build-test", ".build")]
    found = [path for path in built if path.exists()]
    assert found, "build the program first: swift build -c release"
    return str(max(found, key=lambda path: path.stat().st_mtime))


def _runner(program):
    def run(*arguments, code=0, timeout=600):
        result = subprocess.run(
            [program, *map(str, arguments)], capture_output=True, text=True, timeout=timeout
        )
        assert code in (None, result.returncode), f"exit {result.returncode}, not {code}: {result.stderr[-2000:]}"
        return result

    return run


@pytest.fixture(scope="session")
def program():
    """The path of the program under test."""
    return _program()


@pytest.fixture(scope="session")
def tessera(program):
    """Runs `tessera ARGUMENTS…`; returns the CompletedProcess (text). `code` is the expected exit code, None for any."""
    return _runner(program)


@pytest.fixture(scope="session")
def bench(program):
    """Runs `tessera-bench ARGUMENTS…`, as `tessera` does; it is built beside the program."""
    return _runner(f"{program}-bench")


class Measured(NamedTuple):
    code: int
    errors: str
    # Of the processor, the user's and the system's.
    seconds: float
    # The peak resident size.
    mebibytes: float


@pytest.fixture(scope="session")
def measured(program, tmp_path_factory):
    """Runs the program from a parent of its own, under limits where they are given; returns what it took."""
    measure = tmp_path_factory.mktemp("measure") / "measure"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", HERE / "measure.c", "-o", measure], check=True)

    def run(*arguments, suffix="", cpu=0, address_space=0):
        command = [measure, cpu, address_space, program + suffix, *arguments]
        result = subprocess.run([*map(str, command)], capture_output=True)
        assert result.returncode == 0, result.returncode
        code, seconds, kibibytes = result.stdout.split()
        return Measured(int(code), result.stderr.decode(errors="replace"), float(seconds), int(kibibytes) / 1024)

    return run


@pytest.fixture(scope="session")
def peak(measured):
    """The peak resident size of a run in MiB."""

    def measure(*arguments, **limits):
        result = measured(*arguments, **limits)
        assert result.code == 0, f"exit {result.code}: {result.errors[-2000:]}"
        return result.mebibytes

    return measure


def memory_for(size):
    """Where folders in memory are made, since a disk would take most of the time to synchronize; None (the disk) without room."""
    place = "/dev/shm"
    return place if os.path.isdir(place) and shutil.disk_usage(place).free > size else None


@pytest.fixture
def memory():
    """A folder in memory, of a few MiB."""
    with tempfile.TemporaryDirectory(dir=memory_for(32 << 20)) as folder:
        yield pathlib.Path(folder)


@pytest.fixture(scope="module")
def without_gradients():
    """A module's references keep no graph; those of other modules, which run in the same process, may need theirs."""
    import torch

    with torch.no_grad():
        yield


@pytest.fixture(scope="session")
def root():
    """The checkout's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data():
    """Conformance files made by others, beside the checkout; the test is skipped, and says so, where absent."""
    folder = ROOT.parent / "shared" / "data"
    # Worktrees and clones of another depth name the folder.
    folder = pathlib.Path(os.environ.get("TESSERA_SHARED_DATA", folder))
    if not folder.is_dir():
        pytest.skip("../shared/data is absent: conformance files of others are not part of this repository")
    return folder.resolve()
