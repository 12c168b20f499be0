import copy
import json
import pickle

import numpy as np
import pytest

from rlenvs.envs.collation import ColumnTable, collate
from rlenvs.envs.deferred import DeferredInfos, DeferredTable

CONTENT = {"score": 1.0, "task": {"gold": "4"}}


def infos():
    return DeferredInfos(lambda: dict(CONTENT))


@pytest.mark.parametrize(
    "look",
    [
        lambda i: i["score"] == 1.0,
        lambda i: "score" in i and "other" not in i,
        lambda i: len(i) == 2 and bool(i),
        lambda i: list(i) == ["score", "task"],
        lambda i: list(reversed(i)) == ["task", "score"],
        lambda i: list(i.keys()) == ["score", "task"],
        lambda i: list(i.values()) == list(CONTENT.values()),
        lambda i: list(i.items()) == list(CONTENT.items()),
        lambda i: i.get("score") == 1.0 and i.get("other", 5) == 5,
        lambda i: i.pop("score") == 1.0 and "score" not in i,
        lambda i: i.popitem() == ("task", {"gold": "4"}),
        lambda i: i.setdefault("score", 2.0) == 1.0,
        lambda i: i == CONTENT and i == infos(),
        lambda i: i != {} and not (i != infos()),  # noqa: SIM202
        lambda i: CONTENT == i,  # noqa: SIM300
        lambda i: repr(i) == repr(CONTENT) and f"{i}" == str(CONTENT),
        lambda i: {**i} == CONTENT,
        lambda i: dict(i) == CONTENT and type(i.copy()) is dict,
        lambda i: dict(**i) == CONTENT,
        lambda i: i | {"a": 1} == {**CONTENT, "a": 1},
        lambda i: {"a": 1} | i == {"a": 1, **CONTENT},
        lambda i: json.loads(json.dumps(i)) == CONTENT,
        lambda i: json.loads(json.dumps({"infos": [i]}, indent=1)) == {"infos": [CONTENT]},
        lambda i: pickle.loads(pickle.dumps(i)) == CONTENT,  # noqa: S301
        lambda i: copy.copy(i) == CONTENT and copy.deepcopy(infos()) == CONTENT,
        lambda i: sorted(i) == ["score", "task"],
    ],
)
def test_the_first_look_of_any_kind_finds_an_ordinary_dict(look):
    assert look(infos())


def test_dicts_take_their_content():
    taken = {"a": 1}
    taken.update(infos())
    assert taken == {"a": 1, **CONTENT}
    grown = infos()
    grown |= {"a": 1}
    assert grown == {**CONTENT, "a": 1}


def test_what_is_written_or_removed_first_stays_so():
    changed = infos()
    changed["score"] = 0.0
    changed["new"] = 2
    del changed["task"]
    assert dict(changed) == {"score": 0.0, "new": 2}
    changed.clear()
    assert dict(changed) == {}


def test_it_is_written_once_and_only_if_somebody_looks():
    written = []
    pending = DeferredInfos(lambda: written.append(1) or {"a": 1})
    assert isinstance(pending, dict)
    assert (pending.pending, written) == (True, [])
    assert [pending["a"], pending["a"]] == [1, 1]
    assert (pending.pending, written) == (False, [1])


def test_tables_are_written_when_they_are_collated():
    calls = []

    def columns():
        calls.append(1)
        return {"a": [1, 2, 3], "b": ["x", "y", "z"]}

    rows = np.array([0, 2, 3])
    table = DeferredTable(rows, columns)
    table.add("c", lambda: np.array([0.5, 1.5, 2.5]))
    table.add("b", ["u", "v", "w"])
    picked = table.picked(np.array([True, False, True]))
    assert not calls
    plain = ColumnTable(rows, {"a": [1, 2, 3], "b": ["u", "v", "w"], "c": np.array([0.5, 1.5, 2.5])})
    for ours, theirs in ((table, plain), (picked, plain.picked(np.array([True, False, True])))):
        ours, theirs = collate([ours], 4), collate([theirs], 4)
        assert ours.keys() == theirs.keys()
        assert all((ours[key] == theirs[key]).all() for key in ours)
    assert calls == [1]
    with pytest.raises(AttributeError, match="nothing"):
        table.nothing  # noqa: B018
