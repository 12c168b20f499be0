"""The turn level: one episode of text in, text out."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from gymnasium.error import ResetNeeded

from rlenvs.envs.episode import DEFAULT_MAX_CHARS, Episode, TextTask
from rlenvs.envs.messages import Message
from rlenvs.envs.protocols.base import Protocol, SingleAnswer
from rlenvs.envs.rendering import print_transcript, transcript
from rlenvs.envs.state import STATE_VERSION, check_state, generator_state, restored_generator
from rlenvs.errors import RenderModeError, UserError
from rlenvs.graders import BatchGrader
from rlenvs.problems import ProblemSource
from rlenvs.problems.checks import check_split

RENDER_MODES = ("ansi", "human")


def check_render_mode(render_mode: str | None) -> str | None:
    """Return a render mode that exists, or raise a RenderModeError."""
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise RenderModeError(f"render_mode must be None, 'ansi' or 'human', got {render_mode!r}")
    return render_mode


def check_options(options: Mapping[str, Any] | None, known: tuple[str, ...]) -> Mapping[str, Any]:
    """Return reset options whose keys are all known, or raise a UserError."""
    if options is not None and not isinstance(options, Mapping):
        raise UserError(f"options must be a dict with some of {', '.join(known)}, got {options!r:.80}")
    unknown = [key for key in options or () if key not in known]
    if unknown:
        raise UserError(f"options: unknown {unknown[0]!r} (known: {', '.join(known)})")
    return options or {}


class TextEnv(gym.Env[str, str]):
    r"""A problem source, a grader and a protocol as a Gymnasium environment.

    An observation is the newest message to the policy, an action is a whole message of it. The reward is the
    score of the answer, 0.0 to 1.0, unless the protocol says otherwise. With the `SingleAnswer` protocol one
    answer ends the episode (`terminated`); after that the observation is "". A protocol that limits the number
    of turns ends it with `truncated`. A response longer than `max_response_chars` is an invalid answer (score
    0.0), not an error.

    `reset(options={"problem": problem})` starts that very problem instead of drawing one.

    `info` has `problem_id`, `task`, `difficulty`, `split`, `messages` and `progress`, and after a step also
    `response`, `correct`, `score`, `grade_status`, `extracted` and `reason`; some protocols add keys of their own.
    Nothing that a caller writes into an info reaches the environment, and none of it depends on the time.

    Args:
        source: where problems come from.
        grader: judges a batch of answers, a function like `rlenvs.graders.grade_batch`; None for that of the source.
        protocol: what follows an answer.
        split: the only split that episodes are drawn from, "train" or "held_out".
        max_prompt_chars: length limit of observations: a longer prompt is an error, later messages are cut.
        max_response_chars: length limit of actions.
        render_mode: None, "ansi" (`render()` returns the conversation) or "human" (every reset and step
        prints what is new in it).

    Raises:
        UserError: a parameter out of range, or an empty split.

    Example:
        >>> from rlenvs.problems import ArithmeticSource
        >>> env = TextEnv(ArithmeticSource(digits=1))
        >>> prompt, info = env.reset(seed=0)
        >>> prompt
        '8+6='
        >>> _, reward, terminated, truncated, info = env.step("14")
        >>> reward, terminated, truncated, info["correct"]
        (1.0, True, False, True)
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 1}  # noqa: RUF012
    state_kind = "TextEnv"

    def __init__(
        self,
        source: ProblemSource,
        *,
        grader: BatchGrader | None = None,
        protocol: Protocol | None = None,
        split: str = "train",
        max_prompt_chars: int = DEFAULT_MAX_CHARS,
        max_response_chars: int = DEFAULT_MAX_CHARS,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = check_render_mode(render_mode)
        self.task = TextTask(source, grader, protocol or SingleAnswer(), split, max_prompt_chars, max_response_chars)
        self.observation_space = self.task.observation_space()
        self.action_space = self.task.action_space()
        self.episode: Episode | None = None
        self.printed = 0

    @property
    def source(self) -> ProblemSource:
        """Where the problems come from, for those who list them: evaluations, demonstrations."""
        return self.task.source

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Open an episode.

        Args:
            seed: restarts the random stream; None goes on with it.
            options: {"problem": Problem} starts that problem; nothing is drawn then.
        """
        super().reset(seed=seed)
        problem = check_options(options, ("problem",)).get("problem")
        self.task.leave(self.episode)
        self.episode = self.task.start(self.np_random, problem)
        self.printed = 0
        self._show()
        return self.episode.messages[-1]["content"], self.task.info(self.episode)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Submit a whole message.

        Raises:
            ResetNeeded: there is no episode, or it is over.
            UserError: the action is not a text.
        """
        episode = self.episode
        if episode is None or episode.over:
            state = "has not started" if episode is None else "is over"
            raise ResetNeeded(f"the episode {state}: call reset() before step()")
        (grade,) = self.task.grade([episode], [action])
        result = self.task.submit(episode, action, grade)
        self._show()
        return result.observation, result.reward, result.terminated, result.truncated, result.info

    def render(self) -> str | None:
        """The conversation: returned in mode "ansi", printed in mode "human".

        Raises:
            ResetNeeded: there is no episode yet.
        """
        if self.render_mode is None:
            gym.logger.warn("render() shows nothing without render_mode='ansi' or 'human'")
            return None
        if self.episode is None:
            raise ResetNeeded("nothing to render: call reset() first")
        if self.render_mode == "ansi":
            return transcript(self.episode.messages, self.episode.rewards)
        print_transcript(self.episode.messages, self.episode.rewards)
        return None

    def demonstrations(self, limit: int | None = None, seed: int = 0) -> list[list[Message]]:
        """Conversations of episodes that are done right, one per problem, for supervised warm starts.

        They are played by this environment's rules: a derivation has a step per message, a tool is called and answers.

        Args:
            limit: most problems; endless sources need one.
            seed: which of them, and their order.

        Raises:
            UserError: the problems or the protocol do not show how it is done.

        Example:
            >>> from rlenvs.problems import ArithmeticSource
            >>> env = TextEnv(ArithmeticSource(digits=1))
            >>> [message["content"] for message in env.demonstrations(limit=1)[0]]
            ['2+8=', '10']
        """
        problems = self.source.problems(check_split(self.task.split), limit, seed)
        return [self.task.demonstrate(problem) for problem in problems]

    def state_dict(self) -> dict[str, Any]:
        """Random stream and conversation as a JSON-serialisable dict, also in the middle of an episode."""
        return {
            "kind": self.state_kind,
            "version": STATE_VERSION,
            "generator": generator_state(self.np_random),
            "episode": None if self.episode is None else self.episode.to_dict(),
            "source": self.task.source_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `state_dict` was called; the parameters must be those of that environment.

        Raises:
            UserError: the state is not one of this kind of environment.
        """
        check_state(state, self.state_kind)
        saved = state.get("episode")
        episode = None if saved is None else self.task.restored(saved)
        self.np_random = restored_generator(state.get("generator"))
        self.task.load_source_state(state.get("source", {}))
        self.episode = episode
        self.printed = 0

    def _show(self) -> None:
        if self.render_mode == "human" and self.episode is not None:
            print_transcript(self.episode.messages, self.episode.rewards, first=self.printed)
            self.printed = len(self.episode.messages)
