"""Conversations with a user who has more than one thing to say."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from rlenvs.envs.messages import Message, copy_messages
from rlenvs.envs.protocols.base import Episode, Protocol, Turn
from rlenvs.envs.protocols.texts import check_text
from rlenvs.envs.protocols.user_models import EndpointUser, UserModel
from rlenvs.errors import DataError, ParameterError, UserError
from rlenvs.graders import Grade
from rlenvs.problems import Problem
from rlenvs.problems.checks import check_int
from rlenvs.suggestions import did_you_mean


class Conversation(Protocol):
    """A user who answers: from the task's script, or by a model.

    The script is the task's `turns`, a list of texts: what the user says after the first, second, ... message of the
    policy. The prompt comes before it. The message after the last of them terminates the episode. A task's `system`
    message is shown first.

    With `user`, a model plays the user instead: it is called with the conversation so far and returns the next message;
    `user.batch(conversations)`, if there is one, is called once for all rows of a vector environment. The episode
    terminates when it returns "" or a text with `stop` in it, and is truncated after `max_replies` messages.

    The environment's reward is 0.0: what a good message is, the reward layer says. With `graded` the last message is
    graded by the task, as an answer.

    Args:
        graded: whether the last message is an answer to grade.
        max_replies: most messages of the policy, 1..10000, after which an unfinished episode is truncated; None for
            the length of the script, or for 10 with `user`.
        user: a model that plays the user: the parameters of an `EndpointUser` as a mapping, or a function, which is no
            JSON, so that an environment with one has no specification that can be written to a file.
        stop: what a `user` says to end the conversation.
        max_user_chars: more of what a `user` says is cut off.

    Raises:
        ParameterError: a value out of range.

    Example:
        >>> task = {"type": "conversation", "turns": ["And in winter?"]}
        >>> problem = Problem(id="toy", prompt="What do hedgehogs eat?", task=task, demonstration="")
        >>> from rlenvs.envs import TextTask
        >>> protocol = Conversation()
        >>> episode = Episode(problem, protocol.open(problem), memory=protocol.begin(problem))
        >>> episode.turns = 1
        >>> protocol.reply(episode, "Beetles.", Grade(0.0, False, "ok", None, "")).observation
        'And in winter?'
    """

    follows_demonstration = False

    def __init__(
        self,
        graded: bool = False,
        max_replies: int | None = None,
        user: UserModel | Mapping[str, Any] | None = None,
        stop: str = "<stop>",
        max_user_chars: int = 4096,
    ) -> None:
        if not isinstance(graded, bool):
            raise ParameterError("graded", f"must be true or false, got {graded!r}")
        self.graded = graded
        self.max_replies = None if max_replies is None else check_int("max_replies", max_replies, 1, 10_000)
        self.stop = check_text("stop", stop)
        self.user = endpoint_user(user, self.stop) if isinstance(user, Mapping) else user
        if self.user is not None and not callable(self.user):
            raise ParameterError("user", f"must be callable with a list of messages, or a mapping, got {user!r:.80}")
        if self.user is not None and graded:
            raise ParameterError("graded", "needs a script: which message is the last, a model decides after it")
        if self.user is not None and max_replies is None:
            self.max_replies = 10
        self.max_user_chars = check_int("max_user_chars", max_user_chars, 1, 10**9)

    def begin(self, problem: Problem) -> dict[str, Any]:
        """What the user has said in advance, for a `user` model; nothing for a script."""
        if self.user is None:
            script(problem)
            return {}
        return {"next": ""}

    def answer(self, episode: Episode, response: str) -> str | None:
        """The last message, if it is to be graded."""
        if not self.graded:
            return None
        return response if self._is_last(episode.problem, episode.turns + 1) else None

    def prepare(self, episodes: Sequence[Episode], responses: Sequence[str]) -> None:
        """Ask the model that plays the user, for all episodes in one call."""
        if self.user is None:
            return
        conversations = [
            [*copy_messages(episode.messages), Message(role="assistant", content=response)]
            for episode, response in zip(episodes, responses, strict=True)
        ]
        batch = getattr(self.user, "batch", None)
        texts = list(batch(conversations)) if batch is not None else [self.user(chat) for chat in conversations]
        if len(texts) != len(conversations) or not all(isinstance(text, str) for text in texts):
            raise UserError(f"user: it must return one text per conversation, got {texts!r:.120}")
        for episode, text in zip(episodes, texts, strict=True):
            episode.memory["next"] = text[: self.max_user_chars]

    def reply(self, episode: Episode, response: str, grade: Grade) -> Turn:
        """What the user says next, or the end."""
        if self.user is None:
            said = script(episode.problem)[episode.turns - 1 : episode.turns]
            text = said[0] if said else ""
            over = not said
        else:
            text = str(episode.memory["next"])
            over = not text or (bool(self.stop) and self.stop in text)
        if over:
            return Turn("", True, progress=1.0)
        limit = self.max_replies is not None and episode.turns >= self.max_replies
        return Turn(text, False, truncated=limit, reward=0.0, progress=self._share(episode))

    def demonstration(self, problem: Problem) -> list[str]:
        """The answer, where it is the only message; nothing shows how to talk."""
        return super().demonstration(problem) if self.graded and self._is_last(problem, 1) else []

    def _share(self, episode: Episode) -> float:
        """The share of the conversation that is over; unknown, so 0.0, where a model plays the user."""
        return 0.0 if self.user is not None else episode.turns / (len(script(episode.problem)) + 1)

    def _is_last(self, problem: Problem, turn: int) -> bool:
        return turn > len(script(problem))


def endpoint_user(parameters: Mapping[str, Any], stop: str) -> EndpointUser:
    """An `EndpointUser` by its parameters.

    Raises:
        ParameterError: an unknown parameter, a missing one, or a value out of range.
    """
    known = [name for name in inspect.signature(EndpointUser).parameters if name != "stop"]
    for name in parameters:
        if name not in known:
            hint = did_you_mean(str(name), known)
            raise ParameterError("user", f"has an unknown parameter {name!r}{hint} (known: {', '.join(known)})")
    for name in ("base_url", "model"):
        if name not in parameters:
            raise ParameterError("user", f"must have {name!r}, got {sorted(parameters)}")
    return EndpointUser(stop=stop, **parameters)


def script(problem: Problem) -> Sequence[str]:
    """What the user says after the first, second, ... message of the policy.

    Raises:
        DataError: the task's "turns" are no list of texts.
    """
    turns = problem.task.get("turns", ())
    if isinstance(turns, str) or not isinstance(turns, Sequence) or not all(isinstance(t, str) for t in turns):
        raise DataError(f"problem {problem.id!r}: task turns must be a list of texts, got {turns!r:.80}")
    return turns


class Completion(Protocol):
    """Free text: one message ends the episode, and nothing grades it.

    The environment's reward is 0.0; the reward layer decides what a good text is.

    Example:
        >>> Completion()
        Completion()
    """

    follows_demonstration = False

    def answer(self, episode: Episode, response: str) -> str | None:
        """Nothing is graded."""
        return None

    def reply(self, episode: Episode, response: str, grade: Grade) -> Turn:
        """The end."""
        return Turn("", True, reward=0.0, progress=1.0 if response else 0.0)
