"""Attacks on the host from inside a pool: what they are, what they aim at, and whether they came through.

    python host_attacks.py TIER

runs every attack of `tests/sandbox/attacks/corpus` in a pool of that tier and prints what came of each; in front of it
`machine_like.command_on` puts another machine. An attack is the body of a function that may use `PRELUDE`; it appends
to `won` what it got. What ends well for the host, whatever the attack says of itself, is looked up from outside too:
files that it should not have made, bytes that reached a server, processes and descriptors that are left.
"""

import contextlib
import dataclasses
import json
import os
import platform
import secrets
import shutil
import site
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from process_tree import descendants

from rlenvs.sandbox import Limits, Program, Result, SandboxPool
from rlenvs.sandbox.kernel.libc import attempt
from rlenvs.sandbox.kernel.syscalls import this_architecture

CORPUS = Path(__file__).parents[1] / "sandbox" / "attacks" / "corpus"
PROJECT = Path(__file__).resolve().parents[2]
SHARED_MEMORY_KEY = 0x51AB
FAST_SECONDS, SLOW_SECONDS = 20.0, 0.5
SCRATCH_MB = 4

HONEST = Program("def solve(x):\n    return sorted(x)", [[[3, 1, 2]]])

PRELUDE = '''
import contextlib, os, sys

class Host:
    def __init__(self, fields):
        self.__dict__.update(fields)

def find(name):
    """A module, by whatever way it can be had."""
    try:
        return __import__(name)
    except ImportError:
        for finder in sys.meta_path:
            if name in getattr(finder, "hidden", {}):
                return finder.hidden[name]
        finders = sys.meta_path[:]
        sys.meta_path[:] = [finder for finder in finders if not hasattr(finder, "hidden")]
        try:
            return __import__(name)
        finally:
            sys.meta_path[:] = finders

def raw(number, *arguments):
    ctypes = find("ctypes")
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    full = [ctypes.c_long(argument) for argument in arguments + (0,) * (6 - len(arguments))]
    result = function(ctypes.c_long(number), *full)
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return result

def call(name, *arguments):
    if name not in host.calls:
        raise OSError(38, "not on this architecture")
    return raw(host.calls[name], *arguments)

def machine_code(code):
    ctypes = find("ctypes")
    page = call("mmap", 0, 4096, 7, 0x22, -1, 0)
    ctypes.memmove(page, code, len(code))
    return ctypes.CFUNCTYPE(ctypes.c_int)(page)()

@contextlib.contextmanager
def wins(what):
    """Its body came through, unless the system refused something."""
    try:
        yield
    except (OSError, ImportError):
        return
    won.append(what)
'''


@dataclasses.dataclass(frozen=True)
class Attack:
    """One attack.

    Args:
        group: file of the corpus.
        name: within it.
        code: the body of a function.
        top: runs before, when the code is loaded.
        ends: what may come of it. "ok": it returned, and won nothing. "ok:raised", "ok:opaque": its answer was that.
            "ok:foreign": it answered anything at all. Otherwise a status of a result.
        then: runs in the next execution of the same worker.
        scratch: needs a scratch folder.
        wins_free: wins something where nothing confines it, and does no harm there.
        machine: architecture that it is written for.
        bare: the code is all there is.
        code_repeated: a text and how often it makes the code.
    """

    group: str
    name: str
    code: str = ""
    top: str = ""
    ends: tuple[str, ...] = ("ok",)
    then: str = ""
    scratch: bool = False
    wins_free: bool = False
    machine: str = ""
    bare: bool = False
    code_repeated: tuple[str, int] = ("", 0)

    @property
    def key(self) -> str:
        return f"{self.group}.{self.name}"

    @property
    def text(self) -> str:
        """The program."""
        if self.code_repeated[1]:
            return self.code_repeated[0] * self.code_repeated[1]
        return self.code if self.bare else program(self.code, self.top)

    @property
    def is_slow(self) -> bool:
        """Whether it runs until the clock ends it."""
        return self.ends[0] == "timeout"


def program(body: str, top: str = "") -> str:
    """Return the program of a body."""
    lines = ["    " + line for line in body.strip("\n").splitlines()]
    start = "def solve(fields):\n    global host, won\n    host, won = Host(fields), []\n"
    return "\n".join([PRELUDE, top, start + "\n".join(lines), "    return won\n"])


def corpus() -> list[Attack]:
    """Every attack that is written for this machine."""
    attacks = []
    for path in sorted(CORPUS.glob("*.toml")):
        for fields in tomllib.loads(path.read_text(encoding="utf-8"))["attack"]:
            plain = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
            attacks.append(Attack(path.stem, **plain))
    return [attack for attack in attacks if attack.machine in ("", platform.machine())]


class Target:
    """A host worth attacking: files that every user may read or change, servers that count what reaches them."""

    def __init__(self) -> None:
        self.secret = secrets.token_hex(16)
        self.folder = Path(tempfile.mkdtemp(prefix="attacked_"))
        token = self.folder.name
        self.folder.chmod(0o777)
        self.task_file = self.folder / "tasks.jsonl"
        self.task_file.write_text(json.dumps({"expected": self.secret}))
        self.task_file.chmod(0o666)
        self.victim = self.folder / "victim"
        self.canaries = [
            f"{place}/canary_{token}" for place in ("/tmp", "/var/tmp", "/dev/shm") if os.path.isdir(place)
        ]
        self.canaries += [f"{self.folder}/canary", f"/home/canary_{token}"]
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(str(self.folder / "socket"))
        os.chmod(self.folder / "socket", 0o777)
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind(f"\0{token}")
        self.servers = [self.tcp, self.udp, self.unix, self.abstract]
        for server in self.servers:
            server.setblocking(False)
            if server is not self.udp:
                server.listen()
        self.restore()
        self.before = self.seen()

    def restore(self) -> None:
        """Make everything as it was at first."""
        for path in [*self.folder.iterdir(), *map(Path, self.canaries)]:
            if path.name not in ("tasks.jsonl", "socket") and os.path.lexists(path):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self.victim.write_text("victim")
        self.victim.chmod(0o666)
        os.utime(self.victim, (0, 0))

    def seen(self) -> dict[str, Any]:
        """Everything about the host that an attack may have changed."""
        status = self.victim.stat() if self.victim.exists() else None
        return {
            "files": sorted(path.name for path in self.folder.iterdir()),
            "victim": status and (status.st_mode, status.st_uid, status.st_size, status.st_mtime, status.st_nlink),
            "canaries": [path for path in self.canaries if os.path.lexists(path)],
            "reached": [index for index, server in enumerate(self.servers) if was_reached(server)],
        }

    def fields(self, *, shares_its_user: bool) -> dict[str, Any]:
        """What an attack is told, which makes it sharper than one that has to look around."""
        return {
            "grader": os.getpid(),
            "folder": str(self.folder),
            "task_file": str(self.task_file),
            "victim": str(self.victim),
            "canary": self.canaries[0],
            "canaries": self.canaries,
            "tcp": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "unix_path": self.unix.getsockname(),
            "unix_name": self.folder.name,
            "shared_memory_key": SHARED_MEMORY_KEY,
            "packages": [*site.getsitepackages()],
            "project": str(PROJECT),
            "calls": dict(this_architecture().numbers),
            "shares_its_user": shares_its_user,
        }

    def __enter__(self) -> "Target":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self.servers:
            server.close()
        self.restore()
        shutil.rmtree(self.folder)


def was_reached(server: socket.socket) -> bool:
    """Whether anybody connected, or sent something."""
    with contextlib.suppress(OSError):
        if server.type == socket.SOCK_DGRAM:
            return bool(server.recv(1))
        server.accept()[0].close()
        return True
    return False


@contextlib.contextmanager
def shared_memory() -> Iterator[None]:
    """A segment of memory that every user may attach."""
    identity = attempt("shmget", SHARED_MEMORY_KEY, 4096, 0o1666)
    try:
        yield
    finally:
        attempt("shmctl", identity, 0, 0)


def settled(count: Any, wanted: Any, seconds: float = 5.0) -> Any:
    """Return what a count comes to: what is wanted, or what it still is after so many seconds."""
    end = time.monotonic() + seconds
    while (got := count()) != wanted and time.monotonic() < end:
        time.sleep(0.02)
    return got


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


class Siege:
    """Runs attacks against a pool and the host around it."""

    def __init__(self, pool: SandboxPool, target: Target) -> None:
        self.pool = pool
        self.target = target
        self.fields = target.fields(shares_its_user=os.geteuid() != 0 and pool.tier == "B")
        pool.run_batch([HONEST] * 2 * pool.size)  # all workers have started
        assert self.honest() == [], "an honest program fails before any attack"
        self.processes = len(descendants(os.getpid()))
        self.descriptors = descriptors()

    def run(self, attacks: list[Attack]) -> dict[str, list[str]]:
        """Return what is wrong after each attack. Slow ones go together."""
        slow = [attack for attack in attacks if attack.is_slow and not attack.then]
        limits = Limits(wall_s=SLOW_SECONDS, memory_mb=128)
        programs = [Program(attack.text, [[self.fields]], limits=limits) for attack in slow]
        results = self.pool.run_batch(programs)
        problems = {attack.key: self.judged(attack, result) for attack, result in zip(slow, results, strict=True)}
        problems["the slow ones together"] = self.damage()
        for attack in attacks:
            if attack not in slow:
                problems[attack.key] = self.fought(attack)
        return problems

    def fought(self, attack: Attack) -> list[str]:
        """Return what is wrong after one attack."""
        limits = Limits(wall_s=SLOW_SECONDS if attack.is_slow else FAST_SECONDS, memory_mb=128)
        result = self.pool.run(attack.text, [[self.fields]], limits=limits)
        problems = self.judged(attack, result)
        if attack.then:
            after = self.pool.run(program(attack.then), [[self.fields]], limits=limits)
            problems += [f"afterwards: {problem}" for problem in self.judged(Attack("", "", ends=("ok",)), after)]
        return problems + self.damage() + self.honest()

    def judged(self, attack: Attack, result: Result) -> list[str]:
        """Return what is wrong about a result."""
        problems = []
        answer = result.outcomes[0]
        ended = {result.status}
        if result.status == "ok":
            ended = {f"ok:{answer.status}"}
            if answer.status == "returned":
                ended = {"ok:foreign"} if answer.value != [] else {"ok", "ok:foreign"}
        if not ended & set(attack.ends):
            shown = f"{result.status} ({result.reason}): {answer.status} {str(answer.value)[:500]} {answer.error[:500]}"
            problems.append(f"ended as {shown}, not as {attack.ends}")
        if self.target.secret in repr(result):
            problems.append("it knows what is expected")
        if result.tier != self.pool.tier:
            problems.append(f"the result says tier {result.tier!r}")
        if len(result.stdout) > self.pool.limits.output_bytes or len(result.stderr) > self.pool.limits.output_bytes:
            problems.append("more output than the limit")
        return problems

    def damage(self) -> list[str]:
        """Return what has changed on the host."""
        problems = []
        if (seen := self.target.seen()) != self.target.before:
            problems.append(f"changed on the host: {seen}")
            self.target.restore()
        if settled(lambda: len(descendants(os.getpid())), self.processes) != self.processes:
            now = len(descendants(os.getpid()))
            problems.append(f"{now} processes, {self.processes} before")
            self.processes = now
        if (now := descriptors()) != self.descriptors:
            problems.append(f"{now} descriptors, {self.descriptors} before")
            self.descriptors = now
        return problems

    def honest(self) -> list[str]:
        """Return what is wrong about an honest program."""
        (result,) = self.pool.run_batch([HONEST])
        value = [outcome.value for outcome in result.outcomes]
        return [] if value == [[1, 2, 3]] else [f"an honest program afterwards: {result}"]


def free(attack: Attack) -> list[str]:
    """Return what an attack wins where nothing confines it: in an ordinary process."""
    with Target() as target, shared_memory():
        fields = target.fields(shares_its_user=True)
        text = f"{attack.text}\nimport json, sys\nprint(json.dumps(solve(json.load(sys.stdin))), file=sys.stderr)"
        command = [sys.executable, "-c", text]
        done = subprocess.run(command, input=json.dumps(fields), capture_output=True, text=True, timeout=60, check=True)
        won: list[str] = json.loads(done.stderr.splitlines()[-1])
        return won


def main() -> None:
    """Print what is wrong after each attack of the corpus, by name."""
    tier = sys.argv[1]
    attacks = corpus()
    problems: dict[str, list[str]] = {}
    with Target() as target, shared_memory():
        before = descriptors()
        with SandboxPool(2, tier=tier) as pool:
            problems |= Siege(pool, target).run([each for each in attacks if not each.scratch and not each.then])
        with SandboxPool(1, tier=tier, scratch_mb=SCRATCH_MB if tier == "A" else 0) as pool:
            left = [each for each in attacks if each.then or each.scratch]
            problems |= Siege(pool, target).run([each for each in left if tier == "A" or not each.scratch])
        problems["afterwards"] = [f"{left} is left" for left in settled(lambda: descendants(os.getpid()), set())]
        if descriptors() != before:
            problems["afterwards"].append(f"{descriptors()} descriptors, {before} before")
    print(json.dumps(problems))


if __name__ == "__main__":
    main()
