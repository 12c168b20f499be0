import copy
import gzip
import json
import pickle
import sys
import tracemalloc
import types
from pathlib import Path

import numpy as np
import pytest

from rlenvs.envs.protocols.steps import task_goals
from rlenvs.errors import DataError, MissingExtraError, ParameterError, UserError
from rlenvs.graders import grade
from rlenvs.problems import ConversationSource, CurriculumSource, DatasetsSource, JsonlSource, TextPromptSource
from rlenvs.problems.record_formats import calculations, detect_format

GSM8K = {"question": "3 bags of 6 marbles. How many?", "answer": "3*6=<<3*6=18>>18 marbles.\n#### 18"}
MATH = {"problem": "What is $\\frac12+\\frac14$?", "solution": "It is $\\boxed{\\frac{3}{4}}$.", "level": "Level 1"}
MMLU = {"question": "Largest planet?", "choices": ["Mars", "Venus", "Jupiter", "Earth"], "answer": 2}
ARC = {"question": "Largest planet?", "choices": {"text": ["Mars", "Jupiter"], "label": ["1", "2"]}, "answerKey": "2"}
BY_TEXT = {"question": "Largest planet?", "options": {"A": "Mars", "B": "Jupiter"}, "answer": "Jupiter"}
PLAIN = {"prompt": "Capital of Peru?", "answer": "Lima"}
NUMBER = {"input": "6*7?", "target": 42}

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def only(path, row, **parameters):
    (problem,) = JsonlSource(written(path, [row]), held_out_fraction=0.0, **parameters).problems("train")
    assert grade(problem.task, problem.demonstration).correct
    return problem


@pytest.mark.parametrize(
    ("row", "kind", "task_type", "gold", "extract"),
    [
        (GSM8K, "gsm8k", "gsm8k", "18", "last_hash"),
        (MATH, "math", "math", "\\frac{3}{4}", "last_boxed"),
        ({**MATH, "answer": "\\frac{3}{4}"}, "math", "math", "\\frac{3}{4}", "last_boxed"),
        (MMLU, "mcq", "mcq", "C", "last_answer_line"),
        (ARC, "mcq", "mcq", "2", "last_answer_line"),
        (BY_TEXT, "mcq", "mcq", "B", "last_answer_line"),
        (PLAIN, "plain", "qa_exact", "Lima", "last_answer_line"),
        (NUMBER, "plain", "math", "42", "last_answer_line"),
    ],
)
def test_formats_are_recognised(tmp_path, row, kind, task_type, gold, extract):
    assert detect_format(row) == kind
    problem = only(tmp_path / "set.jsonl", row)
    assert (problem.task["type"], problem.task["gold"], problem.task["extract"]) == (task_type, gold, extract)
    assert JsonlSource(str(tmp_path / "set.jsonl"), format=kind, held_out_fraction=0.0).problems("train") == [problem]


def test_the_working_of_gsm8k_becomes_demonstration_and_steps(tmp_path):
    problem = only(tmp_path / "set.jsonl", GSM8K)
    assert problem.task["steps"] == [{"expression": "3*6", "value": "18"}]
    assert problem.demonstration == "3*6=18 marbles.\n#### 18"
    assert len(task_goals(problem)) == 1
    assert calculations("<<1/3=0.33>>") == calculations("<<5%=0.05>>") == []


@pytest.mark.parametrize(
    ("more", "difficulty"),
    [({"difficulty": 0.25}, 0.25), ({"difficulty": 1}, 1.0), ({}, 0.0)]
    # Words, stars and truth values of other people's data sets are no shares.
    + [({"difficulty": other}, 0.0) for other in ("hard", 7, -0.1, True, None, float("nan"), [0.5])],
)
@pytest.mark.parametrize("row", [GSM8K, MMLU, PLAIN])
def test_a_record_may_say_how_hard_it_is(tmp_path, row, more, difficulty):
    assert only(tmp_path / "a.jsonl", {**row, **more}).difficulty == difficulty


def test_the_levels_of_math_are_difficulties(tmp_path):
    levels = [only(tmp_path / "a.jsonl", {**MATH, "level": f"Level {level}"}).difficulty for level in range(1, 6)]
    assert levels == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert only(tmp_path / "a.jsonl", {**MATH, "level": "Level ?"}).difficulty == 0.0
    assert only(tmp_path / "a.jsonl", {**MATH, "level": "Level 5", "difficulty": 0.1}).difficulty == 0.1


def test_a_field_that_was_named_as_the_difficulty_must_be_one(tmp_path):
    path = written(tmp_path / "a.jsonl", [{**PLAIN, "meta": {"hard": 0.5}}, {**PLAIN, "meta": {"hard": "very"}}])
    assert only(tmp_path / "b.jsonl", {**PLAIN, "hard": 0.5}, difficulty_field="hard").difficulty == 0.5
    for field, message in [
        ("meta.hard", r"a\.jsonl:2: field 'meta\.hard': expected a number in \[0, 1\], got .*very"),
        ("hard", r"a\.jsonl:1: field 'hard' is missing"),
    ]:
        with pytest.raises(DataError, match=message):
            JsonlSource(path, difficulty_field=field).problems("train")


def test_a_curriculum_runs_over_a_file(tmp_path):
    rows = [{"question": f"What is {i}+1?", "answer": i + 1, "difficulty": i / 200} for i in range(200)]
    path = written(tmp_path / "a.jsonl", rows)
    source = CurriculumSource({"source": "jsonl", "path": path}, levels=4, review=0.0)
    easy = [source.sample(np.random.default_rng(seed), "train").difficulty for seed in range(50)]
    assert max(easy) < 0.35


def test_fields_can_be_named_and_nested(tmp_path):
    row = {"data": {"ask": "Capital of Peru?", "reply": "Lima"}}
    problem = only(tmp_path / "a.jsonl", row, prompt_field="data.ask", answer_field="data.reply")
    assert problem.task["gold"] == "Lima"
    row = {"ask": "Largest?", "of": ["2", "3"], "right": "B"}
    problem = only(
        tmp_path / "b.jsonl", row, prompt_field="ask", choices_field="of", answer_field="right", format="mcq"
    )
    assert problem.prompt.startswith("Largest?\nA) 2\nB) 3")


def test_the_answer_may_be_asked_for_in_another_way(tmp_path):
    problem = only(tmp_path / "a.jsonl", GSM8K, extract="last_boxed")
    assert problem.prompt.endswith("\nPut the final answer in \\boxed{}.")
    assert problem.demonstration.endswith("\\boxed{18}")
    problem = only(tmp_path / "b.jsonl", GSM8K, extract="last_marker", markers=["A:"], format_hint=False)
    assert problem.prompt == GSM8K["question"]
    assert problem.demonstration.endswith("\nA: 18")


@pytest.mark.parametrize(
    ("rows", "parameters", "message"),
    [
        (["", "{}"], {}, r":2: field 'question' is missing \(found: none\)"),
        (['{"question": "a?", "answer": "b"}', "{"], {}, r":2: not JSON"),
        (['{"question": "a?", "answer": "b"}', "[1]"], {}, r":2: expected an object"),
        (['{"question": "a?", "answr": "b"}'], {}, r":1: field 'answer' is missing; did you mean 'answr'\?"),
        (['{"question": "a?", "answer": "b"}'], {"prompt_field": "quest"}, r":1: field 'quest' is missing; did you mean 'question'\?"),
        (['{"question": " ", "answer": "b"}'], {}, r":1: field 'question' is empty"),
        (['{"question": 3, "answer": "b"}'], {}, r":1: field 'question': expected text, got 3"),
        (['{"question": "a?", "answer": ""}'], {}, r":1: field 'answer' is empty"),
        (['{"question": "a?", "answer": null}'], {}, r":1: field 'answer': expected text"),
        (['{"question": "a?", "answer": "#### x"}'], {}, r":1: field 'answer': no number behind ####"),
        (['{"question": "a?", "answer": "b"}'], {"task_type": "gsm8k"}, r":1: no answer could be graded: task gold"),
        (['{"problem": "a?", "solution": "none"}'], {"format": "math"}, r":1: no answer: neither a field 'answer'"),
        (['{"question": "a?", "choices": ["x"], "answer": "A"}'], {}, r":1: field 'choices': expected 2 to 26 options"),
        (['{"question": "a?", "choices": ["x", "y"], "answer": 2}'], {}, r":1: field 'answer': index 2 is none of 0\.\.1"),
        (['{"question": "a?", "choices": ["x", "y"], "answer": "z"}'], {}, r":1: field 'answer': 'z' is neither a label \(A, B\)"),
        (['{"question": "a?", "choices": ["x", "x"], "answer": "x"}'], {}, r":1: field 'answer': 'x' is neither"),
        (["", " "], {}, r"set.jsonl: no problems in it"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_file_and_line(tmp_path, rows, parameters, message):
    path = tmp_path / "set.jsonl"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        JsonlSource(str(path), **parameters).problems("train")
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jsonl: no such file"):
        JsonlSource(str(tmp_path / "nowhere.jsonl")).sample(np.random.default_rng(0), "train")
    (tmp_path / "bytes.jsonl").write_bytes(b'{"question": "\xff", "answer": "1"}\n')
    with pytest.raises(DataError, match=r"bytes.jsonl:1: not UTF-8 text \(byte 14 of the line\)"):
        JsonlSource(str(tmp_path / "bytes.jsonl")).problems("train")
    (tmp_path / "torn.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 5000)[:40])
    with pytest.raises(DataError, match=r"torn.jsonl.gz: cannot be read"):
        JsonlSource(str(tmp_path / "torn.jsonl.gz")).problems("train")
    with pytest.raises(
        UserError,
        match=r"format must be one of auto, gsm8k, math, mcq, humaneval, mbpp, plain, got 'gsm8'; did you mean 'gsm8k'\?",
    ):
        JsonlSource("x.jsonl", format="gsm8")
    with pytest.raises(UserError, match="task_type goes with format='plain', the format is 'math'"):
        JsonlSource("x.jsonl", format="math", task_type="math")
    with pytest.raises(UserError, match="path must be a non-empty text"):
        JsonlSource("")


def test_packed_files_with_marks_and_blank_lines_read_the_same(tmp_path):
    rows = [{"question": f"{i}+{i}?", "answer": 2 * i} for i in range(50)]
    plain = JsonlSource(written(tmp_path / "a.jsonl", rows)).problems("train")
    text = "\ufeff" + "\r\n\r\n".join(json.dumps(row) for row in rows)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    assert JsonlSource(str(tmp_path / "b.jsonl.gz")).problems("train") == plain


def test_splits_part_the_file_and_do_not_depend_on_the_order_of_lines(tmp_path):
    rows = [{"question": f"What is {i}+1?", "answer": i + 1} for i in range(300)]
    source = JsonlSource(written(tmp_path / "a.jsonl", rows), held_out_fraction=0.3)
    turned = JsonlSource(written(tmp_path / "b.jsonl", rows[::-1]), held_out_fraction=0.3)
    train, held_out = (source.problems(split) for split in ("train", "held_out"))
    assert len(train) + len(held_out) == source.size == 300
    assert {p.id for p in train} == {p.id for p in turned.problems("train")}
    assert not {p.id for p in train} & {p.id for p in held_out}
    shouted = JsonlSource(
        written(tmp_path / "c.jsonl", [{**row, "question": row["question"].upper()} for row in rows]),
        held_out_fraction=0.3,
    )
    assert [p.task["gold"] for p in shouted.problems("held_out")] == [p.task["gold"] for p in held_out]


def test_a_stream_passes_through_every_problem_before_any_comes_again(tmp_path):
    rows = [{"question": f"What is {i}+1?", "answer": i + 1} for i in range(20)]
    source = JsonlSource(written(tmp_path / "a.jsonl", rows), held_out_fraction=0.0)
    stream = source.stream("train", seed=1)
    first, second = ([next(stream).id for _ in range(20)] for _ in range(2))
    assert sorted(first) == sorted(second)
    assert len(set(first)) == 20
    assert first != second


def test_a_record_that_comes_again_is_one_problem(tmp_path):
    rows = [PLAIN, {**PLAIN, "note": 1}, {"prompt": "Capital of Peru?", "answer": "Cuzco"}, NUMBER, PLAIN]
    source = JsonlSource(written(tmp_path / "a.jsonl", rows), held_out_fraction=0.0)
    assert [p.task["gold"] for p in source.problems("train")] == ["Lima", "Cuzco", "42"]
    assert source.size == 3
    assert len({p.id for p in source.problems("train", 3)}) == 3
    prompts = TextPromptSource(["Describe a bridge.", "Describe a lake.", "Describe a bridge."], held_out_fraction=0.0)
    assert (prompts.size, len(prompts.problems("train"))) == (2, 2)
    talks = ConversationSource([{"opening": "Hi!"}, {"opening": "Hi!", "turns": ["Bye."]}, {"opening": "Hi!"}])
    assert talks.size == 2


@pytest.mark.parametrize("text", ["\ufeff\n%s", "\ufeff%s", "\ufeff \n\n%s\n\n", "%s\r\n\r\n", "\n\n%s"])
def test_byte_order_marks_and_blank_lines_hold_nothing(tmp_path, text):
    (tmp_path / "a.jsonl").write_bytes((text % json.dumps(PLAIN)).encode())
    assert JsonlSource(str(tmp_path / "a.jsonl"), held_out_fraction=0.0).size == 1
    (tmp_path / "b.jsonl").write_bytes("\ufeff\n".encode())
    with pytest.raises(DataError, match=r"b\.jsonl: no problems in it"):
        _ = JsonlSource(str(tmp_path / "b.jsonl")).size


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "a", "answer": NaN}', r":1: field 'answer': expected text or a finite number, got nan"),
        ('{"question": "a", "answer": -1e999}', r":1: field 'answer': expected text or a finite number, got -inf"),
        ('{"question": "a", "choices": {"label": 3, "text": ["x", "y"]}, "answer": "A"}', r"field 'choices': expected"),
        ('{"question": "a", "choices": {"label": "AB", "text": "xy"}, "answer": "A"}', r"'A' is neither a label"),
    ],
)
def test_values_that_are_no_answers_are_refused(tmp_path, line, message):
    (tmp_path / "a.jsonl").write_text(line)
    with pytest.raises(DataError, match=message):
        _ = JsonlSource(str(tmp_path / "a.jsonl")).size


def test_a_path_that_no_file_can_have_is_refused():
    for make in (JsonlSource, TextPromptSource, ConversationSource):
        with pytest.raises(ParameterError, match=r"must be the name of a file, got 'a\\x00b\.jsonl'"):
            make("a\0b.jsonl")


def test_a_large_file_stays_on_disk(tmp_path):
    filler = "x" * 4000
    path = written(tmp_path / "big.jsonl", [{"question": f"{i}? {filler}", "answer": i} for i in range(5000)])
    source = JsonlSource(path, held_out_fraction=0.0)
    tracemalloc.start()
    try:
        source.sample(np.random.default_rng(0), "train")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert Path(path).stat().st_size > 20_000_000
    assert held < 7_000_000  # most of it the questions that the graders remember, whose number is bounded
    assert pickle.loads(pickle.dumps(source)).size == 5000  # noqa: S301 - its own


@pytest.mark.skipif(not (DATA / "gsm8k_train_1000.jsonl").exists(), reason="the published data are not there")
def test_every_gold_answer_of_real_data_is_accepted():
    source = JsonlSource(str(DATA / "gsm8k_train_1000.jsonl"))
    problems = source.problems("train") + source.problems("held_out")
    assert len(problems) == 1000
    assert all(grade(problem.task, problem.demonstration).correct for problem in problems)
    with_steps = [problem for problem in problems if "steps" in problem.task]
    assert len(with_steps) > 850
    assert all(task_goals(problem) for problem in with_steps)


class FakeDatasets(types.ModuleType):
    """What `DatasetsSource` uses of the library."""

    def load_dataset(self, path, name, split):
        if path != "toy/sums":
            raise FileNotFoundError(path)
        return [{"question": f"{i}+{len(split)}?", "answer": f"#### {i + len(split)}", "name": name} for i in range(40)]

    def load_from_disk(self, path):
        return {"train": self.load_dataset("toy/sums", None, "train"), "test": []}


def test_data_sets_of_the_library_read_like_files(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", FakeDatasets("datasets"))
    source = DatasetsSource("toy/sums", subset="main", data_split="test", held_out_fraction=0.5)
    assert source.size == 40
    for split in ("train", "held_out"):
        assert all(grade(p.task, p.demonstration).correct for p in source.problems(split))
    (tmp_path / "dataset_dict.json").write_text("{}")
    assert DatasetsSource(str(tmp_path), held_out_fraction=0.0).size == 40
    with pytest.raises(DataError, match=r"no split 'trian'; did you mean 'train'\? \(found: train, test\)"):
        _ = DatasetsSource(str(tmp_path), data_split="trian").size
    with pytest.raises(DataError, match=r":test: no problems in it"):
        _ = DatasetsSource(str(tmp_path), data_split="test", format="gsm8k").size
    with pytest.raises(DataError, match=r"toy/products:train: cannot be loaded \(FileNotFoundError: toy/products\)"):
        _ = DatasetsSource("toy/products").size
    with pytest.raises(DataError, match=r"toy/sums:train\[0\]: field 'q' is missing"):
        _ = DatasetsSource("toy/sums", prompt_field="q").size


def test_the_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    source = DatasetsSource("toy/sums")
    with pytest.raises(MissingExtraError, match="datasets is not installed: the source datasets needs it") as failed:
        source.sample(np.random.default_rng(0), "train")
    assert "pip install 'rlenvs[datasets]'" in str(failed.value)


def saved_sets(path):
    """Two data sets written by the real library, a plain one and one of two splits."""
    datasets = pytest.importorskip("datasets")
    rows = [{"question": f"What is {i}+1?", "answer": f"#### {i + 1}", "difficulty": i / 40} for i in range(40)]
    datasets.disable_progress_bars()
    table = datasets.Dataset.from_list(rows)
    table.save_to_disk(path / "plain")
    datasets.DatasetDict({"train": table, "test": table.select(range(5))}).save_to_disk(path / "splits")
    datasets.Dataset.from_list(rows, split="test").save_to_disk(path / "test")


def test_data_sets_that_the_real_library_saved_are_read(tmp_path):
    saved_sets(tmp_path)
    source = DatasetsSource(str(tmp_path / "plain"), held_out_fraction=0.25)
    train, held_out = source.problems("train"), source.problems("held_out")
    assert len(train) + len(held_out) == source.size == 40
    assert all(grade(p.task, p.demonstration).correct for p in train + held_out)
    assert {p.difficulty for p in train + held_out} == {i / 40 for i in range(40)}
    for copied in (pickle.loads(pickle.dumps(source)), copy.deepcopy(source)):  # noqa: S301 - its own
        assert copied.problems("train") == train
    assert DatasetsSource(str(tmp_path / "splits"), data_split="test", held_out_fraction=1.0).size == 5
    assert DatasetsSource(str(tmp_path / "test"), data_split="test", held_out_fraction=1.0).size == 40


def test_a_split_or_subset_that_a_saved_data_set_lacks_is_refused(tmp_path):
    saved_sets(tmp_path)
    for parameters, message in [
        ({"path": "splits", "data_split": "tset"}, r"no split 'tset'; did you mean 'test'\? \(found: train, test\)"),
        ({"path": "plain", "data_split": "test"}, "it was saved without splits: leave data_split at 'train'"),
        ({"path": "test"}, r"no split 'train' \(found: test\)"),
        ({"path": "plain", "subset": "main"}, "subset='main' is for data sets of the hub: a saved one has no subsets"),
        ({"path": "plain", "prompt_field": "q"}, r"plain:train\[0\]: field 'q' is missing"),
    ]:
        with pytest.raises(DataError, match=message):
            _ = DatasetsSource(**{**parameters, "path": str(tmp_path / parameters["path"])}).size


def test_prompts_come_from_lists_and_files(tmp_path):
    prompts = ["Describe a bridge.", "Describe a lake."]
    (tmp_path / "a.txt").write_text("Describe a bridge.\n\n  Describe a lake.  \n")
    rows = [{"text": prompt, "good": "It is long."} for prompt in prompts]
    listed = TextPromptSource(prompts, held_out_fraction=0.0).problems("train")
    lines = TextPromptSource(str(tmp_path / "a.txt"), held_out_fraction=0.0).problems("train")
    objects = TextPromptSource(
        written(tmp_path / "a.jsonl", rows),
        prompt_field="text",
        demonstration_field="good",
        system="Be brief.",
        held_out_fraction=0.0,
    ).problems("train")
    assert [p.prompt for p in listed] == prompts
    assert lines == listed
    assert [p.id for p in objects] == [p.id for p in listed]
    assert (objects[0].demonstration, objects[0].task["system"]) == ("It is long.", "Be brief.")
    with pytest.raises(DataError, match=r"a.jsonl:1: field 'prompt' is missing"):
        TextPromptSource(str(tmp_path / "a.jsonl")).problems("train")
    with pytest.raises(DataError, match=r"b\.txt: no such file"):
        TextPromptSource(str(tmp_path / "b.txt")).problems("train")


def test_conversations_come_from_lists_and_files(tmp_path):
    talks = [{"opening": "Hi!", "turns": ["Why?", "Bye."], "system": "Be kind."}, {"opening": "Hello."}]
    listed = ConversationSource(talks, held_out_fraction=0.0).problems("train")
    read = ConversationSource(written(tmp_path / "a.jsonl", talks), held_out_fraction=0.0).problems("train")
    assert listed == read
    assert listed[0].task == {
        "type": "conversation",
        "question": "Hi!",
        "turns": ["Why?", "Bye."],
        "system": "Be kind.",
    }
    assert listed[1].task["turns"] == []
    for record, message in [
        ({"opening": "Hi!", "turn": []}, r"conversations\[0\]: unknown field 'turn'; did you mean 'turns'\?"),
        ({"turns": []}, r"conversations\[0\]: field 'opening': expected a text, got None"),
        ({"opening": "Hi!", "turns": ["", "x"]}, r"conversations\[0\]: field 'turns': expected a list of texts"),
        ({"opening": "Hi!", "system": 3}, r"conversations\[0\]: field 'system': expected a text, got 3"),
        ("Hi!", r"conversations\[0\]: expected an object"),
    ]:
        with pytest.raises(DataError, match=message):
            ConversationSource([record]).problems("train")
