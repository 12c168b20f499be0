"""What the benchmark of the recipes says of runs: goals, spreads, the table, the page."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def _importable():
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def a_run(values, seed=0, variant="", minutes=1.0):
    from baseline_parts.running import Measured

    curve = [(1000 * (place + 1), value) for place, value in enumerate(values)]
    curves = {"return/true": curve, "accuracy/greedy": [(0, 0.0), (curve[-1][0], values[-1])]}
    return Measured(variant, seed, curve[-1][0], 60 * minutes, 60 * minutes, curves)


def test_curves_are_what_a_run_logged_thinned_to_means():
    from baseline_parts.running import curves_of, thinned

    rows = [{"step": 10 * place, "return/true": place / 300, "loss": 1.0} for place in range(301)]
    rows[5]["return/true"] = None
    rows[300]["accuracy/greedy"] = 0.5
    curves = curves_of(rows)
    assert curves["accuracy/greedy"] == [(3000, 0.5)]
    assert set(curves) == {"return/true", "accuracy/greedy"}
    assert len(curves["return/true"]) == 100
    assert curves["return/true"][-1] == (3000, pytest.approx((298 + 299 + 300) / 900, abs=1e-4))
    curve = [(place, float(place)) for place in range(7)]
    assert thinned(curve, most=7) == curve
    assert sum(3 * value for _, value in thinned(curve[:6], most=2)) == 15


def test_a_run_survives_storage():
    import json

    from baseline_parts.running import Measured

    run = a_run([0.0, 0.5], seed=3, variant="without it")
    assert Measured.from_dict(json.loads(json.dumps(run.to_dict()))) == run


def test_the_steps_to_a_goal_are_a_median_in_which_who_never_got_there_counts_as_last():
    from baseline_parts.page import goal_text
    from baseline_parts.recipes import Recipe

    recipe = Recipe("PPO", "x", goal=0.8)
    fast, slow, never = a_run([0.8, 1.0]), a_run([0.0, 0.8]), a_run([0.0, 0.1])
    assert goal_text(recipe, [fast, slow, never]) == "2,000 to 0.8 (2 of 3)"
    assert goal_text(recipe, [fast, slow]) == "1,500 to 0.8 (2 of 2)"
    assert goal_text(recipe, [fast, never, never]) == "more than 2,000 to 0.8 (1 of 3)"
    assert goal_text(recipe, [never, fast]) == "more than 2,000 to 0.8 (1 of 2)"


def test_the_page_has_what_was_measured_and_keeps_the_rest(tmp_path):
    from baseline_parts.page import write_page
    from baseline_parts.recipes import SHUFFLED

    page = tmp_path / "baselines.md"
    page.write_text("# T\n<!-- table -->\nold\n<!-- /table -->\nkept\n<!-- curves -->\n<!-- /curves -->\n")
    write_page(tmp_path, "sb3_ppo", [a_run([0.0, 0.9], 0), a_run([0.5, 1.0], 1), a_run([0.0, 0.0], 0, SHUFFLED, 2)])
    text = page.read_text()
    assert "| PPO | one-digit sums | as it ships | 2 | 0.950 ± 0.071 | 0.950 ± 0.071 |" in text
    assert (
        "| PPO | one-digit sums | rewards shuffled | 1 | 0.000 | 0.000 | more than 2,000 to 0.85 (0 of 1) | 2.0 min |"
        in text
    )
    assert "old" not in text
    assert "kept" in text
    assert "--config sb3_ppo --seeds 0 1 --control --write docs" in text
    variants = [a_run([0.9], 0, "with the potential"), a_run([0.1], 0, "without it")]
    write_page(tmp_path, "sb3_steps", variants)
    text = page.read_text()
    assert "| PPO | sums in checked steps | without it | 1 | 0.100 |" in text
    assert "baselines/sb3_ppo.svg" in text, "the other recipe is still there"
    drawing = (tmp_path / "baselines" / "sb3_steps.svg").read_text()
    assert all(said in drawing for said in ("with the potential", "without it", ">steps<"))


def test_a_page_without_its_marks_is_refused(tmp_path):
    from baseline_parts.page import replaced

    with pytest.raises(SystemExit, match="lacks the marks <!-- table -->"):
        replaced("# T\n", "table", "x")
