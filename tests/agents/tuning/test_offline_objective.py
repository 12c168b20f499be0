"""Stored rollouts, scored again: the statistics against numbers counted by hand, and what trials do not get to see."""

import json
import time

import optuna
import pytest
from scipy import stats

from rlenvs.agents.tuning.objectives import Constraint, offline_objective
from rlenvs.agents.tuning.objectives.config import OfflineObjective
from rlenvs.agents.tuning.objectives.offline import FOLDS, score_rollouts
from rlenvs.agents.tuning.space import SearchSpace
from rlenvs.config_file import parse_config
from rlenvs.errors import ConfigError, DataError

# Response, grade. Lengths in words: 1, 3, 2, 5, 4; how many are "so": 0, 1, 1, 2, 0.
ANSWERS = [("four", 1.0), ("so it is", 0.0), ("so yes", 0.75), ("so it may so be", 0.0), ("I think maybe not", 0.25)]


def recipe(short=1.0, so=0.0, **more):
    parts = {
        "short": {"class": "LengthPenalty", "params": {"max_length": 0, "penalty_per_token": -1.0, "unit": "words"}},
        "so": {"class": "KeywordOverlapReward", "params": {"keywords": ["so"]}},
    }
    return {
        "reward_components": parts | {name: {"class": cls} for name, cls in more.items()},
        "reward_shaping": {"short": {"initial_weight": short}, "so": {"initial_weight": so}},
    }


@pytest.fixture
def answers(tmp_path):
    path = tmp_path / "answers.jsonl"
    rows = [{"prompt": f"2+{k}?", "response": text, "correct": grade} for k, (text, grade) in enumerate(ANSWERS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_statistics_are_those_counted_by_hand(answers):
    found = score_rollouts(recipe(), answers)
    # Totals -1, -3, -2, -5, -4; right from 0.5 on: the first and the third stand above all three wrong ones.
    assert found["auc"] == 1.0
    # Grades 1, 0, .75, 0, .25: of 10 pairs one is tied in truth and one (-3 before -4, 0 before .25) is discordant.
    assert found["kendall"] == pytest.approx((8 - 1) / (10 * 9) ** 0.5)
    truth, total = [grade for _, grade in ANSWERS], [-1.0, -3.0, -2.0, -5.0, -4.0]
    assert found["kendall"] == pytest.approx(stats.kendalltau(total, truth).statistic)
    assert found["spearman"] == pytest.approx(stats.spearmanr(total, truth).statistic)
    assert found["responses"] == 5


def test_a_misleading_guide_is_worth_less(answers):
    # Only "so" counts: 0, 1, 1, 1, 0. Pairs of right and wrong: (0: 1, 1, 0) -> 0.5 of 3; (1: 1, 1, 0) -> 2 of 3.
    assert score_rollouts(recipe(short=0.0, so=1.0), answers)["auc"] == pytest.approx(2.5 / 6)


def test_a_reward_that_never_differs_is_worth_what_chance_is(answers):
    found = score_rollouts(recipe(short=0.0), answers)
    assert (found["auc"], found["kendall"], found["spearman"]) == (0.5, 0.0, 0.0)


def test_what_knows_the_truth_does_not_count_unless_asked(answers):
    with_task = recipe(short=-1.0, right="CorrectnessReward")
    assert score_rollouts(with_task, answers)["auc"] == score_rollouts(recipe(short=-1.0), answers)["auc"] == 0.0
    with_task["reward_shaping"]["right"] = {"initial_weight": 100.0}
    assert score_rollouts(with_task, answers, whole=True)["auc"] == 1.0


def test_a_reward_of_the_task_alone_is_refused(answers):
    config = {"reward_components": {"right": {"class": "CorrectnessReward"}}}
    with pytest.raises(ConfigError, match=r"nothing but the task itself is rewarded \(right\)"):
        score_rollouts(config, answers)


def test_the_reward_of_a_run_and_the_guides_dialect_are_found(answers):
    run = {"env": {"id": "rlenvs/Arithmetic-v0"}, "rewards": recipe(short=0.0, so=1.0), "ppo": {}}
    guide = {"reward_shaping": {"so": {"class": "KeywordOverlapReward", "params": {"keywords": ["so"]}}}}
    expected = score_rollouts(recipe(short=0.0, so=1.0), answers)
    assert score_rollouts(run, answers) == expected
    assert score_rollouts(guide | {"training": {"episodes": 3}}, answers) == expected
    with pytest.raises(ConfigError, match="the configuration has no reward"):
        score_rollouts({"env": {}}, answers)


def test_a_study_finds_the_weights_that_go_with_the_truth(answers):
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial):
        config = recipe(trial.suggest_float("short", -1.0, 1.0), trial.suggest_float("so", -1.0, 1.0))
        return offline_objective(trial, config, rollouts=answers, statistic="spearman")

    study.optimize(objective, n_trials=40)
    assert study.best_params["short"] > 0.0
    assert study.best_value >= score_rollouts(recipe(), answers)["spearman"]


def test_several_statistics_and_constraints(answers):
    study = optuna.create_study(directions=["maximize", "maximize"])
    study.optimize(
        lambda trial: offline_objective(
            trial,
            recipe(short=0.0, so=1.0),
            rollouts=answers,
            statistic=["auc", "kendall"],
            constraints=[Constraint("auc", 0.5, at_least=True)],
        ),
        n_trials=1,
    )
    (trial,) = study.trials
    assert trial.values == [pytest.approx(2.5 / 6), score_rollouts(recipe(short=0.0, so=1.0), answers)["kendall"]]
    assert trial.constraints == {"auc >= 0.5": pytest.approx(0.5 - 2.5 / 6)}


def test_a_statistic_that_is_none_is_named(answers):
    with pytest.raises(ConfigError, match="statistic 'kendal'; did you mean 'kendall'"):
        offline_objective(optuna.trial.FixedTrial({}), recipe(), rollouts=answers, statistic="kendal")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no responses"),
        ([{"response": "a"}, {"response": "b"}], "no response with a true grade"),
        ([{"response": "a", "correct": True}, {"response": "b", "correct": True}], "only right ones"),
        ([{"response": "a", "correct": 0}, {"response": "b", "correct": 0.2}], "only wrong ones"),
        ([{"response": "a", "correct": 1}, {"answer": "b"}], r":2: .*'response'"),
    ],
)
def test_responses_that_cannot_be_judged_by_are_refused(rows, message, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=message):
        score_rollouts(recipe(), path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.jsonl: no such file"):
        score_rollouts(recipe(), tmp_path / "none.jsonl")


def test_a_file_that_changes_is_read_again(answers):
    before = score_rollouts(recipe(), answers)["responses"]
    time.sleep(0.01)
    with answers.open("a") as file:
        file.write(json.dumps({"response": "no", "correct": 0}) + "\n")
    assert score_rollouts(recipe(), answers)["responses"] == before + 1


def many(path, problems=200, per_problem=3):
    rows = [
        {"problem_id": f"p{k}", "response": "so " * j + "yes", "correct": j == 0}
        for k in range(problems)
        for j in range(per_problem)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return len(rows)


def test_held_out_problems_are_seen_by_no_trial_and_each_once_at_the_end(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    count = many(path)
    seen = score_rollouts(recipe(), tmp_path, held_out=0.3)["responses"]
    folds = [score_rollouts(recipe(), tmp_path, held_out=0.3, fold=fold)["responses"] for fold in range(FOLDS)]
    assert seen + sum(folds) == count
    assert all(number % 3 == 0 and number > 0 for number in [seen, *folds])  # a problem's responses stay together
    assert 0.6 < seen / count < 0.8


@pytest.mark.parametrize("kind", ["no problem", "a prompt", "an episode of a run", "nothing"])
def test_responses_without_a_problem_are_parted_too(kind, tmp_path):
    path = tmp_path / "rows.jsonl"
    named = {
        "no problem": lambda k: {"problem_id": None, "prompt": f"{k // 2}?"},
        "a prompt": lambda k: {"prompt": [{"role": "user", "content": f"{k // 2}?"}]},
        "an episode of a run": lambda k: {"iteration": 1, "env": k, "turn": 0},
        "nothing": lambda k: {},
    }[kind]
    rows = [named(k) | {"response": "so " * (k % 2), "correct": bool(k % 2)} for k in range(100)]
    path.write_text("".join(json.dumps(line) + "\n" for line in rows))
    assert 40 <= score_rollouts(recipe(), path, held_out=0.3)["responses"] <= 95


def objective_of(path, **settings):
    return parse_config(OfflineObjective, {"kind": "offline", "rollouts": str(path), **settings})


def test_the_objective_of_a_configuration(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    many(path)
    space = SearchSpace.parse({"reward_shaping.short.initial_weight": {"type": "float", "low": 0.0, "high": 1.0}})
    objective = objective_of(path, metrics=[{"name": "kendall"}])
    objective.check(recipe(), space)
    assert objective.fresh_seeds(5) == tuple(range(FOLDS))
    assert objective.fresh_seeds(0) == objective_of(path, held_out=0.0).fresh_seeds(5) == ()
    value = objective.build(tmp_path)(optuna.trial.FixedTrial({}), recipe())
    assert value == score_rollouts(recipe(), path, held_out=0.3)["kendall"]
    assert objective.measure(tmp_path)(recipe(), 4) == score_rollouts(recipe(), path, held_out=0.3, fold=4)


def test_too_few_responses_to_compare_on_are_noticed_before_the_first_trial(answers):
    space = SearchSpace.parse({"reward_shaping.short.initial_weight": {"type": "float", "low": 0.0, "high": 1.0}})
    with pytest.raises(DataError, match=r"held-out problems \(held_out: 0 leaves the comparison out\)"):
        objective_of(answers).check(recipe(), space)
    objective_of(answers, held_out=0.0).check(recipe(), space)
