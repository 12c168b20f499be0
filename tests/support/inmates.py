"""Runs functions in a worker that has entered a plan, or in a child of it that is confined, and says what came out.

A function is given by name, out of a file of attacks; it may return plain data or raise. Nothing of pytest or of the
project runs in that process: it starts clean, as workers do.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import machine_like

DRIVER = """
import json, os, runpy, sys
sys.path.insert(0, {support!r})
import machine_like
machine_like.use_stub_packages()
del sys.path[0]
import ctypes, errno, fcntl, resource, select, signal, socket, threading, time, types
from rlenvs.sandbox import kernel
order = json.loads(sys.argv[1])
attacks = runpy.run_path(order["file"])

class Limits:
    cpu_s, memory_mb, threads, file_bytes, open_files = 20.0, 128, 6, 100_000, 24
for name, value in order["limits"].items():
    setattr(Limits, name, value)

def outcome(name):
    try:
        return ["returned", attacks[name]()]
    except OSError as error:
        return ["errno", errno.errorcode.get(error.errno, str(error))]
    except BaseException as error:
        return ["raised", type(error).__name__ + ": " + str(error)]

try:
    plan = kernel.make_plan(order["tier"], scratch_mb=order["scratch_mb"])
    kernel.enter(plan)
except kernel.KernelError as error:
    print(json.dumps({{"refused": str(error)}}))
    os._exit(0)
results = {{}}
for name in order["names"]:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reader)
            kernel.confine(plan, Limits)
            attacks["worker"] = os.getppid()
            text = json.dumps(outcome(name))
        except BaseException as error:
            text = json.dumps(["unconfined", repr(error)])
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    text = b""
    while chunk := os.read(reader, 65536):
        text += chunk
    os.close(reader)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    results[name] = json.loads(text) if text else ["signal" if code < 0 else "exit", abs(code)]
print(json.dumps(results))
"""


def run_inmates(
    file: Path,
    names: list[str],
    *,
    tier: str,
    conditions: tuple[str, ...] = (),
    scratch_mb: int = 0,
    **limits: float,
) -> dict[str, list[Any]]:
    """Run functions of a file, each in a confined child of its own.

    Returns:
        Name to what came out: ["returned", value], ["errno", name], ["raised", text], ["signal", number].
    """
    driver = DRIVER.format(support=str(Path(__file__).parent))
    order = {"file": str(file), "names": names, "tier": tier, "scratch_mb": scratch_mb, "limits": limits}
    command = [sys.executable, "-I", "-S", "-c", driver, json.dumps(order)]
    done = subprocess.run(
        [*machine_like.command_on(*conditions), *command], capture_output=True, timeout=120, text=True, check=False
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stdout}\n{done.stderr}"
    results: dict[str, list[Any]] = json.loads(done.stdout)
    assert "refused" not in results, results
    return results
