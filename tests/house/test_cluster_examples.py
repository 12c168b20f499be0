"""The examples for clusters: run with stand-ins for Slurm and `rlenvs`, and held to what the program reads and exits with."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from rlenvs.agents.runs.signals import INTERRUPTED, REQUEUE
from rlenvs.cli import build_parser

CLUSTER = Path(__file__).parents[2] / "examples" / "cluster"
SBATCH, TUNE, JOB = CLUSTER / "train.sbatch", CLUSTER / "tune.sbatch", CLUSTER / "job.yaml"
STARTED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")

RLENVS = """#!/bin/bash
printf '%s ' "${RANK-}/${WORLD_SIZE-}" "${LOCAL_RANK--}" "${MASTER_ADDR--}" "${MASTER_PORT--}" "$@" >> "$SEEN"
echo >> "$SEEN"
exit "${CODE:-0}"
"""
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
for SLURM_PROCID in 0 1; do
  export SLURM_PROCID SLURM_LOCALID=$SLURM_PROCID SLURM_NTASKS=2
  "$@" || code=$?
done
exit "${code:-0}"
"""
SCONTROL = """#!/bin/bash
if [ "$1" = show ]; then printf 'node-a\\nnode-b\\n'; else echo "$@" > "$REQUEUED"; fi
"""


@pytest.fixture
def stand_ins(tmp_path: Path) -> dict[str, str]:
    for name, text in {"rlenvs": RLENVS, "srun": SRUN, "scontrol": SCONTROL, "getent": "#!/bin/bash\nexit 0\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    seen = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SEEN": str(tmp_path / "seen"),
        "REQUEUED": str(tmp_path / "requeued"),
    }
    slurm = {"SLURM_JOB_ID": "77", "SLURM_JOB_NODELIST": "node-[a-b]", "SLURM_CPUS_PER_TASK": "8"}
    return os.environ | seen | slurm


def submit(variables: dict[str, str], *arguments: str, job: Path = SBATCH) -> tuple[int, list[list[str]]]:
    done = subprocess.run(["bash", job, *arguments], env=variables, capture_output=True, text=True, check=False)
    seen = Path(variables["SEEN"])
    return done.returncode, [line.split() for line in seen.read_text().splitlines()] if seen.exists() else []


def check_command(arguments: list[str]) -> None:
    """The command line takes these arguments, and starts or goes on."""
    parser, _ = build_parser()
    parsed = parser.parse_args(arguments)
    assert (parsed.resume, parsed.plain) == ("auto", True)
    assert parsed.output


def test_the_slurm_job_starts_one_process_per_task(stand_ins):
    code, calls = submit(stand_ins, "my.yaml", "seed=3")
    assert code == 0
    assert [call[:4] for call in calls] == [["0/2", "0", "node-a", "20077"], ["1/2", "1", "node-a", "20077"]]
    for call in calls:
        assert call[4:7] == ["train", "my.yaml", "seed=3"]
        check_command(call[4:])
        assert call[-1] == "runs/slurm-77"  # the same when the job comes back
    assert not Path(stand_ins["REQUEUED"]).exists()


def test_every_task_of_the_tuning_job_joins_one_study_and_the_first_compares(stand_ins):
    code, calls = submit(stand_ins, "my.yaml", "postgresql://me@db/studies", "n_trials=9", job=TUNE)
    assert code == 0
    assert [call[4:7] for call in calls] == [["tune", "my.yaml", "n_trials=9"]] * 2
    assert ["fresh_seeds=0" in call for call in calls] == [False, True]
    parser, _ = build_parser()
    for task, call in enumerate(calls):
        check_command(call[4:])
        parsed = parser.parse_args(call[4:])
        assert (parsed.storage, parsed.workers, parsed.output) == (
            "postgresql://me@db/studies", 8, f"runs/tune-77/{task}",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "expected", "requeued"), [(REQUEUE, 0, True), (INTERRUPTED, 130, False), (2, 2, False)]
)
def test_the_tuning_job_goes_back_into_the_queue_when_the_study_asks_for_it(stand_ins, code, expected, requeued):
    assert submit(stand_ins | {"CODE": str(code)}, "my.yaml", "sqlite:///s.db", job=TUNE)[0] == expected
    assert Path(stand_ins["REQUEUED"]).exists() is requeued


@pytest.mark.parametrize(
    ("code", "expected", "requeued"), [(REQUEUE, 0, True), (INTERRUPTED, 130, False), (2, 2, False), (1, 1, False)]
)
def test_the_slurm_job_goes_back_into_the_queue_when_the_run_asks_for_it(stand_ins, code, expected, requeued):
    assert submit(stand_ins | {"CODE": str(code)}, "my.yaml")[0] == expected
    told = Path(stand_ins["REQUEUED"])
    assert (told.read_text() if told.exists() else "") == ("requeue 77\n" if requeued else "")


def test_the_slurm_job_asks_for_the_signal_that_the_run_understands(stand_ins):
    text = SBATCH.read_text()
    assert "#SBATCH --signal=USR1@" in text
    assert "#SBATCH --requeue" in text
    assert "B:USR1" not in text  # that would reach the shell only
    assert submit(stand_ins)[0] == 1  # no configuration


def test_the_pods_of_the_kubernetes_job_find_each_other(stand_ins):
    service, job = yaml.safe_load_all(JOB.read_text())
    assert (service["kind"], job["kind"], job["spec"]["completionMode"]) == ("Service", "Job", "Indexed")
    name, spec = job["metadata"]["name"], job["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    variables = {entry["name"]: entry["value"] for entry in container["env"]}
    assert int(variables["WORLD_SIZE"]) == spec["completions"] == spec["parallelism"]
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == {"job-name": name}
    assert variables["MASTER_ADDR"] == f"{name}-0.{pod['subdomain']}"
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}

    command = [*container["command"], *container["args"]]
    subprocess.run(command, env=stand_ins | variables | {"JOB_COMPLETION_INDEX": "2"}, check=True)
    (call,) = (line.split() for line in Path(stand_ins["SEEN"]).read_text().splitlines())
    assert call[:4] == ["2/4", "0", "rlenvs-0.rlenvs", "29500"]
    check_command(call[4:])


def test_the_kubernetes_job_tries_again_after_stops_but_not_after_mistakes():
    _, job = yaml.safe_load_all(JOB.read_text())
    rules = job["spec"]["podFailurePolicy"]["rules"]
    codes = {rule["action"]: set(rule["onExitCodes"]["values"]) for rule in rules if "onExitCodes" in rule}
    assert codes == {"Ignore": {INTERRUPTED, REQUEUE}, "FailJob": {2}}
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"  # what failure policies need
    assert {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]} in rules


@pytest.mark.parametrize("name", STARTED)
def test_both_set_every_variable_that_a_process_looks_for(name):
    assert f"{name}=" in SBATCH.read_text()
    assert name in JOB.read_text()
