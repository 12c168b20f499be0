"""How a run of Stable-Baselines3 is shown: what episodes brought stands where tokens per second and KL do elsewhere."""

import io
import json
import math

import pytest

from rlenvs.agents.reporting import RunPlan, write_report
from rlenvs.agents.reporting.charts import build_sections
from rlenvs.agents.reporting.frame import DashboardState, build_frame
from rlenvs.agents.reporting.page import Change, verdict
from rlenvs.agents.reporting.plain import PlainView, iteration_line
from rlenvs.agents.reporting.view import MetricHistory

CONFIG = """\
name: sums
seed: 3
device: cpu
env: {id: rlenvs/ArithmeticTokens-v0}
algorithm: {name: dqn, total_timesteps: 8192}
policy: {features: gru}
"""
PLAN = RunPlan(name="sums", run_dir="runs/sums", iterations=4, components=("right",), model="DQN", parameters=1234)


def agent_rows(held_out: bool = True) -> list[dict[str, float]]:
    """Metrics as a run of four iterations writes them: true returns from 0.1 to 0.4, shaped ones from 0.3 to 0.6."""
    start: dict[str, float] = {"iteration": 0, "step": 0, "return/greedy": 0.0, "accuracy/problems": 10}
    rows = [start | ({"accuracy/greedy": 0.0} if held_out else {})]
    for iteration in range(1, 5):
        true = iteration / 10
        row: dict[str, float] = {
            "iteration": iteration, "step": 2048 * iteration, "rounds": 2,
            "return/true": true, "return/shaped": true + 0.2, "accuracy/train": true, "length/mean": 3.0,
            "reward/total": true / 3, "reward/env": true / 3, "reward/potential": 0.0,
            "component/right/raw": true / 3, "component/right/contribution": true / 3, "weight/right": 1.0,
            "failures/right": 0.0, "invalid/right": 2.0, "loss": 0.5, "exploration_rate": 0.25, "learning_rate": 1e-3,
            "time/rollout": 1.0, "time/update": 2.0, "time/env": 0.25, "time/steps_per_second": 700.0,
        }  # fmt: skip
        rows.append(row)
    rows[-1] |= {"return/greedy": 0.5} | ({"accuracy/greedy": 0.5} if held_out else {})
    return rows


def series(section: str, title: str) -> dict[str, list[float]]:
    (found,) = [part for part in build_sections(agent_rows(), None) if part.anchor == section]
    (panel,) = [entry for entry in found.panels if entry.title == title]
    return {line.name: [y for _, y in line.points] for line in panel.series}


def test_true_and_shaped_returns_are_two_lines_of_one_chart():
    lines = series("learning", "Return")
    assert lines["training, true"] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert lines["training, shaped"] == pytest.approx([0.3, 0.4, 0.5, 0.6])
    assert lines["held-out, greedy"] == [0.0, 0.5]
    assert series("lengths", "Time per iteration")["of them environments"] == [0.25] * 4
    assert series("policy", "Exploration")["exploration"] == [0.25] * 4


def test_charts_of_what_an_agent_has_not_are_left_out():
    sections = {
        section.anchor: [panel.title for panel in section.panels] for section in build_sections(agent_rows(), None)
    }
    assert sections["policy"] == ["Exploration", "Loss", "Learning rate"]
    assert "Cut answers" not in sections["lengths"]


def test_the_page_names_algorithm_and_features(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in agent_rows()))
    page = write_report(tmp_path).read_text()
    assert "environment rlenvs/ArithmeticTokens-v0 · algorithm dqn · features gru · device cpu · seed 3" in page
    assert "Held-out accuracy rose from 0.0% to 50.0%, along with the shaped reward." in page
    assert "True return per episode" in page
    assert "Shaped return per episode" in page
    assert "Shaped reward, mean per step" not in page


def test_without_right_answers_the_true_return_of_held_out_problems_is_the_verdict(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in agent_rows(held_out=False)))
    page = write_report(tmp_path).read_text()
    assert "On held-out problems the true return went from 0 to 0.500. No answer is right or wrong there." in page


def test_learning_by_heart_is_told_from_gaming_the_reward():
    still, up, flat = Change(0.2, 0.2, 0), Change(0.0, 0.6, 0), Change(0.1, 0.1, 0)
    sentence, warn = verdict(still, up, up)
    assert sentence.endswith(
        "held-out accuracy did not move (20.0% to 20.0%): the policy knows its training problems by heart."
    )
    assert warn
    sentence, warn = verdict(still, up, flat)
    assert "may be gaming the reward" in sentence
    assert verdict(Change(0.2, 0.5, 0), up, up) == verdict(Change(0.2, 0.5, 0), up)


def test_a_line_has_returns_and_steps_per_second():
    line = iteration_line(agent_rows()[-1], 4, PLAN, 12.0)
    assert line == (
        "iter 4/4 | step 8.19k | greedy 50.0% | sampled - | train 40.0% | return +0.400 | shaped +0.600 | entropy - | "
        "tokens 3.000 | steps/s 700.0 | left 12s | parts right +0.133"
    )
    out = io.StringIO()
    view = PlainView(out)
    view.start(PLAN)
    for row in agent_rows():
        view.update(row)
    assert "DQN (1.23k parameters)" in out.getvalue()


def test_the_live_view_has_rows_of_returns():
    state = DashboardState(PLAN, MetricHistory(agent_rows()))
    text = [row.plain for row in build_frame(state, 100, 40)]
    (true,) = [row for row in text if row.startswith("training, true")]
    assert true.split()[2:5] == ["+0.100", "+0.400", "+0.400"]
    assert any(row.startswith("return per episode") for row in text)
    assert any("exploration 25.0%" in row for row in text)
    assert any("700.0 steps/s" in row for row in text)


@pytest.mark.parametrize("height", range(3, 40))
def test_the_live_view_fits_every_height(height):
    state = DashboardState(
        PLAN, MetricHistory(agent_rows()), phase="evaluating", fraction=math.nan if height == 3 else 0.5
    )
    state.fraction = None
    assert len(build_frame(state, 80, height)) <= max(1, height - 1)
