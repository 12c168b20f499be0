"""`rlenvs envs`: every registered id, in three forms."""

import json

import gymnasium as gym

from rlenvs.cli import main
from rlenvs.registration import ENVIRONMENTS, environment_table, markdown_table


def test_the_table_has_a_line_per_id(capsys):
    assert main(["envs"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["id", "source", "grader", "protocol", "description"]
    assert [line.split()[0] for line in lines] == [row.id for row in ENVIRONMENTS]
    assert {line.split()[0] for line in lines} <= gym.registry.keys()


def test_json_is_the_table_as_data(capsys):
    assert main(["envs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == environment_table()


def test_markdown_is_the_table_of_the_pages(capsys):
    assert main(["envs", "--markdown"]) == 0
    assert capsys.readouterr().out == markdown_table() + "\n"


def test_one_form_at_a_time(capsys):
    assert main(["envs", "--json", "--markdown"]) == 2
    assert capsys.readouterr().err.startswith("rlenvs: argument --markdown: not allowed with argument --json")
