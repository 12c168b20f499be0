"""Configuration files: YAML into pydantic models, with every mistake named by file, line and key.

A model (with `extra="forbid"`) says what a configuration may hold; YAML fills it; `key.sub=value` overrides
it. All problems are reported at once, one line each, sorted by place:

```
run.yaml:2:3: ppo.clp: unknown key 'clp'; did you mean 'clip'? (known: clip, learning_rate)
run.yaml:7:5: rewards.1: unknown 'class' 'Lenght'; did you mean 'LengthPenalty'? (known: LengthPenalty)
override 'steps=many': steps: expected an integer, got 'many'
```

Types are strict: text is not a number (`steps: "5"`), `true` is not 1, 2.5 is not an integer.
`rlenvs.config_source` reads YAML, `rlenvs.config_problems` words the messages.
"""

import copy
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from rlenvs.config_params import params_model, validate_params
from rlenvs.config_problems import (
    ConfigKeyError,
    problems_of,
    strict_validate,
    unknown_choice,
)
from rlenvs.config_source import KeyPath, Problem, SourceMap, plain_scalar, read_text, read_yaml
from rlenvs.errors import ConfigError
from rlenvs.shown import shown
from rlenvs.suggestions import did_you_mean

__all__ = [
    "ConfigKeyError",
    "SourceMap",
    "apply_overrides",
    "config_error",
    "did_you_mean",
    "dump_config",
    "load_config",
    "params_model",
    "parse_config",
    "read_config",
    "unknown_choice",
    "validate_config",
    "validate_params",
]

M = TypeVar("M", bound=BaseModel)


def load_config(model: type[M], path: str | Path, overrides: Sequence[str] = ()) -> M:
    """Read a YAML file into a model.

    Args:
        model: What the file may hold.
        path: The file.
        overrides: `key.sub=value` settings, applied in order after the file; see `apply_overrides`.

    Raises:
        ConfigError: If the file cannot be read or is wrong; one line for each problem.
    """
    data, source = read_config(path, overrides)
    return validate_config(model, data, source=source)


def parse_config(
    model: type[M], text: str | Mapping[str, Any], *, name: str = "<config>", overrides: Sequence[str] = ()
) -> M:
    """Turn YAML text, or data that is already plain, into a model.

    Args:
        model: What the configuration may hold.
        text: YAML, or a mapping of plain values.
        name: What messages call the source.
        overrides: `key.sub=value` settings; see `apply_overrides`.

    Raises:
        ConfigError: One line for each problem.

    Example:
        >>> from pydantic import BaseModel
        >>> class R(BaseModel, extra="forbid"):
        ...     steps: int
        >>> parse_config(R, "steps: 10", overrides=["steps=20"])
        R(steps=20)
        >>> parse_config(R, "stps: 10", name="r.yaml")
        Traceback (most recent call last):
        rlenvs.errors.ConfigError: r.yaml:1:1: stps: unknown key 'stps'; did you mean 'steps'? (known: steps)
    """
    data, source = read_yaml(text, name) if isinstance(text, str) else (copy.deepcopy(dict(text)), SourceMap(name))
    return validate_config(model, _override(_top_mapping(data, source), overrides, source), source=source)


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> tuple[dict[str, Any], SourceMap]:
    """Read a YAML file without a model, for those who look at the data before they know the model.

    Returns:
        The plain data with the overrides applied, and its source map. Keys given twice are reported by
        `validate_config`, together with everything else that is wrong.

    Raises:
        ConfigError: If the file cannot be read, is not YAML, or is not a mapping; or an override cannot be
            applied.
    """
    data, source = read_yaml(read_text(path), str(path))
    return _override(_top_mapping(data, source), overrides, source), source


def validate_config(model: type[M], data: Any, *, source: SourceMap | None = None, at: KeyPath = ()) -> M:
    """Check plain data against a model.

    Args:
        model: What the data may hold.
        data: Plain values: mappings, lists, text, numbers, booleans, None.
        source: Where the data was written; without it, messages have no line numbers.
        at: Where the data lies in the whole configuration of `source`.

    Raises:
        ConfigError: One line for each problem.
    """
    source = SourceMap() if source is None else source
    problems = list(source.problems)
    try:
        value = strict_validate(model, data)
    except ValidationError as error:
        problems += problems_of(error, model, data, at)
    except (TypeError, RecursionError) as error:
        problems.append(Problem(at, f"not plain data ({error})"))
    if problems:
        raise source.error(problems)
    return value


def config_error(path: KeyPath | str, message: str, source: SourceMap | None = None) -> ConfigError:
    """Return (not raise) an error about one key, for rules that a model cannot express.

    Args:
        path: The key, as a tuple from the top, or a single top-level key.
        message: The rule and the received value, on one line, without the key's name.
        source: Where the configuration was written.

    Example:
        >>> print(config_error(("ppo", "gamma"), "must be <= 1, got 2"))
        <config>: ppo.gamma: must be <= 1, got 2
    """
    where = (path,) if isinstance(path, str) else tuple(path)
    return (SourceMap() if source is None else source).error([Problem(where, message)])


def apply_overrides(data: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a copy of `data` with `key.sub=value` settings applied in order.

    Args:
        data: Plain values.
        overrides: Each names a key from the top; list items are named by their index (`rewards.0.weight=2`).
            The value is YAML: a scalar, a `[list]` or a `{mapping}`. Mappings that do not exist yet are made.

    Raises:
        ConfigError: If an override has no `=`, names a list item that does not exist, or has a value that is
            not YAML.

    Example:
        >>> apply_overrides({"ppo": {"clip": 0.2}}, ["ppo.learning_rate=1e-4", "tags=[a, b]"])
        {'ppo': {'clip': 0.2, 'learning_rate': 0.0001}, 'tags': ['a', 'b']}
    """
    return _override(copy.deepcopy(dict(data)), overrides, SourceMap())


def dump_config(config: BaseModel) -> str:
    """Return a configuration as YAML that `parse_config` reads back to an equal model.

    Example:
        >>> from pydantic import BaseModel
        >>> class Run(BaseModel, extra="forbid"):
        ...     name: str
        ...     rate: float
        >>> print(dump_config(Run(name="1e5", rate=1e-5)), end="")
        name: '1e5'
        rate: 1.0e-05
    """
    data = _plain(config.model_dump(by_alias=True))
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _top_mapping(data: Any, source: SourceMap) -> dict[str, Any]:
    if data is None:
        raise ConfigError(f"{source.name}: empty; expected a mapping of keys to values")
    if not isinstance(data, dict):
        raise source.error([Problem((), f"expected a mapping of keys to values, got {_kind(data)}")])
    return data


def _kind(data: Any) -> str:
    return "a list" if isinstance(data, list) else shown(data)


def _override(data: dict[str, Any], overrides: Sequence[str], source: SourceMap) -> dict[str, Any]:
    for override in overrides:
        key, equals, text = override.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise ConfigError(f"override {shown(override)}: expected key=value or key.sub=value")
        _assign(data, parts, _override_value(override, text), override, source)
    return data


def _override_value(override: str, text: str) -> Any:
    try:
        value, inner = read_yaml(text, "value")
    except ConfigError as error:
        raise ConfigError(f"override {shown(override)}: {error}") from None
    is_block = isinstance(value, dict | list) and text.lstrip()[:1] not in ("{", "[")
    if is_block or inner.problems:
        reason = inner.problems[0].message if inner.problems else "put text that holds ': ' or '- ' in quotes"
        raise ConfigError(
            f"override {shown(override)}: the value is not one YAML scalar, [list] or {{mapping}}; {reason}"
        )
    return value


def _assign(data: dict[str, Any], parts: list[str], value: Any, override: str, source: SourceMap) -> None:
    target: Any = data
    path: KeyPath = ()
    for depth, part in enumerate(parts):
        step = _step(target, part, path, override)
        path = (*path, step)
        if depth == len(parts) - 1:
            target[step] = value
            _forget(path, source)
            source.overrides[path] = override
            return
        if isinstance(target, dict) and target.get(part) is None:
            target[part] = {}
            _forget(path, source)
            source.overrides[path] = override
        target = target[step]


def _step(target: Any, part: str, path: KeyPath, override: str) -> str | int:
    where = f"override {shown(override)}: {'.'.join(map(str, path))}"
    if isinstance(target, dict):
        return part
    if not isinstance(target, list):
        raise ConfigError(f"{where} is {_kind(target)}, which has no key {shown(part)}")
    if not (part.isascii() and part.isdigit() and len(part) < 10 and int(part) < len(target)):
        raise ConfigError(f"{where} is a list of {len(target)}; expected an index from 0, got {shown(part)}")
    return int(part)


def _forget(path: KeyPath, source: SourceMap) -> None:
    """Drop the places inside a value that an override replaced: they belong to the old value."""
    for places in (source.positions, source.overrides):
        for inner in [key for key in places if key[: len(path)] == path]:
            del places[inner]


def _plain(value: Any) -> Any:
    # pydantic's own JSON mode would turn infinities into null.
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return _plain(value.value)
    return str(value) if isinstance(value, PurePath) else value


class _Dumper(yaml.SafeDumper):
    """Writes no aliases, and quotes text that the reader would take for something else."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(plain_scalar(text), str) else "'"
    if not text.replace("\n", "").isprintable():
        style = '"'  # other styles fold Unicode line breaks into spaces
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
