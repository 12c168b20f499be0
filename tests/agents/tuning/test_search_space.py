"""Search spaces: what they read, what they draw, and what each mistake is called."""

import contextlib
import json
import math

import cloudpickle
import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.agents.tuning.space import SearchSpace, space_problems
from rlenvs.agents.tuning.space.trials import DryTrial, DryValues
from rlenvs.config_file import read_config
from rlenvs.errors import ConfigError

relaxed = settings(deadline=None, max_examples=30)

FLOAT = {"type": "float", "low": 0.1, "high": 5.0, "log": True}
INT = {"type": "int", "low": 1, "high": 9, "step": 2}


def drawn(space: dict, **params) -> dict:
    return SearchSpace.parse(space).suggest(optuna.trial.FixedTrial(params))


def said(space: object) -> str:
    with pytest.raises(ConfigError) as caught:
        SearchSpace.parse(space)
    return str(caught.value)


class TestWhatIsRead:
    def test_a_leaf_is_called_after_its_path(self):
        space = SearchSpace.parse({"a": {"b": FLOAT}, "c.d": INT})
        assert [(leaf.path, leaf.name) for leaf in space.leaves] == [(("a", "b"), "a.b"), (("c", "d"), "c.d")]

    def test_a_leaf_may_have_a_name_of_its_own(self):
        assert drawn({"a.b": {**FLOAT, "name": "w"}}, w=0.5) == {("a", "b"): 0.5}

    def test_a_function_names_its_parameters_itself(self):
        space = {"a": lambda trial: 2 * trial.suggest_float("half", 0, 1)}
        assert drawn(space, half=0.25) == {("a",): 0.5}
        assert [parameter.name for parameter in SearchSpace.parse(space).parameters()] == ["half"]

    def test_values_come_in_the_order_of_the_tree(self):
        space = {"z": FLOAT, "a": {"y": INT, "b": FLOAT}, "m": INT}
        asked = DryTrial(DryValues())
        SearchSpace.parse(space).suggest(asked)
        assert [name for name, _ in asked.asked] == ["z", "a.y", "a.b", "m"]

    def test_plain_choices_are_stored_as_they_are(self):
        choices = [None, "z_score", 3, 0.5, True]
        for choice in choices:
            assert drawn({"a": {"type": "categorical", "choices": choices}}, a=choice) == {("a",): choice}

    def test_numbers_of_numpy_are_numbers(self):
        assert drawn({"a": {"type": "categorical", "choices": np.array([0.5, 2.0])}}, a=2.0) == {("a",): 2.0}
        space = {
            "a": {"type": "int", "low": np.int64(1), "high": np.int64(3)},
            "b": lambda t: np.float32(t.suggest_int("n", 1, 2)),
        }
        found = drawn(space, a=3, n=1)
        assert [type(value) for value in found.values()] == [int, float]

    def test_a_label_stands_for_a_value(self):
        choices = {"small": [64], "large": [256, 256], "none": None}
        space = {"net": {"type": "categorical", "choices": choices}}
        for label, value in choices.items():
            assert drawn(space, net=label) == {("net",): value}

    def test_what_a_label_stands_for_is_new_in_every_trial(self):
        space = SearchSpace.parse({"net": {"type": "categorical", "choices": {"small": [64]}}})
        first = space.suggest(optuna.trial.FixedTrial({"net": "small"}))
        first["net",].append(1)
        assert space.suggest(optuna.trial.FixedTrial({"net": "small"})) == {("net",): [64]}

    def test_a_choice_may_have_parameters_of_its_own(self):
        space = {
            "weight": {
                "type": "categorical",
                "choices": {
                    "still": {"initial_weight": 1.0},
                    "fading": {"decay_schedule": "exponential", "decay_rate": FLOAT, "decay_steps": lambda t: 10 * t.suggest_int("n", 1, 3)},
                },
            }
        }  # fmt: skip
        assert drawn(space, weight="still") == {("weight",): {"initial_weight": 1.0}}
        fading = drawn(space, weight="fading", n=2, **{"weight.fading.decay_rate": 0.5})
        assert fading == {("weight",): {"decay_schedule": "exponential", "decay_rate": 0.5, "decay_steps": 20}}
        found = {parameter.name: parameter.when for parameter in SearchSpace.parse(space).parameters(32)}
        assert found == {
            "weight": "always",
            "weight.fading.decay_rate": "conditional (16 of 32)",
            "n": "conditional (16 of 32)",
        }

    def test_choices_nest(self):
        inner = {"type": "categorical", "choices": {"x": {"v": INT}, "y": {"v": 0}}}
        space = {"a": {"type": "categorical", "choices": {"deep": {"b": inner}, "flat": {}}}}
        assert drawn(space, a="deep", **{"a.deep.b": "x", "a.deep.b.x.v": 3}) == {("a",): {"b": {"v": 3}}}
        assert drawn(space, a="flat") == {("a",): {}}

    def test_a_choice_may_itself_be_a_parameter(self):
        space = {"clip": {"type": "categorical", "choices": {"off": None, "on": FLOAT}}}
        assert drawn(space, clip="on", **{"clip.on": 2.0}) == {("clip",): 2.0}
        assert drawn(space, clip="off") == {("clip",): None}

    def test_dots_work_at_any_level(self):
        tree = {"a": {"b": {"c": FLOAT}}}
        for space in ({"a.b.c": FLOAT}, {"a.b": {"c": FLOAT}}, {"a": {"b.c": FLOAT}}):
            assert SearchSpace.parse(space).fingerprint() == SearchSpace.parse(tree).fingerprint()

    def test_a_key_called_type_may_be_tuned(self):
        space = {"loss": {"type": {"type": "categorical", "choices": ["l1", "l2"]}, "name": FLOAT}}
        assert drawn(space, **{"loss.type": "l2", "loss.name": 1.0}) == {("loss", "type"): "l2", ("loss", "name"): 1.0}

    def test_plain_data_in_a_choice_may_have_a_type(self):
        space = {"part": {"type": "categorical", "choices": {"a": {"type": "regex", "pattern": "x"}, "b": None}}}
        assert drawn(space, part="a") == {("part",): {"type": "regex", "pattern": "x"}}

    def test_one_name_in_two_places_is_one_parameter(self):
        shared = {"type": "float", "low": 0.9, "high": 1.0, "name": "gamma"}
        space = {"ppo.gamma": shared, "potential.gamma": shared}
        assert set(drawn(space, gamma=0.95).values()) == {0.95}
        assert len(SearchSpace.parse(space).parameters()) == 1

    def test_a_space_is_read_once(self):
        space = SearchSpace.parse({"a": FLOAT})
        assert SearchSpace.parse(space) is space

    def test_a_space_with_functions_travels(self):
        offset = 3
        space = SearchSpace.parse({"a": lambda trial: offset + trial.suggest_int("n", 0, 1), "b": FLOAT})
        sent = cloudpickle.loads(cloudpickle.dumps(space))
        assert sent.suggest(optuna.trial.FixedTrial({"n": 1, "b": 1.0})) == {("a",): 4, ("b",): 1.0}
        assert sent.fingerprint() == space.fingerprint()


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("leaf", "message"),
        [
            ({"type": "flot", "low": 0, "high": 1}, "a: unknown 'type' 'flot'; did you mean 'float'? (known: categorical, float, int)"),
            ({"typ": "float", "low": 0, "high": 1}, "a.typ: unknown key 'typ'; did you mean 'type'? (known: type, low, high, log, step, name, choices)"),
            ({"low": 0, "high": 1}, "a: missing key 'type' (one of float, int, categorical)"),
            ({"type": 3}, "a: unknown 'type' '3' (known: categorical, float, int)"),
            ({"type": "float", "lo": 0, "high": 1}, "a.lo: unknown key 'lo'; did you mean 'low'? (known: type, low, high, log, step, name)"),
            ({"type": "float", "low": 0}, "a: missing key 'high'"),
            ({"type": "float", "low": 2, "high": 1}, "a.low: must be <= high (1.0), got 2.0"),
            ({"type": "int", "low": 2, "high": 1}, "a.low: must be <= high (1), got 2"),
            ({"type": "float", "low": 0, "high": 1, "log": True}, "a.low: must be > 0 with log: true, got 0.0"),
            ({"type": "int", "low": 0, "high": 9, "log": True}, "a.low: must be >= 1 with log: true, got 0"),
            ({"type": "float", "low": 1, "high": 2, "log": True, "step": 0.5}, "a.step: does not go with log: true; leave one of them out"),
            ({"type": "int", "low": 1, "high": 9, "log": True, "step": 2}, "a.step: does not go with log: true; leave one of them out"),
            ({"type": "float", "low": 0, "high": 1, "step": 0.4}, "a.step: must divide high - low (1.0), got 0.4: 0.8 would be highest"),
            ({"type": "int", "low": 0, "high": 10, "step": 4}, "a.step: must divide high - low (10), got 4: 8 would be highest"),
            ({"type": "float", "low": 0, "high": 1, "step": 1e-20}, "a.step: is too fine for 0.0 to 1.0, got 1e-20: leave it out"),
            ({"type": "float", "low": 0, "high": 1, "step": -1}, "a.step: must be > 0.0, got -1"),
            ({"type": "float", "low": "0", "high": 1}, "a.low: expected a number, got '0'"),
            ({"type": "float", "low": 0, "high": math.inf}, "a.high: expected a finite number, got inf"),
            ({"type": "int", "low": 0.5, "high": 1}, "a.low: expected an integer, got 0.5"),
            ({"type": "float", "low": 0, "high": 1, "choices": [1]}, "a.choices: unknown key 'choices' (known: type, low, high, log, step, name)"),
            ({"type": "categorical"}, "a: missing key 'choices'"),
            ({"type": "categorical", "choices": []}, "a.choices: expected at least 1 choice, got none"),
            ({"type": "categorical", "choices": {}}, "a.choices: expected at least 1 choice, got none"),
            ({"type": "categorical", "choices": "abc"}, "a.choices: expected a list of values, or label -> value, got 'abc'"),
            ({"type": "categorical", "choice": ["a"]}, "a.choice: unknown key 'choice'; did you mean 'choices'? (known: type, choices, name)"),
            ({"type": "categorical", "choices": [64, [256]]}, "a.choices.1: a list cannot be stored as a choice: give each a label, {label: value}"),
            ({"type": "categorical", "choices": [{"x": 1}]}, "a.choices.0: a mapping cannot be stored as a choice: give each a label, {label: value}"),
            ({"type": "categorical", "choices": ["a", "b", "a"]}, "a.choices.2: given twice: item 0 is 'a' too"),
            ({"type": "categorical", "choices": [1, True]}, "a.choices.1: is equal to item 0 for Python (1 == true): give them labels, {label: value}"),
            ({"type": "categorical", "choices": [math.inf]}, "a.choices.0: inf cannot be stored as a choice: give each a label, {label: value}"),
            ({"type": "categorical", "choices": {1: "a"}}, "a.choices: a label must be text, got 1"),
            ({"type": "categorical", "choices": {"x": {"v": {"type": "float", "low": 1, "high": 0}}}}, "a.choices.x.v.low: must be <= high (0.0), got 1.0"),
            ({"type": "categorical", "choices": {"x": {"v.w": 1, "v": 2}}}, "a.choices.x.v: given twice in this choice"),
            ({"type": "float", "low": 0, "high": 1, "name": ""}, "a.name: must have at least 1 characters, got ''"),
            (0.5, "a: expected {type: float|int|categorical, ...}, a function of the trial or a mapping of them, got 0.5; what does not move belongs into the base configuration"),
            ([1, 2], "a: expected {type: float|int|categorical, ...}, a function of the trial or a mapping of them, got a list; what does not move belongs into the base configuration"),
            ({}, "a: expected {type: float|int|categorical, ...}, a function of the trial or a mapping of them, got an empty mapping"),
        ],
    )  # fmt: skip
    def test_a_description(self, leaf, message):
        assert said({"a": leaf}) == f"search_space: {message}"
        assert [problem.message for problem in space_problems({"a": leaf})] == [message.partition(": ")[2]]

    @pytest.mark.parametrize(
        ("space", "message"),
        [
            ({}, "has no parameter to tune"),
            ([FLOAT], "expected a mapping of keys to parameters, got a list"),
            ({1: FLOAT}, "a key must be text, got 1"),
            ({"a..b": FLOAT}, "a path has a name on both sides of each dot, got 'a..b'"),
            ({"a.b": FLOAT, "a": {"b": INT}}, "a.b: is tuned already, further up"),
            ({"a": {"type": "categorical", "choices": ["x"]}, "a.b": FLOAT}, "a.b: lies inside a, which is a parameter as a whole"),
            ({"a": {**FLOAT, "name": "w"}, "b": {**INT, "name": "w"}}, "b: 'w' is float 0.1 to 5.0, by factors at a and int 1 to 9 in steps of 2 here: give it a name of its own"),
        ],
    )  # fmt: skip
    def test_a_tree(self, space, message):
        assert said(space) == f"search_space: {message}"

    def test_everything_is_said_at_once(self):
        lines = said({"a": {"type": "flot"}, "b": {"type": "int", "low": 3, "high": 1}, "c": 7}).splitlines()
        assert [line.split(": ")[1] for line in lines] == ["a", "b.low", "c"]

    def test_a_file_is_told_by_line_and_column(self, tmp_path):
        path = tmp_path / "tune.yaml"
        path.write_text(
            "name: x\nsearch_space:\n  ppo.clip:\n    type: float\n    low: 0.3\n    high: 0.1\n  ppo:\n    lr: {type: flot}\n"
        )
        data, source = read_config(path)
        with pytest.raises(ConfigError) as caught:
            SearchSpace.parse(data["search_space"], source, ("search_space",))
        assert str(caught.value).splitlines() == [
            f"{path}:5:5: search_space.ppo.clip.low: must be <= high (0.1), got 0.3",
            f"{path}:8:10: search_space.ppo.lr: unknown 'type' 'flot'; did you mean 'float'? (known: categorical, float, int)",
        ]


class TestFunctions:
    def check(self, **space) -> str:
        with pytest.raises(ConfigError) as caught:
            SearchSpace.parse(space).parameters()
        return str(caught.value)

    def test_that_fails(self):
        message = self.check(a=lambda trial: 1 / 0)
        assert message.startswith(
            "search_space: a: the function failed (ZeroDivisionError: division by zero); it is in "
        )
        assert "\n" not in message

    def test_that_takes_no_trial(self):
        assert "search_space: a: the function failed (TypeError: " in self.check(a=lambda: 1)

    def test_that_gives_optuna_a_bad_range(self):
        assert "`low <= high` must hold" in self.check(a=lambda trial: trial.suggest_float("a", 2, 1))

    def test_that_chooses_between_what_cannot_be_stored(self):
        message = self.check(a=lambda trial: trial.suggest_categorical("net", [[64], [256, 256]]))
        assert "choices of 'net' must be null, booleans, numbers or text, got list: draw a label" in message

    @pytest.mark.parametrize("function", [lambda trial: 0.5, lambda trial: trial.suggest_float])
    def test_that_ignores_the_trial(self, function):
        assert self.check(a=function, b=lambda t: t.suggest_int("b", 0, 3)) == (
            "search_space: a: the function asks the trial for nothing: what it returns never moves"
        )

    def test_that_ignores_the_trial_inside_of_a_choice(self):
        space = {"type": "categorical", "choices": {"x": {"v": lambda trial: 3}, "y": 1}}
        assert "a.choices.x.v: the function asks the trial for nothing" in self.check(a=space)

    def test_that_reads_what_another_has_drawn_is_no_mistake(self):
        space = {
            "a": lambda t: t.suggest_float("w", 0, 1),
            "b": lambda t: 1 - t.params["w"],
            "c": lambda t: t.suggest_float("w", 0, 1),
        }
        names = [parameter.name for parameter in SearchSpace.parse(space).parameters()]
        assert names == ["w"]

    def test_two_that_use_one_name_for_different_things(self):
        message = self.check(a=lambda t: t.suggest_float("w", 0, 1), b=lambda t: t.suggest_float("w", 0, 2))
        assert message == (
            "search_space: b: 'w' is float 0.0 to 1.0 at a and float 0.0 to 2.0 here: give it a name of its own"
        )

    def test_one_that_uses_the_name_of_a_leaf(self):
        message = self.check(a={"type": "int", "low": 0, "high": 2}, b=lambda t: t.suggest_float("a", 0, 2))
        assert "'a' is int 0 to 2 at a and float 0.0 to 2.0 here" in message

    def test_a_range_may_move_and_choices_may_not(self):
        moving = lambda t: t.suggest_int("b", 0, t.suggest_int("a", 1, 3))  # noqa: E731
        assert {p.name for p in SearchSpace.parse({"a": moving}).parameters()} == {"a", "b"}
        message = self.check(a=lambda t: t.suggest_categorical("b", list(range(1 + t.suggest_int("a", 1, 3)))))
        assert (
            "the function asks for 'b' as one of 0, 1 and then as one of 0, 1, 2, 3: a study knows one of them"
            in message
        )

    def test_nothing_moves(self):
        message = self.check(a={"type": "int", "low": 3, "high": 3}, b={"type": "categorical", "choices": ["x"]})
        assert message == "search_space: has nothing to tune: every parameter has one value"


class TestFingerprint:
    def of(self, space) -> dict:
        return SearchSpace.parse(space).fingerprint()

    def test_it_is_plain_json(self):
        space = {
            "a": FLOAT,
            "b": {"type": "categorical", "choices": {"x": {"v": (1, math.inf), "w": INT}, "y": None}},
            "c": lambda t: t.suggest_int("c", 0, 2),
        }
        assert json.loads(json.dumps(self.of(space), allow_nan=False)) == self.of(space)

    @pytest.mark.parametrize(
        "other",
        [
            {"a": {**FLOAT, "high": 5.1}},
            {"a": {**FLOAT, "log": False}},
            {"a": {**FLOAT, "name": "w"}},
            {"b": FLOAT},
            {"a": FLOAT, "b": INT},
            {"a": lambda t: t.suggest_float("a", 0.1, 5.0, log=True)},
        ],
    )
    def test_another_space_has_another(self, other):
        assert self.of(other) != self.of({"a": FLOAT})

    def test_a_function_counts_by_what_it_asks_for(self):
        def asking(high):
            return {"a": lambda t: -t.suggest_float("a", 0, high)}

        assert self.of(asking(1)) == self.of({"a": lambda t: t.suggest_float("a", 0, 1)}) != self.of(asking(2))

    def test_what_a_label_stands_for_counts(self):
        def labelled(value):
            return {"a": {"type": "categorical", "choices": {"x": value, "y": 0}}}

        assert self.of(labelled([1])) != self.of(labelled([2]))

    def test_the_order_of_places_does_not_count(self):
        assert self.of({"a": FLOAT, "b": INT}) == self.of({"b": INT, "a": FLOAT})


names = st.sampled_from(["a", "b", "c", "d"])
numbers = st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 3))


@st.composite
def ranges(draw) -> dict:
    low, high = sorted((draw(numbers), draw(numbers)))
    kind = draw(st.sampled_from(["float", "int", "log", "step"]))
    if kind == "float":
        return {"type": "float", "low": low, "high": high}
    if kind == "log":
        return {"type": "float", "low": abs(low) + 0.01, "high": abs(low) + 0.01 + high - low, "log": True}
    if kind == "step":
        step, count = draw(st.sampled_from([0.1, 0.25, 3.0])), draw(st.integers(1, 20))
        return {"type": "float", "low": 0.0, "high": round(step * count, 6), "step": step}
    return {"type": "int", "low": math.floor(low), "high": math.ceil(high)}


@st.composite
def choices(draw, inner) -> dict:
    labels = draw(st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, max_size=3, unique=True))
    return {
        "type": "categorical",
        "choices": {label: draw(st.dictionaries(names, inner, max_size=2)) for label in labels},
    }


leaves = st.recursive(ranges(), lambda inner: choices(inner), max_leaves=4)
trees = st.dictionaries(names, st.recursive(leaves, lambda inner: st.dictionaries(names, inner, min_size=1, max_size=3), max_leaves=6), min_size=1, max_size=3)  # fmt: skip


def in_range(spec: dict, value: object) -> bool:
    if spec["type"] == "categorical":
        return isinstance(value, dict) and any(
            set(tree) == set(value) and all(in_range(tree[key], value[key]) for key in tree)
            for tree in spec["choices"].values()
        )
    kind = float if spec["type"] == "float" else int
    return isinstance(value, kind) and spec["low"] <= value <= spec["high"]


def at(tree: dict, path: tuple) -> dict:
    for part in path:
        tree = tree[part]
    return tree


def flat(tree: dict, prefix: str = "") -> dict:
    found = {}
    for key, value in tree.items():
        if "type" in value:
            found[f"{prefix}{key}"] = value
        else:
            found.update(flat(value, f"{prefix}{key}."))
    return found


class TestProperties:
    @relaxed
    @given(trees, st.integers(0, 2**31))
    def test_what_is_drawn_lies_in_its_range(self, tree, seed):
        space = SearchSpace.parse(tree)
        values = DryValues(seed)
        for number in range(4):
            for path, value in space.suggest(DryTrial(values, number)).items():
                assert in_range(at(tree, path), value)

    @relaxed
    @given(trees, st.integers(0, 1000))
    def test_optunas_own_trials_draw_from_it_too(self, tree, seed):
        space = SearchSpace.parse(tree)
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        optuna.logging.set_verbosity(verbosity)
        trial = study.ask()
        drawn = space.suggest(trial)
        assert all(in_range(at(tree, path), value) for path, value in drawn.items())
        assert space.suggest(optuna.trial.FixedTrial(trial.params)) == drawn

    @relaxed
    @given(trees)
    def test_dot_paths_are_trees(self, tree):
        dots, tree_ = SearchSpace.parse(flat(tree)), SearchSpace.parse(tree)
        assert {leaf.path: leaf.name for leaf in dots.leaves} == {leaf.path: leaf.name for leaf in tree_.leaves}
        params = DryTrial(DryValues(1))
        assert tree_.suggest(params) == dots.suggest(DryTrial(DryValues(1)))

    @relaxed
    @given(trees, trees)
    def test_fingerprints_are_equal_where_spaces_are(self, first, second):
        def key(tree):
            return json.dumps(flat(tree), sort_keys=True)

        def print_of(tree):
            with contextlib.suppress(ConfigError):  # nothing to tune
                return SearchSpace.parse(tree).fingerprint()
            return None

        a, b = print_of(first), print_of(second)
        if a is not None and b is not None:
            assert (a == b) == (key(first) == key(second))


scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from(["float", "int", "categorical", "flot", "", "x"])  # fmt: skip
words = st.sampled_from(["type", "low", "high", "log", "step", "choices", "name", "a", "a.b", "b", "", "lo", "typ"])
nonsense = st.recursive(
    scalars | st.just(len),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.integers(0, 1), inner, max_size=4),
    max_leaves=12,
)


class TestNonsense:
    @settings(deadline=None, max_examples=300)
    @given(st.dictionaries(words, nonsense, max_size=4))
    def test_it_is_read_or_refused_in_whole_lines(self, data):
        space, refused = None, ""
        try:
            space = SearchSpace.parse(data)
            space.parameters()
        except ConfigError as error:
            refused = str(error)
        assert all(line.startswith("search_space: ") for line in refused.splitlines())
        if not refused:
            assert space.fingerprint() == SearchSpace.parse(data).fingerprint()


class TestDryValues:
    def test_ends_come_first_and_every_choice_before_any_again(self):
        values, space = DryValues(), SearchSpace.parse({"a": FLOAT, "b": {"type": "categorical", "choices": [1, 2, 3]}})
        drawn = [space.suggest(DryTrial(values)) for _ in range(6)]
        assert [one["a",] for one in drawn[:2]] == [0.1, 5.0]
        assert sorted(one["b",] for one in drawn[:3]) == sorted(one["b",] for one in drawn[3:]) == [1, 2, 3]

    def test_the_same_seed_gives_the_same(self):
        space = SearchSpace.parse({"a": FLOAT, "b": INT})
        assert space.dry_run(seed=3).drawn == space.dry_run(seed=3).drawn != space.dry_run(seed=4).drawn
