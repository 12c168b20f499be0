"""The border on trial: whatever an execution says, the grader neither falls nor is talked into a pass."""

import os
import secrets
import time
from collections.abc import Iterator

import pytest
from lying_worker import STATUSES, Liar, Rumours, heard_from

from rlenvs.graders.code.comparison import same_value
from rlenvs.sandbox import Limits, Outcome, Program, Result, SandboxPool
from rlenvs.sandbox.codec import CodecError, encode
from rlenvs.sandbox.duel import Duel, DuelJob
from rlenvs.sandbox.frames import LOAD_FAILED, RAISED, RETURNED, FrameReader, framed
from rlenvs.sandbox.jobs import CallsJob, ScriptJob, outcome

EXPECTED = secrets.token_hex(8)
LIMITS = Limits(wall_s=60.0, result_bytes=1 << 17)
KNOWN = {"ok", "timeout", "memory", "output", "crash", "malformed"}
"""What the code itself may bring about. "error" is not among it."""
SIZES = [
    pytest.param(6_000, id="short"),
    pytest.param(100_000, id="long", marks=pytest.mark.slow),
]


def job(inputs: int = 1) -> CallsJob:
    return CallsJob(Program("", [[]] * inputs, limits=LIMITS), LIMITS, "A")


def answer(value: object) -> bytes:
    return framed(RETURNED + encode(value))


def is_answer(frame: bytes) -> bool:
    try:
        outcome(frame, LIMITS.result_bytes)
    except CodecError:
        return False
    return True


def may_be_ok(stream: bytes, inputs: int, status: int) -> bool:
    """Whether a stream holds an answer for each input and nothing else, by cutting it up byte by byte."""
    frames = []
    while len(stream) >= 4:
        size = int.from_bytes(stream[:4], "big")
        if len(stream) < 4 + size:
            break
        frames.append(stream[4 : 4 + size])
        stream = stream[4 + size :]
    return status == 0 and len(frames) == inputs and all(map(is_answer, frames))


def check(result: Result, inputs: int) -> None:
    assert result.status in KNOWN
    assert len(result.outcomes) == inputs
    for each in result.outcomes:
        assert each.status in {"returned", "raised", "missing", "opaque"}
        assert not (each.status == "returned" and same_value(each.value, EXPECTED))
        encode(each.value, max_bytes=1 << 20)  # it is plain data, through and through


@pytest.mark.parametrize("messages", SIZES)
def test_no_message_makes_the_grader_fall_or_pass(messages: int) -> None:
    rumours = Rumours(messages, EXPECTED)
    said, ok, slowest = 0, 0, 0.0
    while said < messages:
        stream, count = rumours.stream()
        said += count
        inputs = rumours.rng.choice((count, 1, 2, 3))
        status = rumours.rng.choice(STATUSES)
        started = time.process_time()
        result = heard_from(Liar(stream, rumours.noise(), status), job(inputs))
        slowest = max(slowest, time.process_time() - started)
        check(result, inputs)
        ok += result.status == "ok"
        assert result.status != "ok" or may_be_ok(stream, inputs, status)
    assert ok > messages / 200, "hardly any message is well formed: this would test little"
    assert slowest < 2.0


@pytest.mark.parametrize("messages", SIZES)
def test_no_message_of_a_script_or_a_duel_passes(messages: int) -> None:
    rumours = Rumours(messages + 1, EXPECTED)
    said = 0
    duel = Duel("def check(f):\n    assert f() == 1", "", "f", limits=LIMITS)
    while said < messages:
        stream, count = rumours.stream()
        said += count
        script = ScriptJob(Program("", [""], None, LIMITS), LIMITS, "A")
        result = heard_from(Liar(stream, EXPECTED[:-1].encode(), rumours.rng.choice(STATUSES)), script)
        check(result, 1)
        heard = heard_from(Candidate(stream), DuelJob(duel, LIMITS, "A"))
        assert heard.status in KNOWN - {"ok"} | {"failed"}


class Candidate(Liar):
    """Says what it likes for the solution, while the tests wait for an answer that never comes."""

    def start(self, request: bytes, descriptors: list[int]) -> None:  # type: ignore[override]
        if b"tester" in request:
            question = framed(b"q" + encode(["call", 0, (), {}]))
            Liar(question).start(request, descriptors)
        else:
            super().start(request, descriptors)


def test_the_right_answer_is_heard() -> None:
    result = heard_from(Liar(answer(EXPECTED)), job())
    assert result.status == "ok"
    assert same_value(result.outcomes[0].value, EXPECTED)


@pytest.mark.parametrize(
    "stream",
    [
        answer(1) + answer(2),
        framed(b"?") + answer(1),
        framed(b"") + answer(1),
        framed(RETURNED + b"\x99") + answer(1),
        answer(1) + framed(LOAD_FAILED + b"x"),
        framed(LOAD_FAILED + b"x") + answer(1),
        framed(LOAD_FAILED + b"x") * 2,
        framed(RAISED + b"x") + framed(LOAD_FAILED + b"x"),
    ],
)
def test_what_is_no_answer_counts_also_when_the_process_has_ended_by_itself(stream: bytes) -> None:
    """Else whether it is noticed would depend on which of the two was read first."""
    assert heard_from(Liar(stream), job()).status == "malformed"


def test_a_script_says_at_most_one_thing() -> None:
    script = ScriptJob(Program("", [""], None, LIMITS), LIMITS, "A")
    assert heard_from(Liar(framed(RAISED + b"x") * 2), script).status == "malformed"


@pytest.mark.parametrize("seed", range(20))
def test_a_stream_is_cut_alike_however_it_arrives(seed: int) -> None:
    rumours = Rumours(seed, EXPECTED)
    stream = b"".join(rumours.stream()[0] for _ in range(20))
    whole, pieces = FrameReader(1 << 20, 1 << 30), FrameReader(1 << 20, 1 << 30)
    goes_on = whole.feed(stream)
    rest = stream
    while rest:
        size = rumours.rng.randint(1, 2000)
        if not pieces.feed(rest[:size]):
            break
        rest = rest[size:]
    assert list(whole.frames) == list(pieces.frames)
    assert goes_on == (not rest)


FORGER = """
import os
def say():
    os.write(3, STREAM)
    os._exit(0)
"""


def forger(stream: bytes) -> str:
    return f"STREAM = {stream!r}\n{FORGER}"


@pytest.fixture(scope="module")
def short() -> Iterator[SandboxPool]:
    with SandboxPool(2, LIMITS) as pool:
        yield pool


@pytest.mark.parametrize(
    "executions", [pytest.param(60, id="short"), pytest.param(3000, id="long", marks=pytest.mark.slow)]
)
def test_real_executions_that_forge(short: SandboxPool, executions: int) -> None:
    rumours = Rumours(executions, EXPECTED)
    streams = [rumours.stream()[0][:60_000] for _ in range(executions)]
    codes = [forger(stream) + "def solve():\n    say()\n" for stream in streams]
    results = short.run_batch([Program(code, [[]]) for code in codes])
    for stream, result in zip(streams, results, strict=True):
        check(result, 1)
        assert result.status != "ok" or may_be_ok(stream, 1, 0)
    checks = f"def check(f):\n    assert f() == {EXPECTED!r}"
    duels = [Duel(checks, forger(stream) + when, "f") for stream in streams for when in ("f = say", "say()")]
    assert {result.status for result in short.duel_batch(duels)} <= KNOWN - {"ok"} | {"failed"}


def test_sessions_that_forge(short: SandboxPool) -> None:
    rumours = Rumours(7, EXPECTED)
    for _ in range(20):
        with short.session(Limits(wall_s=0.5)) as session:
            stream = rumours.stream()[0][:60_000]
            result = session.run(f"import os; os.write(3, {stream!r})")
            assert result.status in KNOWN
            assert result.outcomes in {(Outcome("missing"),), (Outcome("returned"),)} or (
                result.outcomes[0].status == "raised"
            )
    assert short.run("def solve():\n    return 1", [[]]).outcomes == (Outcome("returned", 1),)


def test_nothing_is_left_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    rumours = Rumours(11, EXPECTED)
    for _ in range(200):
        heard_from(Liar(rumours.stream()[0]), job())
    assert len(os.listdir("/proc/self/fd")) == before
