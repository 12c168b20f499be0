"""What the learning benchmark says of runs: means, episodes to a goal, drawings, the page."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def _importable():
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def a_run(variant, seed, values, every=10, metrics=("accuracy/train", "accuracy/greedy")):
    curve = [[place * every, value] for place, value in enumerate(values)]
    return {"variant": variant, "seed": seed, "episodes": 128, "seconds": 1, "curves": dict.fromkeys(metrics, curve)}


def test_the_mean_is_that_of_what_all_seeds_measured():
    from learning_parts.curves import mean_curve

    assert mean_curve([[(0, 0.0), (5, 1.0)], [(0, 0.5), (5, 0.5), (10, 0.9)]]) == [(0, 0.25), (5, 0.75)]


@pytest.mark.parametrize(
    ("values", "place"),
    [([0.9], 0.0), ([0.2, 0.8], 10.0), ([0.0, 0.4, 0.8, 0.1], 20.0), ([0.6, 1.0], 5.0), ([0.2, 0.79], None)],
)
def test_the_place_where_a_goal_is_first_reached(values, place):
    from learning_parts.curves import reached_at

    found = reached_at([(10 * at, value) for at, value in enumerate(values)], 0.8)
    assert found == (place if place is None else pytest.approx(place))


def test_a_drawing_stands_alone():
    from learning_parts.curves import draw

    text = draw(
        {"with <it>": [[(0, 0.0), (10, 0.5)], [(0, 0.2), (10, 0.7)]], "without": [[(0, 0.1), (10, 0.2)]]}, "A & B"
    )
    root = ElementTree.fromstring(text)
    names = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"with <it>", "without", "iteration"} <= set(names)
    lines = [element.get("class") for element in root.iter("{http://www.w3.org/2000/svg}g")]
    assert [name for name in lines if name.startswith("line")] == [
        "line c4",
        "line c4",
        "line c0",
        "line c5",
        "line c1",
    ]
    assert "var(" not in text, "the colours of a report's page are not there"


def test_the_page_has_what_was_measured_and_says_what_was_not_reached(tmp_path):
    from learning_parts.page import write_page
    from learning_parts.tasks import TASKS

    steps = TASKS["steps"]
    slow, never = a_run("without it", 0, [0.0, 0.4, 0.8]), a_run("without it", 1, [0.0, 0.1, 0.2])
    page = write_page(tmp_path, "steps", steps, [a_run("with the potential", 0, [0.0, 0.8, 1.0]), slow, never])
    text = page.read_text()
    assert "| with the potential | 0 | 0.0% → 100.0% | 0.0% → 100.0% | 1,280 |" in text
    assert "| without it | 0 | 0.0% → 80.0% | 0.0% → 80.0% | 2,560 |" in text
    assert "| without it | 1 | 0.0% → 20.0% | 0.0% → 20.0% | not reached |" in text
    assert "median: with the potential 1,280; without it 1 of 2 seeds got there." in text
    both = {metric: [[0, 0.25], [30, 0.5]] for metric in TASKS["instructions"].lines}
    write_page(tmp_path, "instructions", TASKS["instructions"], [a_run("", 3, [0.0]) | {"curves": both}])
    text = page.read_text()
    assert "| 3 | 25.0% → 50.0% | 25.0% → 50.0% | 3,840 |" in text
    assert "without it | 1" in text, "the other task is still there"
    for name in ("steps", "instructions"):
        assert f"learning/{name}.svg" in text
        assert (tmp_path / "learning" / f"{name}.svg").is_file()


def test_every_task_has_a_configuration_that_measures_what_is_drawn():
    from learning_parts.tasks import TASKS

    from rlenvs.agents.llm import TrainConfig

    for name, task in TASKS.items():
        file = FOLDER.parent / "configs" / "train" / f"{name}.yaml"
        for overrides in task.variants.values():
            config = TrainConfig.load(file, overrides)
            for metric in task.lines:
                kind, _, rest = metric.partition("/")
                assert kind == "accuracy" or rest.split("/")[0] in config.evaluation.components
