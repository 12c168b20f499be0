"""What a person sees of a supervised run: losses where reinforcement learning has rewards."""

import io
import json

from rlenvs.agents.reporting import RunPlan, write_report
from rlenvs.agents.reporting.frame import DashboardState, build_frame
from rlenvs.agents.reporting.plain import PlainView, iteration_line
from rlenvs.agents.reporting.view import MetricHistory

PLAN = RunPlan(name="start", run_dir="runs/start", iterations=40, model="tiny", parameters=1_200)
ROWS = [
    {"iteration": 0, "epoch": 0.0, "tokens": 0, "loss/held_out": 2.5, "accuracy/greedy": 0.02, "accuracy/sampled": 0.01},
    {"iteration": 1, "epoch": 0.25, "loss/train": 2.25, "grad_norm": 3.5, "learning_rate": 1e-3, "time/tokens_per_second": 900.0},
    {"iteration": 2, "epoch": 0.5, "loss/train": 0.75, "loss/held_out": 0.5, "grad_norm": 1.5, "learning_rate": 1e-3,
     "accuracy/greedy": 0.61, "accuracy/sampled": 0.4, "time/tokens_per_second": 950.0, "time/elapsed": 61.0},
]  # fmt: skip


def test_a_step_as_one_line():
    assert iteration_line(ROWS[2], 2, PLAN, left=60.0) == (
        "step  2/40 | epoch 0.50 | loss 0.750 | held out 0.500 | greedy 61.0% | sampled 40.0% | train - | "
        "gradient 1.500 | tok/s 950.0 | left 1m00s"
    )


def test_plain_lines_name_no_reward():
    stream = io.StringIO()
    view = PlainView(stream)
    view.start(PLAN)
    for row in ROWS:
        view.update(dict(row))
    assert "reward" not in stream.getvalue()
    assert "step 0/40 | epoch 0.00 | loss - | held out 2.5" in stream.getvalue()


def test_the_live_view_shows_losses_before_and_now():
    state = DashboardState(PLAN, MetricHistory([dict(row) for row in ROWS]))
    lines = [line.plain for line in build_frame(state, 100, 30)]
    (learned,) = [line for line in lines if line.startswith("demonstrations learned")]
    (aside,) = [line for line in lines if line.startswith("demonstrations set as")]
    assert learned.split()[2:5] == ["-", "0.750", "0.750"]
    assert aside.split()[3:6] == ["2.500", "0.500", "0.500"]
    assert not [line for line in lines if "reward" in line]
    for height in range(1, 16):
        assert len(build_frame(state, 60, height)) <= max(1, height - 1)


def test_the_page_has_losses_and_leaves_out_what_there_is_not(tmp_path):
    (tmp_path / "config.yaml").write_text("name: start\nsft: {epochs: 1}\n")
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "<h2>Loss and accuracy</h2>" in page
    assert "Held-out accuracy rose from 2.0% to 61.0%." in page
    assert "2 steps" in page
    for absent in ("Reward components", "Shaped reward", 'href="#rollouts"', "No rollout", "Clipped tokens"):
        assert absent not in page
