"""The probe tells the truth, whatever a machine withholds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from machine_like import PACKAGE, can_simulate, command_on

from rlenvs.sandbox import kernel

ASK = f"""
import json, sys
sys.path.insert(0, {str(Path(__file__).parents[2] / "support")!r})
import machine_like
machine_like.use_stub_packages()
from rlenvs.sandbox.kernel import probe
found = probe()
json.dump([found.tier, dict(found.mechanisms), list(found.missing), found.summary], sys.stdout)
"""


def probe_on(*conditions: str) -> tuple[str, dict[str, str], list[str], str]:
    command = [*command_on(*conditions), sys.executable, "-I", "-c", ASK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    tier, mechanisms, missing, summary = json.loads(done.stdout)
    return tier, mechanisms, missing, summary


@pytest.mark.parametrize(
    ("conditions", "tier", "missing"),
    [
        ("docker", "B", ["namespaces"]),
        ("default-caps", "A", []),
        ("user", "A", []),
        ("user,no-userns", "B", ["namespaces"]),
        ("no-landlock", "C", ["landlock"]),
        ("no-seccomp", "C", ["seccomp"]),
        ("docker,no-landlock", "C", ["landlock", "namespaces"]),
        ("user,no-landlock", "C", ["landlock"]),
        ("no-proc", "A", []),
        ("docker,no-proc", "B", ["namespaces"]),
        ("user,no-proc", "B", ["namespaces"]),
        ("no-caps", "B", ["another user", "namespaces"]),
    ],
)
def test_what_is_withheld_is_missing(conditions: str, tier: str, missing: list[str]) -> None:
    names = conditions.split(",")
    if not can_simulate(*names) or kernel.probe().tier != "A":
        pytest.skip("needs root on a machine that has everything, to take it away")
    found, mechanisms, lines, summary = probe_on(*names)
    assert (found, [line.split(":")[0] for line in lines]) == (tier, missing)
    assert summary.startswith(f"tier {tier}: ")
    assert all(name not in mechanisms for name in missing)
    assert ("tier A" in mechanisms, "tier B" in mechanisms) == (tier == "A", tier in "AB")


def test_what_cannot_be_tried_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = kernel.probe.__wrapped__
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    found = probe()
    assert found.tier == "C"
    assert "No such file" in found.missing[0]
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert probe().missing == ("architecture: exit status 1; the sandbox needs 64-bit Linux on x86_64 or aarch64",)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert probe().missing == ("architecture: this is darwin; the sandbox needs 64-bit Linux on x86_64 or aarch64",)
    assert probe().summary == "tier C: model text cannot be confined here"


def test_the_probe_runs_once_per_process() -> None:
    assert kernel.probe() is kernel.probe()


def test_the_kernel_modules_load_without_the_rest() -> None:
    code = (
        "import sys, types\n"
        f"for name, path in (('rlenvs', {str(PACKAGE)!r}), ('rlenvs.sandbox', {str(PACKAGE / 'sandbox')!r})):\n"
        "    sys.modules[name] = types.ModuleType(name); sys.modules[name].__path__ = [path]\n"
        "import rlenvs.sandbox.kernel, rlenvs.sandbox.kernel.trial\n"
        "ours = {n for n in sys.modules if n.startswith('rlenvs')}\n"
        "assert all(n.startswith('rlenvs.sandbox.kernel') for n in ours - {'rlenvs', 'rlenvs.sandbox'}), ours\n"
        "assert not any('site-packages' in p for p in sys.path)\n"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=60)


def test_other_systems_can_import_and_are_told() -> None:
    code = (
        "import sys, types\n"
        f"for name, path in (('rlenvs', {str(PACKAGE)!r}), ('rlenvs.sandbox', {str(PACKAGE / 'sandbox')!r})):\n"
        "    sys.modules[name] = types.ModuleType(name); sys.modules[name].__path__ = [path]\n"
        "sys.modules['resource'] = sys.modules['fcntl'] = None\n"
        "import ctypes, subprocess\n"
        "sys.platform = 'win32'\n"
        "from rlenvs.sandbox import kernel\n"
        "assert kernel.probe().tier == 'C'\n"
        "try:\n"
        "    kernel.enter(kernel.Plan('B'))\n"
        "except kernel.KernelError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60)
    assert "the sandbox needs 64-bit Linux on x86_64 or aarch64, not 64-bit win32" in done.stdout, done.stderr
