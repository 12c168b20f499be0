"""Hundreds of mistakes in the shipped recipes: each is either no mistake at all, or one line with file, line and key.

The mutants are made from the text of the files, key by key, so that the lines in the messages are real ones.
"""

import functools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlenvs.config_file import parse_config
from rlenvs.errors import ConfigError
from rlenvs.wrappers.config.rewards import RewardConfig, build_pipeline

RECIPES = sorted((Path(__file__).parents[3] / "configs" / "rewards").glob("*.yaml"))

CHOICES = {
    "class", "decay_schedule", "schedule_type", "normalization", "normalization_strategy", "unit", "form", "format",
    "output_normalization_strategy", "reducer", "potential_function", "metric", "mode", "type", "relation",
}  # fmt: skip
"""Keys whose value is one of a few names; of all others, another text is another text."""
ANY_NUMBER = {
    "default_value", "correct", "incorrect", "target_reward", "reward_value", "penalty", "penalty_value",
    "penalty_per_token", "max_penalty", "min_weight",
}  # fmt: skip
"""Keys for which a hugely negative number can be meant; `initial_weight` too, where nothing lies below it."""
NEEDED = {
    "LengthPenalty": {"max_length"},
    "LengthRangePenalty": {"min"},
    "SoftOverlongPenalty": {"max_length", "cache_length"},
    "HuggingFaceRewardModel": {"model_id"},
    "InfoValueReward": {"info_key"},
    "InstructionReward": {"instructions"},
    "LLMPotentialBasedReward": {"potential_function", "potential_params"},
    "linear": {"decay_steps"},
    "linear_increase": {"decay_steps", "max_weight"},
    "exponential": {"decay_steps", "decay_rate"},
    "hybrid": {"model"},
}
"""What a class, schedule or reducer cannot do without."""
ALWAYS_NEEDED = {"class", "reward_components", "target_embedding", "type", "count", "pattern", "reducer_params"}


@dataclass(frozen=True)
class Key:
    """A key of a file, and where it and its value stand in the text."""

    path: tuple[str | int, ...]
    key: yaml.Node
    value: yaml.Node
    parent: yaml.MappingNode

    @property
    def name(self) -> str:
        return str(self.path[-1])

    @property
    def line(self) -> int:
        return self.key.start_mark.line + 1

    @property
    def end(self) -> int:
        """Where the text of the value ends; a block's own mark is where the next token begins."""
        node = self.value
        while isinstance(node, yaml.CollectionNode) and not node.flow_style:
            last = node.value[-1]
            node = last[1] if isinstance(last, tuple) else last
        return node.end_mark.index


@dataclass(frozen=True)
class Mutant:
    """A changed text, what was done to which key, and in which line."""

    kind: str
    key: Key
    text: str


def keys_of(node: yaml.Node, path: tuple[str | int, ...] = ()) -> Iterator[Key]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield Key((*path, key.value), key, value, node)
            yield from keys_of(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from keys_of(item, (*path, index))


def misspell(word: str) -> str:
    """Swap two letters in the middle that differ, or double the last one."""
    for place in range(max(len(word) // 2 - 1, 0), len(word) - 1):
        if word[place] != word[place + 1]:
            return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    return word + word[-1]


@functools.cache
def mutants(text: str) -> list[Mutant]:
    return list(each_mutant(text))


def each_mutant(text: str) -> Iterator[Mutant]:
    for key in keys_of(yaml.compose(text)):
        start, end = key.key.start_mark.index, key.key.end_mark.index
        value = key.value.start_mark.index
        yield Mutant("misspelt key", key, text[:start] + misspell(key.name) + text[end:])
        for wrong, kind in (("[[]]", "seq"), ('"text"', "str"), ("true", "bool")):
            if key.value.tag != f"tag:yaml.org,2002:{kind}":
                yield Mutant("wrong type", key, text[:value] + wrong + text[key.end :])
        if is_number(key.value):
            for number in (".nan", ".inf", "-1000000000"):
                yield Mutant("out of range", key, text[:value] + number + text[key.end :])
        if is_text(key.value):
            word = misspell(key.value.value)
            yield Mutant("misspelt value", key, text[:value] + word + text[key.end :])
        again = f"{key.name}: 1"
        again = f", {again}" if key.parent.flow_style else f"\n{' ' * key.key.start_mark.column}{again}"
        yield Mutant("duplicated", key, text[: key.end] + again + text[key.end :])
        yield Mutant("missing", key, without(text, key))


def is_number(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def is_text(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:str" and node.style is None


def without(text: str, key: Key) -> str:
    """Take a key and its value out; a mapping that would be empty becomes `{}`."""
    pairs = key.parent.value
    position = [pair[0] for pair in pairs].index(key.key)
    if len(pairs) == 1:
        begin = key.parent.start_mark.index
        return text[:begin] + "{}" + text[key.parent.end_mark.index if key.parent.flow_style else key.end :]
    if position + 1 < len(pairs):
        return text[: key.key.start_mark.index] + text[pairs[position + 1][0].start_mark.index :]
    before = pairs[position - 1]
    end_before = Key(("",), *before, key.parent).end
    return text[:end_before] + text[key.end :]


def is_legitimate(mutant: Mutant, data: dict[str, Any]) -> bool:
    """The rule of what is no mistake: another name for what is named freely, another value where any will do, and
    the absence of what can be done without.
    """
    key = mutant.key
    if mutant.kind == "misspelt key":
        return is_component(key, data) and not is_referred_to(key, data)
    if mutant.kind == "misspelt value":
        return key.name not in CHOICES
    if mutant.kind == "out of range" and "-1000000000" in mutant.text:
        above = ("linear", "exponential")  # what falls from the initial weight down
        return key.name in ANY_NUMBER or (key.name == "initial_weight" and schedule_of(section(data, key)) not in above)
    return mutant.kind == "missing" and not is_needed(key, data)


def is_guide(data: dict[str, Any]) -> bool:
    return "reward_components" not in data


def is_component(key: Key, data: dict[str, Any]) -> bool:
    return key.path[:-1] == (("reward_shaping",) if is_guide(data) else ("reward_components",))


def is_referred_to(key: Key, data: dict[str, Any]) -> bool:
    """Whether another section has the name of this component."""
    names = {} if is_guide(data) else data.get("reward_shaping", {})
    return key.name in names or key.name in data.get("composer_settings", {}).get("reducer_params", {}).get("model", [])


def section(data: Any, key: Key) -> Any:
    for part in key.path[:-1]:
        data = data[part]
    return data


def schedule_of(entry: dict[str, Any]) -> str:
    return entry.get("decay_schedule", entry.get("schedule_type", "none"))


def is_needed(key: Key, data: dict[str, Any]) -> bool:
    around = section(data, key)
    if is_component(key, data):
        return is_referred_to(key, data)
    if key.name in ALWAYS_NEEDED or (key.path == ("reward_shaping",) and is_guide(data)):
        return True
    if key.name == "params":
        return bool(NEEDED.get(around["class"], set()) & around["params"].keys())
    if key.name in ("decay_schedule", "schedule_type"):
        return bool(around.keys() - {"initial_weight", key.name})
    if key.name == "reducer":
        return "reducer_params" in around
    if key.name.endswith("normalization_strategy"):
        start = "output_" if key.name.startswith("output") else "norm_"
        return any(name.startswith(start) and name != key.name for name in around)
    if key.name == "format":
        return "pattern" in around
    if key.path[-2:-1] == ("reducer_params",):
        return key.name in NEEDED[data["composer_settings"]["reducer"]]
    if key.path[-2:-1] == ("params",):
        around = section(data, Key(key.path[:-1], key.key, key.value, key.parent))
    return key.name in NEEDED.get(around.get("class", schedule_of(around)), ())


def failure(mutant: Mutant, name: str) -> str | None:
    """Load and build; anything but a `ConfigError` fails the test."""
    try:
        build_pipeline(parse_config(RewardConfig, mutant.text, name=name))
    except ConfigError as error:
        return str(error)
    return None


LINE = r":(\d+):\d+: (?:[\w.]+: |missing key '\w+'|key '\w+' given twice)"


def complaints(mutant: Mutant, message: str, data: dict[str, Any], name: str) -> Iterator[str]:
    """Yield what is wrong with the message about a mutant."""
    key, lines = mutant.key, message.splitlines()
    places = [re.match(re.escape(name) + LINE, line) for line in lines]
    numbers = [int(place[1]) for place in places if place]
    if len(numbers) < len(lines):
        yield "a line without file, line and key"
    if len(lines) > 1 and mutant.kind in ("misspelt key", "misspelt value", "wrong type", "duplicated"):
        yield "one mistake, several lines"
    if mutant.kind == "missing":
        # Of `params`, what would be in it is named; a file without `reward_shaping` may be of the other dialect.
        if key.name not in message and key.name not in ("params", "reward_shaping"):
            yield "what is missing is not named"
        return
    renamed = mutant.kind == "misspelt key" and is_component(key, data)  # others look for the old name
    limited = mutant.kind == "out of range" and key.name == "initial_weight"  # by another key
    second = text_line(mutant.text, key.end) + (not key.parent.flow_style)
    if numbers[0] != (second if mutant.kind == "duplicated" else key.line) and not (renamed or limited):
        yield "the line of another key"
    if (
        not renamed
        and not limited
        and not is_named(misspell(key.name) if mutant.kind == "misspelt key" else key.name, lines[0])
    ):
        yield "the key is not named"
    named = {
        "misspelt key": f"did you mean {(misspell(key.name) if renamed else key.name)!r}",
        "misspelt value": f"did you mean {key.value.value!r}",
        "duplicated": f"key {key.name!r} given twice (first on line {key.line})",
    }
    if named.get(mutant.kind, "") not in message:
        yield f"it does not say: {named[mutant.kind]}"


def is_named(key: str, line: str) -> bool:
    """Whether a line is about a key: the last of its path, or the one in quotes behind the path."""
    _, _, rest = line.partition(": ")
    return rest.partition(": ")[0].rpartition(".")[2] == key or repr(key) in rest


def text_line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def test_the_recipes_are_there() -> None:
    assert len(RECIPES) >= 11
    assert sum(is_guide(yaml.safe_load(path.read_text())) for path in RECIPES) >= 1


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_mistake_in_a_recipe_is_named_with_its_place(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    wrong = []
    for mutant in mutants(text):
        message = failure(mutant, path.name)
        where = f"{mutant.kind} {'.'.join(map(str, mutant.key.path))} (line {mutant.key.line})"
        if is_legitimate(mutant, data):
            if message is not None:
                wrong.append(f"{where}: refused although it is no mistake: {message}")
        elif message is None:
            wrong.append(f"{where}: accepted")
        else:
            wrong += [f"{where}: {complaint}: {message}" for complaint in complaints(mutant, message, data, path.name)]
    assert not wrong, "\n".join(wrong)


def test_there_are_enough_mutants_of_every_kind() -> None:
    kinds = Counter(mutant.kind for path in RECIPES for mutant in mutants(path.read_text(encoding="utf-8")))
    assert sum(kinds.values()) >= 500
    assert set(kinds) == {"misspelt key", "misspelt value", "wrong type", "out of range", "duplicated", "missing"}
    assert min(kinds.values()) >= 50
    texts = [path.read_text(encoding="utf-8") for path in RECIPES]
    refused = sum(
        not is_legitimate(mutant, data) for text in texts for data in [yaml.safe_load(text)] for mutant in mutants(text)
    )
    assert refused >= 500


def test_a_mutant_differs_from_its_recipe_in_one_place() -> None:
    """A generator that changes nothing, or everything, would prove nothing."""
    text = "a:\n  b: {c: 1, d: two}\n  e: 3\n"
    found = {(mutant.kind, ".".join(map(str, mutant.key.path)), mutant.text) for mutant in mutants(text)}
    assert ("missing", "a.b.c", "a:\n  b: {d: two}\n  e: 3\n") in found
    assert ("missing", "a.b.d", "a:\n  b: {c: 1}\n  e: 3\n") in found
    assert ("missing", "a.e", "a:\n  b: {c: 1, d: two}\n") in found
    assert ("missing", "a.b", "a:\n  e: 3\n") in found
    assert ("duplicated", "a.b.d", "a:\n  b: {c: 1, d: two, d: 1}\n  e: 3\n") in found
    assert ("duplicated", "a.e", "a:\n  b: {c: 1, d: two}\n  e: 3\n  e: 1\n") in found
    assert ("out of range", "a.e", "a:\n  b: {c: 1, d: two}\n  e: .nan\n") in found
    assert ("misspelt value", "a.b.d", "a:\n  b: {c: 1, d: wto}\n  e: 3\n") in found
    assert ("wrong type", "a.b", "a:\n  b: true\n  e: 3\n") in found
