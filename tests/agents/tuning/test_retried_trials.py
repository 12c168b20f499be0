"""A trial that was given back and run again is a trial like any other for what looks after its runs."""

from functools import partial

from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.running import run_study
from rlenvs.agents.tuning.engine.samplers import SamplerConfig
from rlenvs.agents.tuning.objectives.folders import keep_or_remove, trial_folder, trial_path


class Interrupted:
    """An objective that leaves runs, and is interrupted once."""

    def __init__(self, folder, at):
        self.folder, self.at, self.ran = folder, at, []

    def __call__(self, trial):
        value = trial.suggest_float("x", 0.0, 1.0)
        with trial_folder(self.folder, trial.number, "best") as path:
            (path / "run").touch()
            self.ran.append(trial.number)
            if len(self.ran) == self.at:
                raise KeyboardInterrupt
        keep_or_remove(trial, (value,), self.folder, "best")
        return value


def test_the_runs_of_the_best_trial_stay_whichever_number_it_ran_under(tmp_path):
    for at in range(1, 7):
        folder = tmp_path / str(at)
        plan = StudyPlan("s", f"journal:{tmp_path}/{at}.log", n_trials=6, sampler=SamplerConfig(name="random"), seed=at)
        objective = Interrupted(folder, at)
        run = partial(run_study, plan, objective, resume=True)
        try:
            run()
        except KeyboardInterrupt:
            study = run()
        failures = [trial.user_attrs["failure"] for trial in study.get_trials() if "failure" in trial.user_attrs]
        assert failures == []
        assert len(objective.ran) == 7
        best = max(
            (trial for trial in study.get_trials() if trial.state.name == "COMPLETE"), key=lambda trial: trial.value
        )
        assert [path.name for path in sorted((folder / "trials").iterdir())] == [trial_path(folder, best.number).name]
