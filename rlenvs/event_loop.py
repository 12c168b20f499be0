"""One event loop in a thread of its own, for what waits on something: models behind HTTP, async functions.

The calling code stays synchronous, and it works inside a running loop as well (a notebook): the loop here is another
one. It lives as long as the process, because clients that users keep between calls belong to the loop of their first.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """A daemon thread that runs an event loop.

    Example:
        >>> loop = LoopThread()
        >>> loop.run(asyncio.sleep(0, "done"))
        'done'
        >>> loop.close()
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rlenvs-event-loop", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` to its end and return its result; an interrupt of the caller cancels it.

        Raises:
            RuntimeError: called from inside this very loop, which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("an async reward cannot score with another async reward: await that function instead")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # without effect once it is done

    def close(self) -> None:
        """Stop the loop; what still runs in it is dropped."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=1.0)
        if not self._thread.is_alive():
            self._loop.close()


_lock = threading.Lock()
_current: LoopThread | None = None
_of_parents: list[LoopThread] = []  # a loop that is collected unclosed warns, and a child cannot close its parent's


def shared_loop() -> LoopThread:
    """Return this process's loop, started when it is first needed."""
    global _current
    with _lock:
        if _current is None:
            _current = LoopThread()
            atexit.register(_close, os.getpid())
        return _current


def _close(owner: int) -> None:
    global _current
    if _current is not None and os.getpid() == owner:
        _current.close()
        _current = None


def _forget_in_child() -> None:
    """Threads do not survive a fork: a child needs its own."""
    global _current, _lock
    _lock = threading.Lock()
    if _current is not None:
        _of_parents.append(_current)
        _current = None


os.register_at_fork(after_in_child=_forget_in_child)


async def gather_rows(
    calls: Sequence[Callable[[], Awaitable[T]]], max_concurrency: int, timeout_s: float | None = None
) -> list[T | BaseException]:
    """Await one call per row, some at a time; what fails fails alone.

    Args:
        calls: N functions that start the work of one row.
        max_concurrency: how many rows run at the same time, >= 1.
        timeout_s: seconds that each row may take once it started; None for no limit.

    Returns:
        N results or exceptions, in the order of the calls. An interrupt raised by a call is among them, too.
    """
    slots = asyncio.Semaphore(max_concurrency)

    async def alone(call: Callable[[], Awaitable[T]]) -> T | BaseException:
        async with slots:
            limit = asyncio.timeout(timeout_s)
            try:
                async with limit:
                    return await call()
            except BaseException as error:
                # Cancelled from outside: whoever waits for these rows is gone.
                task = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                    raise
                if limit.expired():
                    return TimeoutError(f"took longer than {timeout_s:g} s")
                return error

    return await asyncio.gather(*(alone(call) for call in calls))


def raise_interrupts(results: Sequence[object]) -> None:
    """Raise the first KeyboardInterrupt or SystemExit among the results of rows: it is meant for the process."""
    for result in results:
        if isinstance(result, KeyboardInterrupt | SystemExit):
            raise result
