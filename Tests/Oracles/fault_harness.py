"""Runs of the program in which calls to the system fail, are cut short, or are the last: see fault.c."""

import errno
import os
import pathlib
import random
import shutil
import signal
import subprocess
from dataclasses import dataclass, field

CALLS = ["create", "open", "opendir", "write", "fsync", "rename", "readdir", "close", "mkdir", "unlink", "truncate"]
HERE = pathlib.Path(__file__).parent
# Every fault there is, or a draw of them, which its seed repeats.
TAKES_ALL = os.environ.get("TESSERA_FAULTS") == "1"
SEED = os.environ.get("TESSERA_FAULTS_SEED", "11")
# Of how many commands of a verb each kind of fault is drawn, and how many faults of any kind each command has besides.
OF_A_KIND, OF_A_COMMAND = 3, 2


def build(folder):
    """The library that makes calls fail."""
    library = folder / "fault.so"
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", HERE / "fault.c", "-o", library, "-ldl"]
    subprocess.run(list(map(str, command)), check=True)
    return library


def tree(folder):
    """Every file below a folder with its bytes, hidden ones too, and hidden folders."""
    found = {}
    for path in pathlib.Path(folder).rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_file():
            found[name] = path.read_bytes()
        elif path.name.startswith("."):
            found[name] = None
    return found


@dataclass(frozen=True)
class Fault:
    """The k-th call of a kind fails."""

    calls: str
    at: int
    how: str
    lasts: str = "once"

    def __str__(self):
        how = {str(errno.ENOSPC): "ENOSPC", str(errno.EIO): "EIO"}.get(self.how, self.how)
        return f"{how} at {self.calls} {self.at} {self.lasts}"

    def kind(self, log):
        """What is done to which call: all calls of one name, of one command, are one kind."""
        call = log[self.at - 1].split(" ")[0] if self.calls == "all" else self.calls
        return f"{self.how} at {call} {self.lasts}"

    @property
    def environment(self):
        return {"FAULT_CALLS": self.calls, "FAULT_AT": str(self.at), "FAULT_AS": self.how, "FAULT_FOR": self.lasts}


@dataclass
class Harness:
    """One command that writes below one folder."""

    program: str
    library: pathlib.Path
    # Takes the folder; returns the arguments.
    arguments: object
    folder: pathlib.Path
    # Arguments of the run after a fault, where those of the first would refuse what it completed.
    again: list = field(default_factory=list)
    # Whether the command refuses a folder that it completed: what a fault came too late for is left alone.
    refuses_complete: bool = False

    def run(self, fault=None, log=None, more=()):
        environment = dict(os.environ, SWIFT_BACKTRACE="enable=no", LD_PRELOAD=str(self.library), FAULT_ROOT=str(self.folder))
        if fault:
            environment.update(fault.environment)
        if log:
            environment["FAULT_LOG"] = str(log)
        command = [self.program, *map(str, self.arguments(self.folder)), *more, "--quiet"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    def clean(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def undisturbed(self):
        """What the command writes, and the calls that it makes."""
        self.clean()
        log = self.folder.parent / (self.folder.name + ".log")
        log.unlink(missing_ok=True)
        result = self.run(log=log)
        assert result.returncode == 0, result.stderr
        return tree(self.folder), log.read_text().splitlines()

    def faults(self, log):
        """Every fault that the calls of a run allow."""
        counts = {call: sum(line.startswith(call + " ") for line in log) for call in CALLS}
        counts["fsync"] += sum(line.startswith("syncfs ") for line in log)
        faults = [Fault("all", at, "kill") for at in range(1, sum(counts.values()) + 1)]
        for call, count in counts.items():
            for at in range(1, count + 1):
                for code in (errno.ENOSPC, errno.EIO):
                    faults += [Fault(call, at, str(code), lasts) for lasts in ("once", "good")]
                if call == "write":
                    faults.append(Fault(call, at, "short"))
        return faults

    def check(self, expected, faults):
        """What some faults broke."""
        return [f"{fault}: {problem}" for fault in faults for problem in self.problems(fault, expected)]

    def problems(self, fault, expected):
        self.clean()
        result = self.run(fault)
        found = tree(self.folder)
        if result.returncode == 0:
            if found != expected:
                yield f"exit 0 with other files: {difference(found, expected)}"
        elif fault.how == "kill":
            if result.returncode != -signal.SIGKILL:
                yield f"exit {result.returncode} where it was killed"
        elif result.returncode != 6 or result.stderr.count("\n") != 1 or not result.stderr.startswith("Error: "):
            yield f"exit {result.returncode}: {result.stderr[-300:]!r}"
        # What is not removed since that failed is no fault of its own.
        elif fault.calls != "unlink" and (left := [path.name for path in self.folder.iterdir() if is_empty(path)]):
            yield f"exit {result.returncode} and an empty folder: {left}"
        if self.refuses_complete and found == expected:
            return
        again = self.run(more=self.again)
        if again.returncode != 0:
            yield f"the run after it: exit {again.returncode}: {again.stderr[-300:]!r}"
        elif tree(self.folder) != expected:
            yield f"the run after it: {difference(tree(self.folder), expected)}"
        elif left := [str(path) for path in self.folder.rglob("*") if is_empty(path)]:
            yield f"the run after it leaves empty folders: {left}"


@dataclass(frozen=True)
class Checked:
    """A command, what it writes undisturbed, and the faults to try."""

    harness: Harness
    expected: dict
    faults: list


def drawn(commands):
    """The commands of one verb, by name, each with its faults: of each kind a few, in commands that are drawn."""
    runs = {name: harness.undisturbed() for name, harness in commands.items()}
    for name, (expected, log) in runs.items():
        hidden = [file for file in expected if any(part.startswith(".") for part in file.split("/")) and ".nv-meta" not in file]
        assert not hidden, (name, hidden)
        assert not undurable(log, commands[name].folder, expected), (name, undurable(log, commands[name].folder, expected))
    every = {name: commands[name].faults(log) for name, (_, log) in runs.items()}
    chosen = every if TAKES_ALL else {name: set() for name in commands}
    kinds = {}
    for name, (_, log) in runs.items():
        for fault in every[name]:
            kinds.setdefault(fault.kind(log), {}).setdefault(name, []).append(fault)
    for kind, places in sorted(kinds.items()) if not TAKES_ALL else ():
        draw = random.Random(f"{SEED} {kind}")
        for name in draw.sample(sorted(places), min(OF_A_KIND, len(places))):
            chosen[name].add(draw.choice(places[name]))
    for name, faults in every.items() if not TAKES_ALL else ():
        chosen[name] |= set(random.Random(f"{SEED} {name}").sample(faults, min(OF_A_COMMAND, len(faults))))
    return {name: Checked(commands[name], runs[name][0], sorted(chosen[name], key=str)) for name in commands}


def is_empty(path):
    return path.is_dir() and not any(path.iterdir())


def difference(found, expected):
    names = sorted(set(found) | set(expected))
    return [name for name in names if found.get(name, 0) != expected.get(name, 0)][:5]


def undurable(log, root, expected):
    """What a loss of power at the end of a run may undo: files and names without an fsync after their last change."""
    root = str(root)
    unsynced = set()
    for line in log:
        call, _, rest = line.partition(" ")
        path, _, target = rest.partition("\t")
        folder = os.path.dirname(path)
        if call in ("write", "truncate"):
            unsynced.add(path)
        elif call == "create":
            unsynced |= {path, folder}
        elif call in ("mkdir", "unlink"):
            unsynced.add(folder)
            if call == "unlink":
                unsynced = {name for name in unsynced if name != path and not name.startswith(path + "/")}
        elif call == "rename":
            moved = {name for name in unsynced if name == path or name.startswith(path + "/")}
            unsynced = {name for name in unsynced - moved if name != target}
            unsynced |= {target + name[len(path):] for name in moved} | {folder, os.path.dirname(target)}
        elif call == "fsync":
            unsynced.discard(path)
        elif call == "syncfs":
            unsynced.clear()
    kept = {os.path.join(root, name) for name in expected}
    kept |= {os.path.dirname(name) for name in kept} | {root}
    return sorted(unsynced & kept)
