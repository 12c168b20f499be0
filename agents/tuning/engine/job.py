"""What a worker elsewhere needs to begin, as bytes: plan, objective, and where to import from."""

import importlib.machinery
import importlib.util
import pickle
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

import cloudpickle  # type: ignore[import-untyped]

from rlenvs.agents.tuning.engine.attempt import Objective
from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.errors import StudyError

__all__ = ["Job"]


@dataclass(frozen=True)
class Job:
    """What a worker is to do.

    Attributes:
        plan: what the study is.
        function: the objective.
        finished_before: numbers of trials that had finished when the session began.
        seconds: begin no new trial after so many; None: no limit.
    """

    plan: StudyPlan
    function: Objective
    finished_before: frozenset[int]
    seconds: float | None

    def dumps(self) -> bytes:
        """Return the job as bytes for a process of the same installation.

        Raises:
            StudyError: the objective holds something that cannot travel.
        """
        try:
            function = cloudpickle.dumps(self.function)
        except (pickle.PicklingError, TypeError, AttributeError, NotImplementedError) as error:
            raise StudyError(
                f"the objective cannot be sent to workers: {error}; make what it holds inside it, or use workers=1"
            ) from error
        rest = (self.plan, function, self.finished_before, self.seconds)
        return pickle.dumps((sys.argv, sys.path, local_modules(), pickle.dumps(rest)))

    @classmethod
    def loads(cls, data: bytes) -> "Job":
        """Make the job of bytes that `dumps` of the same user made.

        Raises:
            StudyError: what the objective needs cannot be imported here.
        """
        arguments, path, modules, rest = pickle.loads(data)  # noqa: S301 - from the process that started this one
        sys.argv[:] = arguments  # an objective of a script may look at them
        sys.path.extend(entry for entry in path if entry not in sys.path)
        sys.meta_path.append(FileFinder(modules))
        plan, function, finished_before, seconds = pickle.loads(rest)  # noqa: S301 - as above
        try:
            return cls(plan, cloudpickle.loads(function), finished_before, seconds)
        except (ImportError, AttributeError) as error:
            raise StudyError(f"a worker cannot import what the objective needs: {error}") from error


def local_modules() -> dict[str, str]:
    """Return the files of modules that only this process could import by name: loaded from a file, as tests are."""
    places = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
    found = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or not file.endswith(".py") or name == "__main__" or name.partition(".")[0] == "rlenvs":
            continue
        if not file.startswith(places):
            found[name] = file
    return found


class FileFinder(MetaPathFinder):
    """Import modules by the files they came from, where nobody else finds them.

    Args:
        files: of each module, by its full name.
    """

    def __init__(self, files: dict[str, str]) -> None:
        self.files = {name: file for name, file in files.items() if Path(file).is_file()}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return how to import a module that was loaded from a file, or a package that only leads to one."""
        file = self.files.get(fullname)
        if file is not None:
            folders = [str(Path(file).parent)] if Path(file).name == "__init__.py" else None
            return importlib.util.spec_from_file_location(fullname, file, submodule_search_locations=folders)
        if any(name.startswith(f"{fullname}.") for name in self.files):
            return importlib.machinery.ModuleSpec(fullname, None, is_package=True)
        return None
