"""The token level, many episodes per call: arrays instead of objects wherever a token is all that happens."""

import itertools
import operator
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from rlenvs.envs.collation import Rows, Table, collate, collate_finals
from rlenvs.envs.deferred import DeferredInfos, DeferredTable, EndedEpisodes, KnownColumn
from rlenvs.envs.episode import DEFAULT_MAX_CHARS, Episode, TextTask, transcript
from rlenvs.envs.episode_rows import Answers
from rlenvs.envs.number_rows import token_rows
from rlenvs.envs.protocol import Protocol, SingleAnswer
from rlenvs.envs.state import STATE_VERSION, check_state
from rlenvs.envs.text_env import RENDER_MODES, check_options, check_render_mode
from rlenvs.envs.text_vector_env import check_autoreset_mode, given_problems, masked_rows, row_seeds, seed_rows
from rlenvs.envs.token_env import Tokenizer, token_ids
from rlenvs.envs.token_rows import MessageRows, SoFar, TokenTable
from rlenvs.envs.token_windows import TokenWindows
from rlenvs.errors import UserError
from rlenvs.graders import BatchGrader
from rlenvs.problems import ProblemSource
from rlenvs.problems.checks import check_int

Array = npt.NDArray[Any]
Windows = npt.NDArray[np.int32]


class TokenVectorEnv(gym.vector.VectorEnv[Windows, Array, Array]):
    """N token-level environments in one: the same episodes and infos as N `TokenEnv`, in a fraction of the time.

    Row i has its own random stream, seeded with `seed + i`; what it draws does not depend on `num_envs`. Nothing is
    encoded or decoded again for a new token, and the messages that end in a step are graded in one batch.

    `infos` are those of `TokenEnv` on every step, collated as Gymnasium does: `problem_id`, `task`, `difficulty`,
    `split`, `messages`, `progress` and `response_so_far`; where a message ended also `response`, `correct`, `score`,
    `grade_status`, `extracted`, `reason` and `response_tokens`. Their arrays are new each time; the lists
    in them (`messages`) are shared by the infos of one message, and with nothing else.

    Autoreset is that of `TextVectorEnv`. With "Disabled" the rows that are over idle until
    `reset(options={"reset_mask": mask})`: `step` ignores their action, and gives padding, 0.0, False, False and no
    info.

    Args:
        source: where problems come from.
        tokenizer: see `rlenvs.envs.token_env.Tokenizer`. One that has `characters`, as `CharTokenizer` and
            `ByteTokenizer`, is fast; the messages of others are decoded row by row.
        num_envs: episodes side by side.
        max_episode_steps: tokens after which an unfinished episode is truncated; None for no limit.
        autoreset_mode: "SameStep", "NextStep" or "Disabled".
        context_tokens: length of the window.
        max_response_tokens: most tokens of one message, the end token included.
        grader: judges a batch of answers.
        protocol: what follows an answer.
        split: the only split that episodes are drawn from.
        max_prompt_chars: length limit of the messages to the policy.
        max_response_chars: length limit of an answer.
        render_mode: None, "ansi" or "human", as in `TextVectorEnv`.

    Raises:
        UserError: a parameter out of range, or a tokenizer that cannot serve.

    Example:
        >>> from rlenvs.envs import CharTokenizer
        >>> from rlenvs.problems import ArithmeticSource
        >>> tokenizer = CharTokenizer("0123456789+=")
        >>> source = ArithmeticSource(digits=1)
        >>> envs = TokenVectorEnv(source, tokenizer, 2, context_tokens=4, max_response_tokens=3)
        >>> windows, infos = envs.reset(seed=0)
        >>> [tokenizer.decode(window.tolist()) for window in windows]
        ['8+6=', '4+5=']
        >>> windows, rewards, terminated, truncated, infos = envs.step(np.array([4, 12]))
        >>> infos["response_so_far"].tolist(), infos["progress"].tolist()
        (['1', '9'], [0.5, 1.0])
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 1}  # noqa: RUF012
    state_kind: ClassVar[str] = "TokenVectorEnv"

    def __init__(
        self,
        source: ProblemSource,
        tokenizer: Tokenizer,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = "SameStep",
        *,
        context_tokens: int,
        max_response_tokens: int,
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
        self.tokenizer = tokenizer
        self.pad_id, self.eos_id, self.vocab_size = token_ids(tokenizer)
        self.context_tokens = check_int("context_tokens", context_tokens, 1, 10**6)
        self.max_response_tokens = check_int("max_response_tokens", max_response_tokens, 1, 10**6)
        self.single_observation_space = gym.spaces.Box(0, self.vocab_size - 1, (self.context_tokens,), np.int32)
        self.single_action_space = gym.spaces.Discrete(self.vocab_size)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.rows = np.arange(self.num_envs)
        self.table = TokenTable(tokenizer, (self.pad_id, self.eos_id))
        self._forget()

    @property
    def source(self) -> ProblemSource:
        """Where the problems come from."""
        return self.task.source

    @property
    def episodes(self) -> list[Episode | None]:
        """The conversations of the turn level, None in rows that have not started."""
        return self.conversations.listed()

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Windows, dict[str, Any]]:
        """Open episodes in all rows, or in those of a mask; arguments as in `TextVectorEnv.reset`."""
        known = check_options(options, ("reset_mask", "problems"))
        rows = masked_rows(known.get("reset_mask"), self.num_envs)
        problems = given_problems(known.get("problems"), rows, self.num_envs)
        seed_rows(self.conversations.streams, rows, row_seeds(seed, self.num_envs))
        self._open(rows, problems)
        self._blank(self.over)
        self._show()
        shares = self.messages.shares()
        table = self._ongoing(rows, self.messages.so_far(), shares)
        known = self._known(shares, np.isin(self.rows, rows), self._judged(self.rows[:0], None))
        return self.windows.values(), DeferredInfos(lambda: collate([table], self.num_envs), known=known)

    def step(self, actions: Any) -> tuple[Windows, Array, Array, Array, dict[str, Any]]:
        """Append one token to the message of every row.

        Args:
            actions: [N] token ids; those of rows that are over are ignored.

        Raises:
            ResetNeeded: a row has not started.
            UserError: the actions are not N token ids.
        """
        tokens = self._checked(actions)
        if not self.conversations.begun.all():
            raise ResetNeeded("some episodes have not started: call reset() before step()")
        rewards = np.zeros(self.num_envs, dtype=np.float64)
        terminated = np.zeros(self.num_envs, dtype=np.bool_)
        truncated = np.zeros(self.num_envs, dtype=np.bool_)
        idle = self.over.copy()
        live = self.rows[~idle] if idle.any() else self.rows
        self.windows.push(tokens)
        self._blank(idle)
        self.messages.push(live, tokens[live])
        self.steps[live] += 1
        done = (tokens[live] == self.eos_id) | (self.messages.counts[live] >= self.max_response_tokens)
        ended = live[done]
        self.messages.finish(ended)
        texts, shares = self.messages.so_far(), self.messages.shares()
        answers = None
        if len(ended):
            answers = self.conversations.answer(ended, self.messages.written(ended))
            rewards[ended], terminated[ended] = answers.rewards, answers.terminated
            truncated[ended] = answers.truncated
            self._describe(answers, ended, texts, shares)
            self._go_on(ended, answers)
        if self.max_episode_steps is not None:
            # As in Gymnasium's TimeLimit, the last token allowed is truncated even if it also terminated.
            truncated[live] |= self.steps[live] >= self.max_episode_steps
        infos = self._finish(live[~done], ended, answers, terminated | truncated, idle, texts, shares)
        self._show()
        return self.windows.values(), rewards, terminated, truncated, infos

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """[N, vocab_size] True for every legal action: all but padding. A new array each time."""
        masks = np.ones((self.num_envs, self.vocab_size), dtype=np.bool_)
        masks[:, self.pad_id] = False
        return masks

    def render(self) -> tuple[str, ...] | None:
        """The conversations of the turn level: a tuple of texts in mode "ansi", printed in mode "human"."""
        texts = tuple(
            "" if episode is None else transcript(episode.messages, episode.rewards) for episode in self.episodes
        )
        if self.render_mode == "human":
            sys.stdout.write("\n\n".join(texts) + "\n\n")
        return texts if self.render_mode == "ansi" else None

    def state_dict(self) -> dict[str, Any]:
        """Random streams, conversations, windows and unfinished messages as a JSON-serialisable dict."""
        return {
            "kind": self.state_kind,
            "version": STATE_VERSION,
            **self.conversations.state_dict(),
            "windows": self.windows.values().tolist(),
            "tokens": self.messages.listed(),
            "steps": self.steps.tolist(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `state_dict` was called; the parameters must be those of that environment.

        Raises:
            UserError: the state is of another kind of environment, of another number of rows or another window.
        """
        check_state(state, self.state_kind)
        windows, tokens, steps = self._stored(state)
        conversations = token_rows(self.task, self.num_envs)
        conversations.load_state_dict(state)
        self._forget()
        self.conversations = conversations
        self.windows.fill(self.rows, windows)
        self.steps[:] = steps
        episodes = self.episodes
        self.over[:] = [episode is not None and episode.over for episode in episodes]
        self.messages.begin(self.rows, ["" if e is None else e.problem.demonstration for e in episodes])
        for place in range(max(map(len, tokens))):
            rows = np.array([row for row, written in enumerate(tokens) if len(written) > place])
            self.messages.push(rows, np.array([tokens[row][place] for row in rows], dtype=np.int64))
        self.messages.rest(np.flatnonzero(self.over))

    def _stored(self, state: Mapping[str, Any]) -> tuple[Windows, list[list[int]], list[int]]:
        """Windows, unfinished messages and counts of steps of a state.

        Raises:
            UserError: they do not fit this environment.
        """
        if len(state["episodes"]) != self.num_envs:
            raise UserError(f"state: it has {len(state['episodes'])} rows, this environment {self.num_envs}")
        try:
            windows = np.array(state["windows"], dtype=np.int32)
            tokens = [[operator.index(token) for token in written] for written in state["tokens"]]
            steps = [operator.index(count) for count in state["steps"]]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(f"state: it cannot be read ({type(error).__name__}: {error})") from error
        if windows.shape[1:] != (self.context_tokens,):
            raise UserError(f"state: its windows have {windows.shape[-1]} tokens, not {self.context_tokens}")
        if not len(windows) == len(tokens) == len(steps) == self.num_envs:
            raise UserError(f"state: its windows, tokens and steps must be of {self.num_envs} rows")
        ids = [*windows.ravel().tolist(), *itertools.chain.from_iterable(tokens)]
        if not 0 <= min(ids) <= max(ids) < self.vocab_size:
            raise UserError(f"state: its token ids must be in 0..{self.vocab_size - 1}, got {min(ids)} to {max(ids)}")
        return windows, tokens, steps

    def _forget(self) -> None:
        """Start without episodes."""
        self.conversations = token_rows(self.task, self.num_envs)
        self.windows = TokenWindows(self.num_envs, self.context_tokens, self.pad_id)
        self.messages = MessageRows(self.table, self.num_envs)
        self.steps = np.zeros(self.num_envs, dtype=np.int64)
        self.over = np.zeros(self.num_envs, dtype=np.bool_)

    def _checked(self, actions: Any) -> npt.NDArray[np.int64]:
        """The actions as an array, padding in the rows that are over."""
        try:
            tokens = np.asarray(actions)
        except (ValueError, TypeError):  # rows of different lengths are no array
            tokens = np.zeros(0)
        if tokens.shape != (self.num_envs,) or tokens.dtype.kind not in "iu":
            raise UserError(f"actions must be {self.num_envs} token ids (ints), got {actions!r:.80}")
        wrong = ~self.over & ((tokens < 0) | (tokens >= self.vocab_size))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise UserError(
                f"an action must be a token id in 0..{self.vocab_size - 1}, got {int(tokens[row])} in row {row}"
            )
        return np.where(self.over, self.pad_id, tokens.astype(np.int64))

    def _open(self, rows: Rows, problems: Sequence[object] | None = None) -> None:
        """Begin episodes."""
        opened = self.conversations.open(rows, problems)
        texts, points = opened.observations, opened.observation_points
        self.windows.fill(rows, self.table.windows(texts, self.context_tokens, self.pad_id, points))
        self.messages.begin(rows, opened.demonstrations, opened.demonstration_points)
        self.steps[rows] = 0
        self.over[rows] = False

    def _describe(self, answers: Answers, ended: Rows, texts: SoFar, shares: Array) -> None:
        """Add to the infos of messages that ended what the token level knows."""
        if self.task.protocol.follows_demonstration:
            answers.infos.add("progress", shares[ended])
        self._add_texts(answers.infos, ended, texts)
        answers.infos.add("response_tokens", self.messages.counts[ended])

    def _go_on(self, ended: Rows, answers: Answers) -> None:
        """Begin another message in the rows whose episode goes on."""
        on = ~(answers.terminated | answers.truncated)
        if not on.any():
            return
        rows = ended[on]
        for row, place in zip(rows.tolist(), np.flatnonzero(on).tolist(), strict=True):
            observation = answers.observations[place]
            self.windows.extend(row, self.tokenizer.encode(observation, add_special_tokens=False))
        self.messages.begin(rows)

    def _finish(
        self,
        writing: Rows,
        ended: Rows,
        answers: Answers | None,
        over: Array,
        idle: Array,
        texts: SoFar,
        shares: Array,
    ) -> dict[str, Any]:
        """End episodes, begin the next ones where that happens in this step, and collate the infos.

        Args:
            writing: rows whose message goes on.
            ended: rows whose message ended.
            answers: what that led to.
            over: [N] rows whose episode ended.
            idle: [N] rows whose episode had ended before.
            texts: what the messages of the N rows read.
            shares: [N] their progress.
        """
        same_step = self.autoreset_mode is AutoresetMode.SAME_STEP and over.any()
        judged = self._judged(ended, answers)
        rows = self.rows[over]
        last: EndedEpisodes | None = None
        if same_step:
            last = self._last(over, writing, ended, answers, texts, shares, judged)
        elif over.any():
            self.over |= over
            self.messages.rest(rows)
            for row in rows.tolist():
                self.conversations.end(row)
        begun = rows if same_step else np.flatnonzero(idle & (self.autoreset_mode is AutoresetMode.NEXT_STEP))
        if len(begun):
            self._open(begun)
            texts = texts.without(begun)
            shares[begun] = self.messages.target_lengths[begun] == 0
            going = np.zeros(self.num_envs, dtype=np.bool_)
            going[writing] = going[begun] = True
            writing = np.flatnonzero(going)
        tables: list[Table] = [self._ongoing(writing, texts, shares)]
        if answers is not None:
            tables.append(answers.infos.picked(~over[ended]) if same_step else answers.infos)

        def collated() -> dict[str, Any]:
            final: dict[str, Any] = {}
            if last is not None:
                final = collate_finals(rows, list(last.observations), (), self.num_envs)
                final["final_info"] = dict(last.infos)
            return {**final, **collate(tables, self.num_envs)}

        if same_step:
            judged = judged[0], judged[1] & ~over
        return DeferredInfos(collated, last, {} if idle.any() else self._known(shares, np.ones_like(over), judged))

    def _last(
        self,
        over: Array,
        writing: Rows,
        ended: Rows,
        answers: Answers | None,
        texts: SoFar,
        shares: Array,
        judged: KnownColumn,
    ) -> EndedEpisodes:
        """What the episodes that are over ended with, before the next ones begin; arguments as in `_finish`."""
        tables: list[Table] = [self._ongoing(writing[over[writing]], texts, shares)]
        if answers is not None:
            tables.append(answers.infos.picked(over[ended]))
        correct, answered = judged
        known = self._known(shares.copy(), over, (correct, answered & over))
        infos = DeferredInfos(lambda: collate(tables, self.num_envs), known=known)
        return EndedEpisodes(self.rows[over], self.windows.of(self.rows[over]), (correct & answered)[over], infos)

    def _judged(self, ended: Rows, answers: Answers | None) -> KnownColumn:
        """[N] verdicts, and [N] which rows have one."""
        correct, judged = np.zeros(self.num_envs, dtype=np.bool_), np.zeros(self.num_envs, dtype=np.bool_)
        if answers is not None:
            correct[ended], judged[ended] = answers.correct, True
        return correct, judged

    def _known(self, shares: Array, present: Array, judged: KnownColumn) -> dict[str, KnownColumn]:
        """The columns of infos that cost nothing.

        Args:
            shares: [N] progress of the messages.
            present: [N] rows that have an info.
            judged: verdicts.
        """
        known = {"correct": judged}
        if not judged[1].any():  # nobody has to look for what comes with a verdict
            known["grade_status"] = judged
        if self.task.protocol.follows_demonstration:
            known["progress"] = shares, present
        return known

    def _ongoing(self, rows: Rows, texts: SoFar, shares: Array) -> Table:
        """The infos of rows whose message goes on."""
        table = self.conversations.infos(rows)
        if self.task.protocol.follows_demonstration:
            table.add("progress", shares[rows])
        self._add_texts(table, rows, texts)
        return table

    @staticmethod
    def _add_texts(table: Table, rows: Rows, texts: SoFar) -> None:
        """Add what messages read, when it is asked for where that can be."""
        if isinstance(table, DeferredTable):
            table.add("response_so_far", lambda: texts.texts()[rows])
        else:
            table.add("response_so_far", texts.texts()[rows])

    def _blank(self, idle: Array) -> None:
        """Show padding in rows whose episode had ended before."""
        if idle.any():
            rows = np.flatnonzero(idle)
            self.windows.fill(rows, np.full((len(rows), self.context_tokens), self.pad_id, dtype=np.int32))

    def _show(self) -> None:
        if self.render_mode == "human":
            self.render()
