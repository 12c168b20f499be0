"""Configuration files: every mistake is named by file, line and key."""

import textwrap
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, model_validator

from rlenvs.config_file import (
    ConfigKeyError,
    apply_overrides,
    config_error,
    dump_config,
    load_config,
    params_model,
    parse_config,
    read_config,
    unknown_choice,
    validate_config,
    validate_params,
)
from rlenvs.config_source import MAX_BYTES, Position, plain_scalar, read_yaml
from rlenvs.errors import ConfigError

# The time of one example says nothing on a busy machine.
relaxed = settings(deadline=None)


class Strict(BaseModel, extra="forbid"):
    """Base of the models of these tests."""


class PPO(Strict):
    clip: float = 0.2
    learning_rate: float = Field(1e-4, gt=0)
    epochs: int | None = None
    betas: tuple[float, float] = (0.9, 0.999)


class LengthPenalty:
    def __init__(self, target: int, mode: Literal["soft", "hard"] = "soft", schema: str | None = None) -> None: ...


class Correctness:
    def __init__(self, scale: float = 1.0) -> None: ...


COMPONENTS: dict[str, type] = {"Correctness": Correctness, "LengthPenalty": LengthPenalty}


class Component(Strict):
    class_name: str = Field(alias="class")
    weight: float = 1.0
    params: dict[str, Any] = {}

    @model_validator(mode="after")
    def known(self) -> "Component":
        if self.class_name not in COMPONENTS:
            raise unknown_choice("class", self.class_name, COMPONENTS)
        validate_params(COMPONENTS[self.class_name], self.params)
        return self


class Text(Strict):
    type: Literal["text"]
    length: int = 1


class Number(Strict):
    type: Literal["number"]
    digits: int = 1
    number: int = 0


class Mode(Enum):
    FAST = "fast"
    SLOW = "slow"


class Run(Strict):
    name: str = "run"
    steps: int = 1
    ppo: PPO = PPO()
    rewards: list[Component] = []
    flag: bool = False
    mode: Mode = Mode.FAST
    device: Literal["cpu", "cuda"] = "cpu"
    part: Annotated[Text | Number, Field(discriminator="type")] | None = None
    parts: dict[str, PPO] = {}
    either: int | str = 0


class Required(Strict):
    ppo: "RequiredInner"
    seed: int


class RequiredInner(Strict):
    learning_rate: float


Required.model_rebuild()

KNOWN = "known: name, steps, ppo, rewards, flag, mode, device, part, parts, either"


def problems(text: str, model: type[BaseModel] = Run, overrides: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(model, textwrap.dedent(text), name="run.yaml", overrides=overrides)
    return str(caught.value).splitlines()


class TestMessages:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (
                "ppo:\n  learning_rte: 1e-5\n",
                "run.yaml:2:3: ppo.learning_rte: unknown key 'learning_rte'; did you mean 'learning_rate'? "
                "(known: clip, learning_rate, epochs, betas)",
            ),
            ("rewards: 3", "run.yaml:1:1: rewards: expected a list, got 3"),
            ("zzz: 3", f"run.yaml:1:1: zzz: unknown key 'zzz' ({KNOWN})"),
            (
                "rewards:\n  - class: Correctness\n  - weight: 2\n    class: Lenght\n",
                "run.yaml:4:5: rewards.1: unknown 'class' 'Lenght'; did you mean 'LengthPenalty'? "
                "(known: Correctness, LengthPenalty)",
            ),
            (
                "rewards:\n- class: LengthPenalty\n  params:\n    target: 2\n    mde: soft\n",
                "run.yaml:5:5: rewards.0.params.mde: unknown key 'mde'; did you mean 'mode'? "
                "(known: target, mode, schema)",
            ),
            (
                "rewards:\n- class: LengthPenalty\n  params: {target: 2, mode: sot}\n",
                "run.yaml:3:23: rewards.0.params.mode: expected 'soft' or 'hard', got 'sot'; did you mean 'soft'?",
            ),
            (
                "rewards:\n- class: LengthPenalty\n  params:\n    mode: soft\n",
                "run.yaml:3:3: rewards.0.params: missing key 'target'",
            ),
            ("steps: many", "run.yaml:1:1: steps: expected an integer, got 'many'"),
            ("steps: 2.5", "run.yaml:1:1: steps: expected an integer, got 2.5"),
            ("steps: true", "run.yaml:1:1: steps: expected an integer, got true"),
            ('steps: "5"', "run.yaml:1:1: steps: expected an integer, got '5'"),
            ("steps:", "run.yaml:1:1: steps: expected an integer, got null"),
            ("ppo:\n  clip: true", "run.yaml:2:3: ppo.clip: expected a number, got true"),
            ("ppo:\n  learning_rate: -1", "run.yaml:2:3: ppo.learning_rate: must be > 0.0, got -1"),
            ("ppo:\n  betas: [0.9, x]", "run.yaml:2:16: ppo.betas.1: expected a number, got 'x'"),
            ("ppo:\n  betas:\n  - 0.9\n", "run.yaml:2:3: ppo.betas: missing item 1 (counted from 0)"),
            ("ppo: [1]", "run.yaml:1:1: ppo: expected a mapping, got [1]"),
            ("name: 3", "run.yaml:1:1: name: expected text, got 3"),
            ("flag: no", "run.yaml:1:1: flag: expected true or false, got 'no'"),
            ("mode: fst", "run.yaml:1:1: mode: expected 'fast' or 'slow', got 'fst'; did you mean 'fast'?"),
            ("device: cda", "run.yaml:1:1: device: expected 'cpu' or 'cuda', got 'cda'; did you mean 'cuda'?"),
            ("either: 1.5", "run.yaml:1:1: either: expected an integer or text, got 1.5"),
            (
                "parts:\n  a b:\n    clp: 1",
                "run.yaml:3:5: parts.a b.clp: unknown key 'clp'; did you mean 'clip'? "
                "(known: clip, learning_rate, epochs, betas)",
            ),
            (
                "part:\n  type: txt\n",
                "run.yaml:2:3: part: unknown 'type' 'txt'; did you mean 'text'? (known: number, text)",
            ),
            ("part:\n  length: 3\n", "run.yaml:1:1: part: missing key 'type'"),
            ("part:\n  tpye: text\n", "run.yaml:2:3: part.tpye: unknown key 'tpye'; did you mean 'type'?"),
            (
                "ppo:\n  cilp: 0.1\n",
                "run.yaml:2:3: ppo.cilp: unknown key 'cilp'; did you mean 'clip'? (known: clip, learning_rate, epochs, betas)",
            ),
            (
                # The tag is also a key of the section, and the message must not confuse the two.
                "part:\n  type: number\n  number: 3\n  digts: 2\n",
                "run.yaml:4:3: part.digts: unknown key 'digts'; did you mean 'digits'? (known: type, digits, number)",
            ),
            ("part:\n  type: number\n  number: x\n", "run.yaml:3:3: part.number: expected an integer, got 'x'"),
        ],
    )
    def test_one_problem_is_one_exact_line(self, text: str, expected: str) -> None:
        assert problems(text) == [expected]

    def test_key_given_twice(self) -> None:
        assert problems("ppo: {}\nppo: {}\n") == ["run.yaml:2:1: key 'ppo' given twice (first on line 1)"]

    def test_nested_key_given_twice_says_where(self) -> None:
        text = "ppo:\n  clip: 0.1\n  epochs: 1\n  clip: 0.2\n"
        assert problems(text) == ["run.yaml:4:3: ppo: key 'clip' given twice (first on line 2)"]

    def test_key_given_twice_inside_a_list_inside_the_second_of_two(self) -> None:
        text = "rewards: []\nrewards:\n- class: Correctness\n  class: Correctness\n"
        assert problems(text) == [
            "run.yaml:2:1: key 'rewards' given twice (first on line 1)",
            "run.yaml:4:3: rewards.0: key 'class' given twice (first on line 3)",
        ]

    def test_missing_key_points_to_its_section(self) -> None:
        assert problems("seed: 1\nppo:\n  {}\n", Required) == ["run.yaml:2:1: ppo: missing key 'learning_rate'"]
        assert problems("# first line\nppo: {learning_rate: 1}\n", Required) == ["run.yaml:2:1: missing key 'seed'"]

    def test_misspelt_required_key_is_one_problem(self) -> None:
        lines = problems("seed: 1\nppo:\n  learning_rte: 1e-3\n", Required)
        assert lines == [
            "run.yaml:3:3: ppo.learning_rte: unknown key 'learning_rte'; did you mean 'learning_rate'? "
            "(known: learning_rate)"
        ]

    def test_all_problems_at_once_from_top_to_bottom_and_overrides_last(self) -> None:
        text = """\
        steps: many
        ppo:
          clip: x
          clp: 1
        flag: 3
        flag: 4
        """
        lines = problems(text, overrides=("name=1", "ppo.epochs=x"))
        assert [line.split(": ")[0] for line in lines] == [
            "run.yaml:1:1",
            "run.yaml:3:3",
            "run.yaml:4:3",
            "run.yaml:5:1",
            "run.yaml:6:1",
            "override 'name=1'",
            "override 'ppo.epochs=x'",
        ]

    def test_values_are_shown_on_one_short_line(self) -> None:
        (line,) = problems('steps: "' + "a\\n" * 500 + '"')
        assert len(line) < 200
        assert line.endswith("... (1502 characters)")

    def test_rule_of_a_model_blames_its_key(self) -> None:
        class Limits(Strict):
            low: int
            high: int

            @model_validator(mode="after")
            def ordered(self) -> "Limits":
                if self.low > self.high:
                    raise ConfigKeyError("high", f"must be >= low ({self.low}), got {self.high}")
                return self

        class Outer(Strict):
            limits: list[Limits]

        lines = problems("limits:\n- {low: 1, high: 2}\n- low: 3\n  high: 2\n", Outer)
        assert lines == ["run.yaml:4:3: limits.1.high: must be >= low (3), got 2"]

    def test_plain_value_error_of_a_model_blames_the_section(self) -> None:
        class Never(Strict):
            a: int = 0

            @model_validator(mode="after")
            def refuse(self) -> "Never":
                raise ValueError("never\nfits")

        class Outer(Strict):
            never: Never

        assert problems("\nnever:\n  a: 1\n", Outer) == ["run.yaml:2:1: never: never fits"]

    def test_config_error_places_a_rule_of_another_module(self, tmp_path: Path) -> None:
        (tmp_path / "run.yaml").write_text("name: a\nppo:\n  clip: 0.3\n")
        _, source = read_config(tmp_path / "run.yaml")
        error = config_error(("ppo", "clip"), "must be <= 0.2, got 0.3", source)
        assert str(error) == f"{tmp_path}/run.yaml:3:3: ppo.clip: must be <= 0.2, got 0.3"
        missing = config_error(("ppo", "gamma"), "is needed", source)
        assert str(missing) == f"{tmp_path}/run.yaml:2:1: ppo.gamma: is needed"
        assert str(config_error("name", "is taken")) == "<config>: name: is taken"

    def test_validate_config_of_a_part_reports_under_the_whole(self, tmp_path: Path) -> None:
        (tmp_path / "run.yaml").write_text("name: a\nppo:\n  clp: 0.3\n")
        data, source = read_config(tmp_path / "run.yaml")
        with pytest.raises(ConfigError, match=r"run\.yaml:3:3: ppo\.clp: unknown key 'clp'"):
            validate_config(PPO, data["ppo"], source=source, at=("ppo",))

    def test_data_without_a_text_has_no_line_numbers(self) -> None:
        with pytest.raises(ConfigError, match=r"^<config>: ppo\.clp: unknown key 'clp'"):
            parse_config(Run, {"ppo": {"clp": 1}})

    def test_data_that_is_not_plain_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="not plain data"):
            validate_config(Run, {"name": object()})


class TestReading:
    def test_values(self) -> None:
        run = parse_config(
            Run,
            """
            name: no
            steps: 1e3
            ppo: {clip: 1e-5, betas: [0, 1]}
            mode: slow
            part: {type: text, length: 0x10}
            rewards:
            - class: Correctness
              params: {scale: 2}
            """,
        )
        assert run.name == "no"
        assert run.steps == 1000
        assert run.ppo.clip == 1e-5
        assert run.ppo.betas == (0.0, 1.0)
        assert run.mode is Mode.SLOW
        assert run.part == Text(type="text", length=16)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a: &x 1", r"^f:1:4: anchor '&x' is not supported"),
            ("a: *x", r"^f:1:4: alias '\*x' is not supported"),
            ("a: 1\n<<: {b: 1}", r"^f:2:1: merge key '<<' is not supported"),
            ("a: !!python/object:os.system 1", r"^f:1:4: tag .* is not supported"),
            ("a: !!int 1", r"^f:1:4: tag .* is not supported"),
            ("a: 1\n---\nb: 1", r"^f:2:1: a second document"),
            ("a: [1", r"^f:1:6: YAML syntax: "),
            ("a: 1\n b: 2", r"^f:2:3: YAML syntax: mapping values are not allowed here"),
            ("a:\tb", r"^f:1:3: YAML syntax: found character"),
            ("a: b\nc: \x01", r"^f:2:4: YAML syntax: special characters"),
            ('a: "\\UFFFFFFFF"', r"^f:1:1: YAML syntax: "),
            ('a: "\\ud800"', r"^f:1:4: text with half of a surrogate pair"),
            ("1: 2", r"^f:1:1: a key must be text; put it in quotes: '1'"),
            ("true: 2", r"^f:1:1: a key must be text; put it in quotes: 'true'"),
            ("? [1]\n: 2", r"^f:1:3: a key must be text, not a list"),
            ("a: " + "[" * 5000, r"^f:1:67: nested deeper than 64 levels"),
            ("a: " + "1" * 5000, r"^f:1:4: a number of 5000 characters"),
            ("", r"^f: empty"),
            ("# only a comment", r"^f: empty"),
            ("- a", r"^f:1:1: expected a mapping of keys to values, got a list"),
            ("\n\njust text", r"^f:3:1: expected a mapping of keys to values, got 'just text'"),
        ],
    )
    def test_refused_documents(self, text: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            parse_config(Run, text, name="f")

    def test_aliases_cannot_expand(self) -> None:
        levels = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40))
        with pytest.raises(ConfigError, match="anchor '&a0' is not supported"):
            parse_config(Run, f"a0: &a0 [x]\n{levels}")

    def test_unreadable_files(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"run\.yaml: no such file$"):
            load_config(Run, tmp_path / "run.yaml")
        with pytest.raises(ConfigError, match=r": a directory; expected a YAML file$"):
            load_config(Run, tmp_path)
        (tmp_path / "latin.yaml").write_bytes("name: ü".encode("latin-1"))
        with pytest.raises(ConfigError, match=r"latin\.yaml: not UTF-8 text \(byte 6\)$"):
            load_config(Run, tmp_path / "latin.yaml")
        (tmp_path / "large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
        with pytest.raises(ConfigError, match=r"large\.yaml: larger than"):
            load_config(Run, tmp_path / "large.yaml")
        with pytest.raises(ConfigError, match="cannot be read"):
            load_config(Run, "a\0b")
        with pytest.raises(ConfigError, match="cannot be read"):
            load_config(Run, tmp_path / "latin.yaml" / "x")

    def test_byte_order_mark_is_skipped(self, tmp_path: Path) -> None:
        (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfname: a")
        assert load_config(Run, tmp_path / "bom.yaml").name == "a"

    @relaxed
    @given(st.text(alphabet="ab:- \n[]{}\"'&*!|>%@`#?,<\t\\x0é\u2028\ud800", max_size=60) | st.text(max_size=40))
    @example("%YAML 99999.1\n---\na")
    @example("a: |9\n b")
    @example('"\\x')
    def test_no_text_raises_anything_but_config_error(self, text: str) -> None:
        try:
            parse_config(Run, text)
        except ConfigError as error:
            message = str(error)
        else:
            message = "<config> is right"
        assert all(line.startswith("<config>") for line in message.split("\n"))

    @relaxed
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3)
            ),
            max_leaves=12,
        )
    )
    def test_plain_data_survives_dump_and_read(self, value: Any) -> None:
        class Holder(Strict):
            value: Any

        text = dump_config(Holder(value=value))
        assert parse_config(Holder, text) == Holder(value=value)

    def test_dump_writes_no_aliases_and_quotes_what_reads_as_another_type(self) -> None:
        shared = [1]
        assert parse_config(Run, dump_config(Run(parts={"a": PPO(), "b": PPO()}))).parts["b"] == PPO()

        class Holder(Strict):
            value: Any

        text = dump_config(Holder(value=[shared, shared, "1e-5", "0o17", "~", "true", "no"]))
        assert "&" not in text
        assert read_yaml(text)[0] == {"value": [[1], [1], "1e-5", "0o17", "~", "true", "no"]}

    @relaxed
    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_floats_agree_with_python(self, value: float) -> None:
        assert read_yaml(f"a: {value!r}")[0] == {"a": value}

    @relaxed
    @given(st.text(alphabet="0123456789+-.exobaf_:infNATruel", min_size=1, max_size=8))
    def test_scalars_differ_from_pyyaml_only_where_yaml_1_2_does(self, text: str) -> None:
        try:
            theirs: Any = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError):
            return
        if not isinstance(theirs, str | int | float | None):
            return
        ours = plain_scalar(text)
        if type(ours) is type(theirs) and (ours == theirs or ours != ours):
            return
        digits = text.lstrip("+-")
        if isinstance(ours, str):  # 1.1 has base 2 and 60, underscores, on, off, yes, no
            assert ":" in text or "_" in text or digits.startswith(("0b", "0x")) or text.lower() in ("no", "on", "off")
        elif text.startswith("0o"):  # 1.1 writes octal numbers 017
            assert ours == int(text, 8)
        else:  # 1.1 wants a dot and a signed exponent, and reads a leading zero as octal
            assert isinstance(ours, int | float)
            assert ours == float(text)
            assert "e" in text or text.endswith(".") or digits.startswith(("0", "."))


class TestPositions:
    @relaxed
    @given(data=st.data())
    def test_a_misspelt_key_at_any_depth_is_reported_on_its_own_line(self, data: st.DataObject) -> None:
        depth = data.draw(st.integers(0, 5))
        models: list[type[BaseModel]] = []

        class Leaf(Strict):
            value: int = 0

        models.append(Leaf)
        for _ in range(depth):
            inner = models[-1]
            models.append(
                type(
                    "Level",
                    (Strict,),
                    {
                        "__annotations__": {"inner": inner, "items": list[inner]},
                        "__module__": __name__,
                        "inner": inner(),
                        "items": [],
                    },
                )
            )
        lines: list[str] = []
        indent = ""
        path: list[str] = []
        for _ in range(depth):
            lines += [f"{indent}# comment"] * data.draw(st.integers(0, 2))
            if data.draw(st.booleans()):
                index = data.draw(st.integers(0, 2))
                lines += [f"{indent}items:", *[f"{indent}- {{}}"] * index, f"{indent}-"]
                path += ["items", str(index)]
            else:
                lines.append(f"{indent}inner:")
                path.append("inner")
            indent += "  "
        lines += [f"{indent}# before"] * data.draw(st.integers(0, 2))
        lines.append(f"{indent}valeu: 3")
        text = "\n".join(lines) + "\n"
        (line,) = problems(text, models[-1])
        place = f"run.yaml:{len(lines)}:{len(indent) + 1}: {'.'.join([*path, 'valeu'])}: "
        assert line.startswith(place + "unknown key 'valeu'")

    @relaxed
    @given(st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), st.integers(), min_size=1, max_size=8))
    def test_every_key_knows_its_line(self, mapping: dict[str, int]) -> None:
        mapping = {f"k{key}": value for key, value in mapping.items()}
        text = "".join(f"{key}: {value}\n" for key, value in mapping.items())
        data, source = read_yaml(text)
        assert data == mapping
        assert [source.positions[(key,)] for key in mapping] == [Position(i, 1) for i in range(1, len(mapping) + 1)]


class TestOverrides:
    def test_values_and_paths(self) -> None:
        data = {"ppo": {"clip": 0.2}, "rewards": [{"weight": 1}], "name": "a"}
        result = apply_overrides(
            data, ["ppo.clip=1e-3", "rewards.0.weight=2", "new.deep.key={a: [1, b]}", "name=", "text='a: b'"]
        )
        assert result == {
            "ppo": {"clip": 0.001},
            "rewards": [{"weight": 2}],
            "name": None,
            "new": {"deep": {"key": {"a": [1, "b"]}}},
            "text": "a: b",
        }
        assert data == {"ppo": {"clip": 0.2}, "rewards": [{"weight": 1}], "name": "a"}

    def test_later_overrides_win(self) -> None:
        assert parse_config(Run, "steps: 1", overrides=["steps=2", "steps=3"]).steps == 3

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("steps", "override 'steps': expected key=value"),
            ("=3", "override '=3': expected key=value"),
            ("a..b=3", "override 'a..b=3': expected key=value"),
            ("steps.x=3", "override 'steps.x=3': steps is 5, which has no key 'x'"),
            ("rewards.1.weight=3", "override 'rewards.1.weight=3': rewards is a list of 1; expected an index from 0"),
            ("rewards.-1.weight=3", "rewards is a list of 1; expected an index from 0, got '-1'"),
            ("rewards.²=3", "rewards is a list of 1; expected an index from 0, got '²'"),
            ("name=a: b", "the value is not one YAML scalar"),
            ("name=- b", "the value is not one YAML scalar"),
            ("name=[1", "override 'name=[1': value:1:3: YAML syntax"),
            ("name={a: 1, a: 2}", "key 'a' given twice"),
            ("name=*x", "alias '*x' is not supported"),
        ],
    )
    def test_overrides_that_cannot_be_applied(self, override: str, message: str) -> None:
        with pytest.raises(ConfigError) as caught:
            parse_config(Run, "steps: 5\nrewards: [{class: Correctness}]", overrides=[override])
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("steps=many", "override 'steps=many': steps: expected an integer, got 'many'"),
            (
                "ppo.clp=3",
                "override 'ppo.clp=3': ppo.clp: unknown key 'clp'; did you mean 'clip'? "
                "(known: clip, learning_rate, epochs, betas)",
            ),
            ("pppo.clip=3", f"override 'pppo.clip=3': pppo: unknown key 'pppo'; did you mean 'ppo'? ({KNOWN})"),
            ("ppo={clip: x}", "override 'ppo={clip: x}': ppo.clip: expected a number, got 'x'"),
            ("rewards.0={}", "override 'rewards.0={}': rewards.0: missing key 'class'"),
        ],
    )
    def test_problems_of_a_value_name_the_override(self, override: str, message: str) -> None:
        text = "ppo:\n  clip: 0.2\nrewards:\n- class: Correctness\n"
        assert problems(text, overrides=(override,)) == [message]

    def test_problems_beside_an_override_keep_their_line(self) -> None:
        text = "ppo:\n  clip: x\n  epochs: 1\n"
        assert problems(text, overrides=("ppo.epochs=2",)) == ["run.yaml:2:3: ppo.clip: expected a number, got 'x'"]


def signature_example(
    rate: float,
    count: int = 3,
    names: list[str] | None = None,
    mode: Literal["a", "b"] = "a",
    flag: bool = False,
    text: str = "x",
    anything=None,  # type: ignore[no-untyped-def]
    *,
    _hidden: int = 0,
    copy: bool = True,
) -> None: ...


class TestParams:
    def test_model_has_the_signature(self) -> None:
        model = params_model(signature_example)
        assert params_model(signature_example) is model
        keys = [field.alias or name for name, field in model.model_fields.items()]
        assert keys == ["rate", "count", "names", "mode", "flag", "text", "anything", "_hidden", "copy"]
        required = [name for name, field in model.model_fields.items() if field.is_required()]
        assert required == ["rate"]
        assert model.model_fields["count"].default == 3

    def test_given_parameters_come_back_by_name_and_converted(self) -> None:
        given_params = {"rate": 1, "names": ["a"], "copy": False, "_hidden": 2, "anything": {"x": [1]}}
        assert validate_params(signature_example, given_params) == {**given_params, "rate": 1.0}

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ("{rate: true}", "rate: expected a number, got true"),
            ("{rate: 1, count: 1.5}", "count: expected an integer, got 1.5"),
            ("{rate: 1, count: true}", "count: expected an integer, got true"),
            ("{rate: 1, names: a}", "names: expected a list, got 'a'"),
            ("{rate: 1, names: [a, 1]}", "names.1: expected text, got 1"),
            ("{rate: 1, mode: c}", "mode: expected 'a' or 'b', got 'c'"),
            ("{rate: 1, flag: 1}", "flag: expected true or false, got 1"),
            ("{rate: 1, text: null}", "text: expected text, got null"),
            ("{rate: 1, cpy: true}", "cpy: unknown key 'cpy'; did you mean 'copy'?"),
            ("{rte: 1}", "rte: unknown key 'rte'; did you mean 'rate'?"),
            ("{}", "params: missing key 'rate'"),
        ],
    )
    def test_wrong_parameters(self, params: str, message: str) -> None:
        class Entry(Strict):
            params: dict[str, Any]

            @model_validator(mode="after")
            def check(self) -> "Entry":
                validate_params(signature_example, self.params)
                return self

        (line,) = problems(f"params: {params}", Entry)
        assert line.partition(message)[1] == message

    def test_keyword_catch_all_accepts_more(self) -> None:
        def open_ended(scale: float = 1.0, *args: int, **kwargs: str) -> None: ...

        assert validate_params(open_ended, {"scale": 2, "other": "x"}) == {"scale": 2.0, "other": "x"}

    def test_unresolvable_annotation_says_so(self) -> None:
        def broken(value: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

        with pytest.raises(ConfigError, match=r"broken: its parameters cannot be configured from YAML .*Nowhere"):
            params_model(broken)
