"""All callbacks of a run, called in order, and what becomes of one that fails."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rlenvs.agents.llm.callbacks.base import HOOKS, Callback, RunState
from rlenvs.errors import CallbackError, RunFolderError

PLAIN = (str, int, float, bool, type(None))


class Callbacks:
    """Calls the hooks of several callbacks.

    A callback that raises ends the run, but not on the spot: the iteration at hand is finished and saved first, and the
    hooks of the others are called. It is called no more.

    Args:
        callbacks: in the order in which they are called.

    Attributes:
        failure: the first error, once a callback has failed.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks = list(callbacks)
        self.failure: CallbackError | None = None
        self._failed: set[int] = set()

    def call(self, hook: str, state: RunState) -> None:
        """Call one hook of every callback.

        Args:
            hook: name of a method of `Callback`.
            state: what they see.
        """
        assert hook in HOOKS
        for index, callback in enumerate(self.callbacks):
            if index in self._failed:
                continue
            try:
                getattr(callback, hook)(state)
            except Exception as error:  # noqa: BLE001 - other people's code; told by name when the iteration is saved
                where = f"at iteration {state.iteration}" if state.iteration else "before the first iteration"
                self._note_failure(index, callback, f"in {hook} {where}", error)

    def state_dict(self) -> list[dict[str, Any]]:
        """Return the class and the state of every callback that has a state.

        A state that a checkpoint could not give back is a failure of its callback.
        """
        states = []
        for index, callback in enumerate(self.callbacks):
            try:
                state = callback.state_dict()
                for place in _not_plain(state):
                    raise TypeError(f"{place} is no plain data: use numbers, text, lists, dicts and tensors")
            except Exception as error:  # noqa: BLE001 - as above
                self._note_failure(index, callback, "in state_dict", error)
                continue
            if state:
                states.append({"class": type(callback).__name__, "state": state})
        return states

    def load_state_dict(self, states: Sequence[Mapping[str, Any]], *, all_must_be_here: bool = True) -> None:
        """Give every callback its state back; those of one class in their order.

        Args:
            states: what `state_dict` returned.
            all_must_be_here: whether a state that no callback takes is an error.

        Raises:
            RunFolderError: a callback with a state is not there any more.
            CallbackError: a callback does not take its state.
        """
        found: Counter[str] = Counter()
        numbered = {}
        for callback in self.callbacks:
            name = type(callback).__name__
            numbered[name, found[name]] = callback
            found[name] += 1
        met: Counter[str] = Counter()
        for saved in states:
            name = saved["class"]
            taker = numbered.get((name, met[name]))
            met[name] += 1
            if taker is None and not all_must_be_here:
                continue
            if taker is None:
                raise RunFolderError(
                    f"the checkpoint holds the state of a callback {name}, which this run does not have: configure it "
                    "under callbacks, or pass it to resume(callbacks=[...])"
                )
            try:
                taker.load_state_dict(saved["state"])
            except Exception as error:
                raise CallbackError(
                    f"callback {name} does not take its state from the checkpoint: {_say(error)}"
                ) from error

    def _note_failure(self, index: int, callback: Callback, where: str, error: Exception) -> None:
        self._failed.add(index)
        if self.failure is None:
            self.failure = CallbackError(f"callback {type(callback).__name__} failed {where}: {_say(error)}")
            self.failure.__cause__ = error


def _say(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _not_plain(value: Any, place: str = "its state") -> Iterator[str]:
    """Yield where a state holds what the reader of checkpoints refuses."""
    if isinstance(value, dict):
        for key, item in value.items():
            if type(key) not in PLAIN:
                yield f"a key of {place}"
            yield from _not_plain(item, f"{place}[{key!r}]")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_plain(item, f"{place}[{index}]")
    elif type(value) not in PLAIN and type(value).__module__ != "torch":
        yield place
