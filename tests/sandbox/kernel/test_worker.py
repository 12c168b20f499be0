"""A worker as a whole: its root, its scratch folder, its user, and who dies with whom."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from machine_like import can_simulate, command_on
from process_tree import descendants

from rlenvs.sandbox import kernel

SUPPORT = Path(__file__).parents[2] / "support"
SETUP = f"""
import sys
sys.path.insert(0, {str(SUPPORT)!r})
import machine_like
machine_like.use_stub_packages()
import ctypes, errno, json, os, resource, select, signal, socket, threading, time
from rlenvs.sandbox import kernel

class Limits:
    cpu_s, memory_mb, threads, file_bytes, open_files = None, 128, 4, 100_000, 24

def caught(work):
    try:
        return work()
    except (OSError, ValueError, RuntimeError) as error:
        return errno.errorcode.get(getattr(error, "errno", None), type(error).__name__)

def say(value):
    os.write(1, json.dumps(value).encode() + b"\\n")

def child(work):
    pid = os.fork()
    if not pid:
        try:
            kernel.confine(plan, Limits)
            say(caught(work))
        finally:
            os._exit(0)
    return pid

def read(path):
    with open(path) as file:
        return file.read()

def write(path, text):
    with open(path, "w") as file:
        file.write(text)
"""
TIERS = pytest.mark.parametrize("tier", ["A", "B"])


def needs(tier: str, *conditions: str) -> None:
    if tier not in {"A": "AB", "B": "B", "C": ""}[kernel.probe().tier] or not can_simulate(*conditions):
        pytest.skip(f"this machine cannot enter tier {tier}")


def start(body: str, *conditions: str) -> "subprocess.Popen[str]":
    command = [*command_on(*conditions), sys.executable, "-I", "-c", SETUP + body]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(body: str, *conditions: str) -> list[Any]:
    with start(body, *conditions) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def plan_text(**changes: Any) -> str:
    return f"plan = kernel.Plan(**{changes!r}, uid=kernel.free_uid() if kernel.can_become_another() else None)\n"


@TIERS
def test_what_is_readable_and_what_is_hidden_in_it(tmp_path: Path, tier: str) -> None:
    needs(tier)
    tmp_path.chmod(0o755)
    for folder in list(tmp_path.parents)[:3]:
        if folder != Path("/tmp"):
            folder.chmod(0o755)
    for name in ("open/a.txt", "open/packages/secret.txt", "open/packages/named/b.txt", "closed/c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to(tmp_path / "open/packages/named")
    (tmp_path / "single.txt").write_text("single")
    (tmp_path / "beside.txt").write_text("beside")
    at = str(tmp_path)
    plan = plan_text(
        tier=tier,
        readable=(f"{at}/open", f"{at}/open/packages/named", f"{at}/link", f"{at}/single.txt"),
        hidden=(f"{at}/open/packages", f"{at}/open/absent"),
    )
    names = (
        "open/a.txt",
        "open/packages/named/b.txt",
        "link/b.txt",
        "single.txt",
        "open/packages/secret.txt",
        "closed/c.txt",
    )
    body = f"kernel.enter(plan)\nfor name in {names!r}: say(caught(lambda: read({at!r} + '/' + name)))\n"
    body += f"say(caught(lambda: read({at!r} + '/beside.txt')))\n"
    body += (
        f"say(caught(lambda: os.listdir({at!r} + '/open')))\nsay(caught(lambda: write({at!r} + '/open/a.txt', 'x')))\n"
    )
    hidden = "ENOENT" if tier == "A" else "EACCES"
    *contents, secret, closed, beside, names_in_open, written = lines(plan + body)
    assert contents == ["open/a.txt", "open/packages/named/b.txt", "open/packages/named/b.txt", "single"]
    assert (secret, closed, beside) == (hidden,) * 3
    assert sorted(names_in_open) == ["a.txt", "packages"]
    assert written in ("EACCES", "EROFS")
    assert (tmp_path / "open/a.txt").read_text() == "open/a.txt"


@pytest.mark.parametrize("conditions", [(), ("user",), ("default-caps",)], ids=["root", "user", "default-caps"])
def test_the_private_root_holds_without_landlock(conditions: tuple[str, ...]) -> None:
    """What tier A adds must not lean on what it shares with tier B."""
    needs("A", *conditions)
    body = """
from rlenvs.sandbox.kernel.namespaces import isolate
proc = os.open("/proc", os.O_PATH)
def mounts():
    with os.fdopen(os.open("self/mountinfo", os.O_RDONLY, dir_fd=proc)) as file:
        return sorted((row.split()[4], row.split()[5].split(",")[0]) for row in file)
isolate(plan)
say(mounts())
say(sorted(os.listdir("/")))
say([caught(lambda: write(path, "x")) for path in ("/a", "/usr/a", "/usr/share/zoneinfo/a", "/box/a")])
say([caught(lambda: read(path)) for path in ("/etc/passwd", "/proc/self/status", "/../etc/passwd")])
say(caught(lambda: os.listdir("/..")) == os.listdir("/"))
"""
    plan = plan_text(tier="A", readable=("/usr/share/zoneinfo",), scratch_mb=1)
    mounts, names, written, read, top = lines(plan + body, *conditions)
    assert mounts == [["/", "ro"], ["/box", "rw"], ["/usr/share/zoneinfo", "ro"]]
    assert names == ["box", "usr"]
    assert written == ["EROFS", "EROFS", "EROFS", None]
    assert read == ["ENOENT"] * 3
    assert top is True


def test_the_scratch_folder_is_the_only_place_to_write_and_is_bounded() -> None:
    needs("A")
    body = """
kernel.enter(plan)
Limits.file_bytes = 1 << 30
def fill():
    for number in range(64):
        write(f"/box/{number}", "x" * (1 << 20))
for work in (
    lambda: write("/box/a", "hello"), lambda: read("/box/a"), lambda: os.mkdir("/box/b"),
    lambda: os.rename("/box/a", "/box/b/a"), lambda: os.listdir("/box/b"), lambda: os.symlink("/", "/box/root"),
    lambda: os.link("/box/b/a", "/box/c"), lambda: os.mkfifo("/box/pipe"), lambda: os.chmod("/box/b/a", 0o777),
    lambda: write("/a", "x"), fill, lambda: os.unlink("/box/b/a"),
):
    os.waitpid(child(work), 0)
"""
    found = lines(plan_text(tier="A", scratch_mb=2) + body)
    assert found[:2] == [None, "hello"]
    assert found[2:5] == [None, None, ["a"]]
    assert found[5:9] == ["EPERM"] * 4
    assert found[9] in ("EACCES", "EROFS")
    assert found[10:] == ["ENOSPC", None]


@TIERS
@pytest.mark.parametrize("version", [1, 2, 3])
def test_no_version_of_landlock_leaves_a_file_to_be_cut(tier: str, version: int) -> None:
    """Before its third version it lets files be cut, and a file that is opened for nothing it does not see at all."""
    needs(tier)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"precious")
        file.flush()
        os.chmod(file.name, 0o666)
        body = f"""
from rlenvs.sandbox.kernel import landlock
newest = landlock.abi()
landlock.abi = lambda: min({version}, newest)
kernel.enter(plan)
os.waitpid(child(lambda: os.open({file.name!r}, 3)), 0)
os.waitpid(child(lambda: os.open({file.name!r}, 3 | os.O_TRUNC)), 0)
os.waitpid(child(lambda: os.open({file.name!r}, os.O_RDONLY | os.O_TRUNC)), 0)
"""
        answers = lines(plan_text(tier=tier, readable=(os.path.dirname(os.__file__),)) + body)
        assert Path(file.name).read_bytes() == b"precious"
        assert set(answers) <= {"EPERM", "EACCES", "ENOENT"}


def test_the_name_of_the_machine_stays_outside() -> None:
    needs("A")
    before = os.uname().nodename
    assert lines(plan_text(tier="A") + "kernel.enter(plan)\nsay(os.uname().nodename)\n") == ["sandbox"]
    assert os.uname().nodename == before


@TIERS
def test_children_do_not_reach_each_other(tier: str) -> None:
    needs(tier)
    body = """
kernel.enter(plan)
hold, end = os.pipe()
waiting = child(lambda: os.read(hold, 1) and None)
def reach():
    return [caught(lambda: os.kill(waiting, 9)), caught(lambda: read(f"/proc/{waiting}/status")),
            kernel.libc.attempt("ptrace", 16, waiting, 0, 0), kernel.libc.attempt("process_vm_readv", waiting)]
os.waitpid(child(reach), 0)
os.write(end, b"x")
say(os.waitstatus_to_exitcode(os.waitpid(waiting, 0)[1]))
"""
    found = lines("import rlenvs.sandbox.kernel.libc\n" + plan_text(tier=tier) + body)
    assert found[0] == ["EPERM", "ENOENT" if tier == "A" else "EACCES", -1, -1]
    assert found[1:] == [None, 0]  # the one that was attacked went on


@pytest.mark.parametrize("conditions", [(), ("user",)], ids=["root", "user"])
def test_each_child_counts_its_own_threads_where_the_user_is_the_workers_own(conditions: tuple[str, ...]) -> None:
    needs("A", *conditions)
    body = """
kernel.enter(plan)
def threads():
    gate, count = threading.Event(), 0
    try:
        while True:
            threading.Thread(target=gate.wait, daemon=True).start()
            count += 1
    except RuntimeError:
        return count
    finally:
        gate.set()
os.waitpid(child(threads), 0)
"""
    assert lines(plan_text(tier="A") + body, *conditions) == [3]  # and the first one makes four


WAITING = """
kernel.enter(plan)
child(lambda: time.sleep(300))
say(["ready"])
time.sleep(300)
"""


def alive(pids: set[int]) -> set[int]:
    def state(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return "X"

    return {pid for pid in pids if state(pid) not in "XZ"}


@pytest.mark.parametrize(
    ("tier", "conditions"),
    [
        ("A", ()),
        ("A", ("user",)),
        ("A", ("default-caps",)),
        ("B", ()),
        ("B", ("docker",)),
        ("B", ("user", "no-userns")),
    ],
    ids=str,
)
@pytest.mark.parametrize("victim", ["first", "second"])
def test_killing_a_worker_leaves_nothing(tier: str, conditions: tuple[str, ...], victim: str) -> None:
    """In tier A the first process waits outside and the second is the worker; in tier B there is one."""
    needs(tier, *conditions)
    with start(plan_text(tier=tier) + WAITING, *conditions) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == '["ready"]\n'
        family = {process.pid} | descendants(process.pid)
        assert len(family) == (3 if tier == "A" else 2)
        inner = min(family - {process.pid})
        os.kill(process.pid if victim == "first" or tier == "B" else inner, signal.SIGKILL)
        process.wait(timeout=20)
        deadline = time.monotonic() + 20
        while alive(family - {process.pid}) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not alive(family)
        assert process.returncode == (128 + signal.SIGKILL if tier == "A" and victim == "second" else -signal.SIGKILL)


@TIERS
def test_a_worker_has_a_user_of_its_own_and_no_way_back(tier: str) -> None:
    needs(tier)
    if not kernel.can_become_another():
        pytest.skip("only root can give workers a user")
    body = """
os.setgroups([20, 21])
kernel.enter(plan)
say([*os.getresuid(), *os.getresgid(), os.getgroups(), plan.uid])
say([caught(lambda: os.setuid(0)), caught(lambda: os.setgroups([0])), caught(lambda: os.kill(os.getppid() or 2, 0))])
say(caught(lambda: kernel.enter(plan)))
"""
    (*ids, groups, uid), back, again = lines(plan_text(tier=tier) + body)
    assert ids == [uid] * 6
    assert groups == []
    assert back[:2] == ["EPERM", "EPERM"]
    assert back[2] in ("EPERM", "ESRCH")  # outside, if it is to be seen at all
    assert again == "KernelError"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\nkernel.enter(plan)", "has 2 threads"),
        ("kernel.confine(plan, Limits)", "has not entered with this plan"),
        (
            "import dataclasses\nkernel.enter(dataclasses.replace(plan, readable=('/nowhere',)))",
            "leaving /nowhere readable",
        ),
    ],
)
@TIERS
def test_a_step_that_fails_raises(tier: str, body: str, message: str) -> None:
    needs(tier)
    text = f"try:\n    {body.splitlines()[0]}\n"
    for line in body.splitlines()[1:]:
        text += f"    {line}\n"
    text += "except (kernel.KernelError, OSError) as error:\n    say(str(error)); os._exit(0)\n"
    (problem,) = lines(plan_text(tier=tier) + text)
    assert message in problem


@pytest.mark.parametrize(
    ("tier", "message"), [("A", "user 9 cannot be mapped"), ("B", "becoming user 9: Operation not permitted (EPERM)")]
)
def test_an_ordinary_user_cannot_be_given_another(tier: str, message: str) -> None:
    needs("A", "user")
    caught = "except kernel.KernelError as error:\n    say(str(error))\n"
    body = f"try:\n    kernel.enter(kernel.Plan({tier!r}, 9))\n{caught}"
    (problem,) = lines(body, "user")
    assert message in problem


@pytest.mark.parametrize(
    ("conditions", "tier", "message"),
    [
        ("docker", "A", "making namespaces"),
        ("user,no-userns", "A", "making namespaces as an ordinary user"),
        ("no-landlock", "B", "landlock: Function not implemented"),
        ("no-landlock", "A", "landlock: Function not implemented"),
        ("no-seccomp", "B", "installing a seccomp filter"),
        ("no-seccomp", "A", "installing a seccomp filter"),
    ],
)
def test_nothing_is_skipped_in_silence(conditions: str, tier: str, message: str) -> None:
    needs("A", *conditions.split(","))
    body = "try:\n    kernel.enter(plan)\nexcept kernel.KernelError as error:\n    say(str(error)); os._exit(0)\n"
    (problem,) = lines(plan_text(tier=tier) + body, *conditions.split(","))
    assert message in problem


def test_the_plan_of_this_interpreter() -> None:
    if sys.platform != "linux":
        pytest.skip("Linux only")
    plan = kernel.make_plan("A", packages=["numpy"], scratch_mb=4)
    numpy = Path(sys.modules["numpy"].__file__ or "").parent if "numpy" in sys.modules else None
    assert any(path.endswith("/numpy") for path in plan.readable)
    assert numpy is None or str(numpy) in plan.readable
    assert str(Path(os.__file__).parent) in plan.readable
    assert all(Path(path).name in ("site-packages", "dist-packages") for path in plan.hidden)
    assert not any("site-packages" in path and "numpy" not in path for path in plan.readable)
    assert (plan.uid is not None) == kernel.can_become_another()
    with pytest.raises(kernel.KernelError, match="no_such_package readable: it is not installed"):
        kernel.make_plan("A", packages=["no_such_package"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tier": "C"}, "tier must be 'A' or 'B', got 'C'"),
        ({"uid": 0}, "uid must be > 0 or None, got 0"),
        ({"scratch_mb": -1}, "scratch_mb must be >= 0, got -1"),
        ({"tier": "B", "scratch_mb": 1}, "scratch_mb needs tier A"),
        ({"readable": ("here",)}, "must be absolute, got 'here'"),
        ({"hidden": ("",)}, "must be absolute, got ''"),
    ],
)
def test_a_plan_that_cannot_be_meant(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(kernel.Plan("A"), **changes)


def test_users_are_free_and_differ() -> None:
    taken: set[int] = set()
    for _ in range(50):
        taken.add(kernel.free_uid(frozenset(taken)))
    assert len(taken) == 50
    assert all(61_000 <= uid < 65_000 for uid in taken)
    with pytest.raises(kernel.KernelError, match=r"all of 61000\.\.64999 are in use"):
        kernel.free_uid(frozenset(range(61_000, 65_000)))
