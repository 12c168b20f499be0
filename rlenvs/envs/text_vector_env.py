"""The turn level, many episodes per call: one call of the grader per step."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from rlenvs.envs.collation import Rows, Table, collate, collate_finals
from rlenvs.envs.episode import DEFAULT_MAX_CHARS, Episode, TextTask, transcript
from rlenvs.envs.episode_rows import episode_rows
from rlenvs.envs.protocol import Protocol, SingleAnswer
from rlenvs.envs.state import STATE_VERSION, check_state
from rlenvs.envs.text_env import RENDER_MODES, check_options, check_render_mode
from rlenvs.errors import UserError
from rlenvs.graders import BatchGrader
from rlenvs.problems import ProblemSource
from rlenvs.problems.checks import check_int
from rlenvs.problems.streams import RowStreams

Texts = tuple[str, ...]
Array = npt.NDArray[Any]


def check_autoreset_mode(mode: str | AutoresetMode) -> AutoresetMode:
    """Return a Gymnasium autoreset mode, or raise a UserError."""
    try:
        return AutoresetMode(mode)
    except ValueError:
        names = ", ".join(repr(known.value) for known in AutoresetMode)
        raise UserError(f"autoreset_mode must be one of {names}, got {mode!r}") from None


class TextVectorEnv(gym.vector.VectorEnv[Texts, Sequence[str], Array]):
    """N turn-level environments in one: the same episodes as N `TextEnv`, graded in one batch per step.

    Environment i has its own random stream, seeded with `seed + i`; what it draws does not depend on
    `num_envs`.

    Autoreset, with "SameStep" as the default because in "NextStep" every second step of one-answer tasks is
    a reset:

    * "SameStep": a finished episode is followed by the next one at once; the last observation and info of
      the finished one are `infos["final_obs"]` and `infos["final_info"]`.
    * "NextStep": the step after the end ignores the action and opens the next episode.
    * "Disabled": finished rows idle until `reset(options={"reset_mask": mask})`: `step` ignores their
      action, returns "", 0.0, False, False for them and no info. That is what a trainer with ragged episodes
      wants.

    Args:
        source: where problems come from.
        num_envs: episodes side by side.
        max_episode_steps: answers after which an unfinished episode is truncated; None for no limit.
        autoreset_mode: "SameStep", "NextStep" or "Disabled".
        grader: judges a batch of answers; None for that of the source.
        protocol: what follows an answer.
        split: the only split that episodes are drawn from.
        max_prompt_chars: length limit of observations.
        max_response_chars: length limit of actions.
        render_mode: None, "ansi" or "human" as in `TextEnv`; "ansi" renders a tuple of texts.

    Example:
        >>> from rlenvs.problems import ArithmeticSource
        >>> envs = TextVectorEnv(ArithmeticSource(digits=1), num_envs=2)
        >>> prompts, infos = envs.reset(seed=0)
        >>> prompts
        ('8+6=', '4+5=')
        >>> prompts, rewards, terminated, truncated, infos = envs.step(["14", "8"])
        >>> rewards.tolist(), infos["final_info"]["correct"].tolist()
        ([1.0, 0.0], [True, False])
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 1}  # noqa: RUF012
    state_kind: ClassVar[str] = "TextVectorEnv"

    def __init__(
        self,
        source: ProblemSource,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = "SameStep",
        *,
        grader: BatchGrader | None = None,
        protocol: Protocol | None = None,
        split: str = "train",
        max_prompt_chars: int = DEFAULT_MAX_CHARS,
        max_response_chars: int = DEFAULT_MAX_CHARS,
        render_mode: str | None = None,
    ) -> None:
        self.num_envs = check_int("num_envs", num_envs, 1, 10**6)
        self.max_episode_steps = max_episode_steps
        if max_episode_steps is not None:
            self.max_episode_steps = check_int("max_episode_steps", max_episode_steps, 1, 10**9)
        self.autoreset_mode = check_autoreset_mode(autoreset_mode)
        self.render_mode = check_render_mode(render_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.task = TextTask(source, grader, protocol or SingleAnswer(), split, max_prompt_chars, max_response_chars)
        self.single_observation_space = self.task.observation_space()
        self.single_action_space = self.task.action_space()
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.conversations = episode_rows(self.task, self.num_envs)
        self.observations = [""] * self.num_envs
        self.turns = np.zeros(self.num_envs, dtype=np.int64)
        self.over = np.zeros(self.num_envs, dtype=np.bool_)

    @property
    def source(self) -> ProblemSource:
        """Where the problems come from."""
        return self.task.source

    @property
    def episodes(self) -> list[Episode | None]:
        """The conversations, None in rows that have not started."""
        return self.conversations.listed()

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Texts, dict[str, Any]]:
        """Open episodes in all rows, or in those of a mask.

        Args:
            seed: row i restarts its random stream with `seed + i`, or with `seed[i]`; None goes on with it.
            options: "reset_mask": bool array [N] of the rows to reset; "problems": N `Problem` to start
                (None, or anything in rows that are not reset, draws as usual); "group_size": k, so that each k rows
                0 to k-1, k to 2k-1, ... start the same problem, drawn by the first of them.

        Raises:
            UserError: options that do not fit.
        """
        known = check_options(options, ("reset_mask", "problems", "group_size"))
        rows = masked_rows(known.get("reset_mask"), self.num_envs)
        problems = given_problems(known.get("problems"), rows, self.num_envs)
        seed_rows(self.conversations.streams, rows, row_seeds(seed, self.num_envs))
        if "group_size" in known:
            size, leaders = group_leaders(known["group_size"], rows, self.num_envs)
            if problems is not None:
                raise UserError("options: 'group_size' draws the problems; leave out 'problems'")
            problems = [problem for problem in self.conversations.draw(leaders, rows) for _ in range(size)]
        self._open(rows, problems)
        self._observe(np.flatnonzero(self.over), [""] * int(self.over.sum()))
        self._show()
        return tuple(self.observations), collate([self.conversations.infos(rows)], self.num_envs)

    def step(self, actions: Sequence[str]) -> tuple[Texts, Array, Array, Array, dict[str, Any]]:
        """Submit one whole message per row.

        Args:
            actions: N texts; those of rows that are over are ignored.

        Raises:
            ResetNeeded: a row has not started.
            UserError: the number of actions is wrong, or an action of a live row is not a text.
        """
        if not one_per_row(actions, self.num_envs):
            raise UserError(f"actions must be a sequence of {self.num_envs} texts, got {actions!r:.80}")
        if not self.conversations.begun.all():
            raise ResetNeeded("some episodes have not started: call reset() before step()")
        rewards = np.zeros(self.num_envs, dtype=np.float64)
        terminated = np.zeros(self.num_envs, dtype=np.bool_)
        truncated = np.zeros(self.num_envs, dtype=np.bool_)
        live, idle = np.flatnonzero(~self.over), np.flatnonzero(self.over)
        infos: list[Table] = []
        collated: dict[str, Any] = {}
        if len(idle):
            self._observe(idle, [""] * len(idle))
        if len(live):
            answers = self.conversations.answer(live, [actions[row] for row in live.tolist()])
            self.turns[live] += 1
            rewards[live], terminated[live] = answers.rewards, answers.terminated
            # As in Gymnasium's TimeLimit, the last answer allowed is truncated even if it also terminated; a turn
            # limit of the protocol truncates only what has not terminated.
            truncated[live] = answers.truncated | (self.turns[live] == self.max_episode_steps)
            self._observe(live, answers.observations)
            collated = self._end(live, terminated | truncated, answers.infos, infos)
        if len(idle) and self.autoreset_mode is AutoresetMode.NEXT_STEP:
            self._open(idle)
            infos.append(self.conversations.infos(idle))
        self._show()
        collated.update(collate(infos, self.num_envs))
        return tuple(self.observations), rewards, terminated, truncated, collated

    def _end(self, live: Rows, ended: Array, answered: Table, infos: list[Table]) -> dict[str, Any]:
        """End episodes, and begin the next ones where that happens in the same step; returns what is final."""
        rows = np.flatnonzero(ended)
        if self.autoreset_mode is not AutoresetMode.SAME_STEP:
            self.over |= ended
            for row in rows.tolist():
                self.conversations.end(row)
            infos.append(answered)
            return {}
        if not len(rows):
            infos.append(answered)
            return {}
        last = [self.observations[row] for row in rows.tolist()]
        finals = collate_finals(rows, last, [answered.picked(ended[live])], self.num_envs)
        self._open(rows)
        infos.append(self.conversations.infos(rows))
        if len(rows) < len(live):
            infos.append(answered.picked(~ended[live]))
        return finals

    def abandon(self, rows: Sequence[int]) -> None:
        """End episodes that their player gives up; like finished ones, they idle until they are reset.

        Args:
            rows: which ones; those that are over stay so.

        Raises:
            UserError: an autoreset mode other than "Disabled": nothing would reset an episode that did not end.
        """
        if self.autoreset_mode is not AutoresetMode.DISABLED:
            raise UserError(
                f"abandon needs autoreset_mode 'Disabled', this environment has {self.autoreset_mode.value!r}"
            )
        for row in rows:
            if not self.over[row]:
                self.over[row] = True
                self.conversations.end(row)

    def rewind_point(self) -> Callable[[], None]:
        """Remember where the drawing of problems stands, much cheaper than `state_dict`.

        Returns:
            A function that goes back there, with no episode begun: the next reset and all after it are what they would
            have been.
        """
        back = self.conversations.rewind_point()

        def rewind() -> None:
            back()
            self.observations = [""] * self.num_envs
            self.turns[:], self.over[:] = 0, False

        return rewind

    def render(self) -> tuple[str, ...] | None:
        """The conversations: a tuple of texts in mode "ansi", printed in mode "human"."""
        texts = tuple(
            "" if episode is None else transcript(episode.messages, episode.rewards) for episode in self.episodes
        )
        if self.render_mode == "human":
            sys.stdout.write("\n\n".join(texts) + "\n\n")
        return texts if self.render_mode == "ansi" else None

    def state_dict(self) -> dict[str, Any]:
        """Random streams and conversations of all rows as a JSON-serialisable dict."""
        return {"kind": self.state_kind, "version": STATE_VERSION, **self.conversations.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `state_dict` was called; the parameters must be those of that environment.

        Raises:
            UserError: the state is of another kind of environment, or of another number of rows.
        """
        check_state(state, self.state_kind)
        self.conversations.load_state_dict(state)
        for row, episode in enumerate(self.episodes):
            self.over[row] = episode is not None and episode.over
            self.turns[row] = 0 if episode is None else episode.turns
            self.observations[row] = "" if episode is None or episode.over else episode.messages[-1]["content"]

    def _open(self, rows: Rows, problems: Sequence[object] | None = None) -> None:
        self._observe(rows, self.conversations.open(rows, problems).observations)
        self.turns[rows] = 0
        self.over[rows] = False

    def _observe(self, rows: Rows, observations: Sequence[str]) -> None:
        if len(rows) == self.num_envs:
            self.observations = list(observations)
            return
        for row, observation in zip(rows.tolist(), observations, strict=True):
            self.observations[row] = observation

    def _show(self) -> None:
        if self.render_mode == "human":
            self.render()


def one_per_row(values: object, num_envs: int) -> bool:
    """True for a sequence or an array with a value per row."""
    if isinstance(values, np.ndarray):
        return bool(values.shape == (num_envs,))
    return isinstance(values, Sequence) and not isinstance(values, str | bytes) and len(values) == num_envs


def row_seeds(seed: int | Sequence[int | None] | None, num_envs: int) -> Sequence[int | None]:
    """The seed of each row.

    Raises:
        UserError: neither an int nor a list of one int or None per environment.
    """
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, int | np.integer):
        return [int(seed) + row for row in range(num_envs)]
    if not hasattr(seed, "__len__"):
        raise UserError(f"seed must be an int or a list of one per environment, got {seed!r:.80}")
    if len(seed) != num_envs:
        raise UserError(f"seed: a list must have one entry per environment ({num_envs}), got {len(seed)}")
    return seed


def seed_rows(streams: RowStreams, rows: Rows, seeds: Sequence[int | None]) -> None:
    """Start the random streams of some rows; None goes on with a stream that there is."""
    for row in rows.tolist():
        if seeds[row] is not None or not streams.seeded(row):
            streams.seed(row, seeds[row])


def masked_rows(mask: object, num_envs: int) -> Rows:
    """The rows to reset: those of a mask, or all.

    Raises:
        UserError: the mask is no bool array [N], or has no True in it.
    """
    if mask is None:
        return np.arange(num_envs)
    array = np.asarray(mask)
    if array.dtype != np.bool_ or array.shape != (num_envs,) or not array.any():
        raise UserError(
            f"options: 'reset_mask' must be a bool array of shape ({num_envs},) with a True in it, "
            f"got dtype {array.dtype} and shape {array.shape}"
        )
    return np.flatnonzero(array)


def group_leaders(size: object, rows: Rows, num_envs: int) -> tuple[int, Rows]:
    """The size of groups, and the first row of each one that is reset.

    Raises:
        UserError: the rows are not whole groups of that size.
    """
    checked = check_int("options: 'group_size'", size, 1, num_envs)
    groups = rows.reshape(-1, checked) if len(rows) % checked == 0 else None
    if num_envs % checked or groups is None or (groups // checked != groups[:, :1] // checked).any():
        raise UserError(f"options: 'group_size' {checked} needs whole groups of neighbouring rows among {num_envs}")
    return checked, groups[:, 0]


def given_problems(problems: Any, rows: Rows, num_envs: int) -> list[Any] | None:
    """The problems that `reset` starts in some rows; None if it draws them all.

    Raises:
        UserError: there is not one entry per environment.
    """
    if problems is None:
        return None
    if not one_per_row(problems, num_envs):
        raise UserError(f"options: 'problems' must have one entry per environment ({num_envs})")
    return [problems[row] for row in rows.tolist()]
