"""What is raised where the kernel refuses a step."""

import errno
import os


class KernelError(RuntimeError):
    """A step of confinement that the kernel refused. Nothing runs unconfined after it.

    Attributes:
        step: what was tried.
        number: the `errno`, 0 where the kernel gave none.
    """

    def __init__(self, step: str, problem: str | int) -> None:
        self.step = step
        self.number = problem if isinstance(problem, int) else 0
        if isinstance(problem, int):
            problem = f"{os.strerror(problem)} ({errno.errorcode.get(problem, problem)})"
        self.problem = problem
        super().__init__(f"{step}: {problem}")

    def __reduce__(self) -> tuple[type["KernelError"], tuple[str, str | int]]:
        return KernelError, (self.step, self.number or self.problem)
