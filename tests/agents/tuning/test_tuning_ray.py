"""Workers as tasks of a Ray cluster of two nodes, one of which dies."""

import os
import signal
import threading
import time

import pytest
from tuning_studies import assert_nothing_lost

from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.running import run_study
from rlenvs.agents.tuning.engine.samplers import SamplerConfig
from rlenvs.agents.tuning.engine.storage import open_storage
from rlenvs.agents.tuning.engine.tickets import LOST, Ledger
from rlenvs.errors import StudyError, TuningError

pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets, files and child processes to the end of its own.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray", "ignore::DeprecationWarning", "ignore::UserWarning"),
]


@pytest.fixture
def cluster(monkeypatch):
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    import rlenvs

    root = os.path.dirname(os.path.dirname(rlenvs.__file__))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80_000_000})
    second = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    cluster.wait_for_nodes()
    yield cluster, second
    cluster.shutdown()


def plan_in(folder, **changes):
    values = {"n_trials": 12, "sampler": SamplerConfig(name="random"), "heartbeat_s": 0.5, "grace_s": 5.0}
    return StudyPlan("s", f"journal:{folder}/study.log", **{**values, **changes})


def objective(trial):
    import ray

    trial.set_user_attr("node", ray.get_runtime_context().get_node_id())
    time.sleep(0.3)
    return trial.suggest_float("x", 0, 1)


def test_two_nodes_share_a_study_and_it_survives_killed_workers(cluster, tmp_path):
    plan = plan_in(tmp_path)
    told = []

    def kill_one(study, trial):
        told.append(trial.number)
        if len(told) in (2, 4):
            running = Ledger(study.get_trials(), plan.n_trials).running
            owners = [
                ticket.trial.system_attrs["rlenvs:owner"]["pid"]
                for ticket in running
                if "rlenvs:owner" in ticket.trial.system_attrs
            ]
            if owners:
                os.kill(owners[0], signal.SIGKILL)

    study = run_study(plan, objective, workers=2, ray_address=cluster[0].address, on_trial=kill_one)
    assert_nothing_lost(study, 12)
    assert len({trial.user_attrs["node"] for trial in Ledger(study.trials).outcomes}) == 2
    assert any(LOST in trial.user_attrs for trial in study.trials)
    assert len(told) == 12


def test_a_node_is_taken_away(cluster, tmp_path):
    head, second = cluster
    plan = plan_in(tmp_path)
    told = []

    def take_away(study, trial):
        told.append(trial.number)
        if len(told) == 4:
            threading.Thread(target=lambda: head.remove_node(second, allow_graceful=False)).start()

    study = run_study(plan, objective, workers=2, ray_address=head.address, on_trial=take_away)
    assert_nothing_lost(study, 12)


def test_a_stop_a_broken_objective_and_ctrl_c(cluster, tmp_path):
    address = cluster[0].address
    told = []
    plan = plan_in(tmp_path / "stopped")
    study = run_study(
        plan, objective, workers=2, ray_address=address, stop=lambda: len(told) >= 2, on_trial=lambda *_: told.append(1)
    )
    assert {trial.state.name for trial in study.trials} == {"COMPLETE", "WAITING"}

    def broken(trial):
        raise ValueError("broken from the start")

    with pytest.raises(TuningError, match=r"failed; .*ValueError: broken from the start"):
        run_study(plan_in(tmp_path / "broken"), broken, workers=2, ray_address=address)

    plan = plan_in(tmp_path / "interrupted")

    def slow(trial):
        time.sleep(30)
        return 1.0

    def interrupt():
        while sum("rlenvs:owner" in trial.system_attrs for trial in trials()) < 2:
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    def trials():
        storage = open_storage(plan.storage)
        return storage.get_all_trials(0) if storage.get_all_studies() else []

    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_study(plan, slow, workers=2, ray_address=address)
    assert time.monotonic() - began < 25
    assert [trial.user_attrs[LOST] for trial in trials()[:2]] == ["its worker was asked to end"] * 2


def test_no_cluster_there(tmp_path):
    pytest.importorskip("ray")
    with pytest.raises(StudyError, match=r"no Ray cluster at '127\.0\.0\.1:1'"):
        run_study(plan_in(tmp_path), objective, workers=2, ray_address="127.0.0.1:1")
