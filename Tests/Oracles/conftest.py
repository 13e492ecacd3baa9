"""Fixtures of the oracle tests: the program, and where other people's files lie.

    pytest Tests/Oracles            (after `make test` has built the program, or TESSERA=path/to/tessera)
"""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

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


MEASURE = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
           "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)")


@pytest.fixture(scope="session")
def peak(program):
    """The peak resident size of a run in MiB, from a parent that has no other child."""

    def measure(*arguments):
        command = [sys.executable, "-c", MEASURE, program, *map(str, arguments)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    return measure


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
