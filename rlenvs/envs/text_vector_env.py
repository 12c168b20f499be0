"""The turn level, many episodes per call: one call of the grader per step."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from rlenvs.envs.collation import collate_infos
from rlenvs.envs.episode import DEFAULT_MAX_CHARS, Episode, TextTask, transcript
from rlenvs.envs.protocol import Protocol, SingleAnswer
from rlenvs.envs.state import STATE_VERSION, check_state, generator_state, restored_generator
from rlenvs.envs.text_env import RENDER_MODES, check_options, check_render_mode
from rlenvs.errors import UserError
from rlenvs.graders import BatchGrader, grade_batch
from rlenvs.problems import ProblemSource
from rlenvs.problems.checks import check_int

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
        grader: judges a batch of answers.
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
        grader: BatchGrader = grade_batch,
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
        self.generators: list[np.random.Generator | None] = [None] * self.num_envs
        self.episodes: list[Episode | None] = [None] * self.num_envs

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
                (None, or anything in rows that are not reset, draws as usual).

        Raises:
            UserError: options that do not fit.
        """
        known = check_options(options, ("reset_mask", "problems"))
        rows = self._rows(known.get("reset_mask"))
        problems = known.get("problems")
        if problems is not None and (isinstance(problems, str) or len(problems) != self.num_envs):
            raise UserError(f"options: 'problems' must have one entry per environment ({self.num_envs})")
        seeds = self._seeds(seed)
        opened: list[tuple[int, dict[str, Any]]] = []
        for row in rows:
            if seeds[row] is not None or self.generators[row] is None:
                self.generators[row], _ = seeding.np_random(seeds[row])
            problem = None if problems is None else problems[row]
            opened.append((row, self._open(row, problem)[1]))
        self._show()
        observations = tuple([self._observation(episode) for episode in self.episodes])
        return observations, collate_infos(opened, self.num_envs)

    def step(self, actions: Sequence[str]) -> tuple[Texts, Array, Array, Array, dict[str, Any]]:
        """Submit one message per row.

        Args:
            actions: [N] texts.

        Returns:
            Observations (tuple of N texts), rewards [N] float64, terminated [N] and truncated [N] bool,
            infos as Gymnasium collates them (`key` and mask `_key`).

        Raises:
            ResetNeeded: a row was never reset.
            UserError: not N texts.
        """
        if isinstance(actions, str) or len(actions) != self.num_envs:
            raise UserError(f"actions must be a sequence of {self.num_envs} texts, got {actions!r:.80}")
        episodes = [episode for episode in self.episodes if episode is not None]
        if len(episodes) < self.num_envs:
            raise ResetNeeded("some episodes have not started: call reset() before step()")
        live = [row for row, episode in enumerate(episodes) if not episode.over]
        grades = self.task.grade([episodes[row] for row in live], [actions[row] for row in live])
        rewards = np.zeros(self.num_envs, dtype=np.float64)
        terminated = np.zeros(self.num_envs, dtype=np.bool_)
        truncated = np.zeros(self.num_envs, dtype=np.bool_)
        verdicts = dict(zip(live, grades, strict=True))
        observations = [""] * self.num_envs
        infos: list[tuple[int, dict[str, Any]]] = []
        finals: list[tuple[int, dict[str, Any]]] = []
        for row, episode in enumerate(episodes):
            if row in verdicts:
                result = self.task.submit(episode, actions[row], verdicts[row])
                rewards[row], terminated[row] = result.reward, result.terminated
                # As in Gymnasium's TimeLimit, the last answer allowed is truncated even if it also terminated;
                # a turn limit of the protocol truncates only what has not terminated.
                truncated[row] = result.truncated or episode.turns == self.max_episode_steps
                episode.over = bool(terminated[row] or truncated[row])
                observations[row], info = result.observation, result.info
                if episode.over and self.autoreset_mode is AutoresetMode.SAME_STEP:
                    finals.append((row, {"final_obs": result.observation, "final_info": info}))
                    observations[row], info = self._open(row)
            elif self.autoreset_mode is AutoresetMode.NEXT_STEP:
                observations[row], info = self._open(row)
            else:
                continue
            infos.append((row, info))
        self._show()
        collated = {**collate_infos(finals, self.num_envs), **collate_infos(infos, self.num_envs)}
        return tuple(observations), rewards, terminated, truncated, collated

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
        return {
            "kind": self.state_kind,
            "version": STATE_VERSION,
            "generators": [None if g is None else generator_state(g) for g in self.generators],
            "episodes": [None if episode is None else episode.to_dict() for episode in self.episodes],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `state_dict` was called; the parameters must be those of that environment.

        Raises:
            UserError: the state is of another kind of environment, or of another number of rows.
        """
        check_state(state, self.state_kind)
        if len(state["episodes"]) != self.num_envs:
            raise UserError(f"state: it has {len(state['episodes'])} rows, this environment {self.num_envs}")
        self.generators = [None if g is None else restored_generator(g) for g in state["generators"]]
        self.episodes = [None if e is None else Episode.from_dict(e) for e in state["episodes"]]

    def _open(self, row: int, problem: object = None) -> tuple[str, dict[str, Any]]:
        generator = self.generators[row]
        assert generator is not None, "reset() seeds a row before it opens an episode"
        episode = self.task.start(generator, problem)
        self.episodes[row] = episode
        return self._observation(episode), self.task.info(episode)

    def _observation(self, episode: Episode | None) -> str:
        return "" if episode is None or episode.over else episode.messages[-1]["content"]

    def _seeds(self, seed: int | Sequence[int | None] | None) -> Sequence[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + row for row in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise UserError(f"seed: a list must have one entry per environment ({self.num_envs}), got {len(seed)}")
        return seed

    def _rows(self, mask: object) -> Sequence[int]:
        if mask is None:
            return range(self.num_envs)
        array = np.asarray(mask)
        if array.dtype != np.bool_ or array.shape != (self.num_envs,) or not array.any():
            raise UserError(
                f"options: 'reset_mask' must be a bool array of shape ({self.num_envs},) with a True in it, "
                f"got dtype {array.dtype} and shape {array.shape}"
            )
        return [int(row) for row in np.flatnonzero(array)]

    def _show(self) -> None:
        if self.render_mode == "human":
            self.render()
