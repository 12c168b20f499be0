import statistics
import subprocess
import sys

HEAVY = ("torch", "pydantic", "yaml", "transformers", "rich", "tensorboard", "stable_baselines3")


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_loads_nothing_heavy():
    assert run(f"import sys, rlenvs; print([m for m in {HEAVY!r} if m in sys.modules])") == "[]"


def test_making_and_stepping_an_environment_loads_nothing_heavy():
    code = (
        "import sys, gymnasium as gym, rlenvs\n"
        "for name in ('rlenvs/Arithmetic-v0', 'rlenvs/ArithmeticTokens-v0'):\n"
        "    env = gym.make(name); env.reset(seed=0); env.step(env.action_space.sample())\n"
        "gym.make_vec('rlenvs/Arithmetic-v0', num_envs=2).reset(seed=0)\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert run(code) == "[]"


def test_importing_the_package_is_quick():
    code = "import time; t = time.perf_counter(); import rlenvs; print(time.perf_counter() - t)"
    # Loose on purpose: a busy machine must not fail it, an import of torch must. The benchmark reports the figure.
    assert statistics.median(float(run(code)) for _ in range(3)) < 1.5


def test_importing_the_graders_loads_no_sandbox():
    """Most tasks have nothing to run; the sandbox is loaded with the first program that has to."""
    code = (
        "import sys\nfrom rlenvs.graders import grade\nloaded = lambda: any('sandbox' in name for name in sys.modules)\n"
        "assert grade({'type': 'math', 'gold': '2'}, r'\\boxed{2}').correct and not loaded()\n"
        "grade({'type': 'stdio', 'tests': [{'stdin': '', 'stdout': ''}]}, 'no program')\nprint(loaded())"
    )
    assert run(code) == "True"
