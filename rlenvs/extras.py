"""Optional dependencies: imported where they are needed, with an answer that says what to install.

The base install is light. Code that needs more asks for it by name, so that a missing package reads as one
line:

```
torch is not installed: PPO needs it; install it with: pip install 'rlenvs[llm]'
```
"""

import importlib
from types import ModuleType

from rlenvs.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Args:
        module: Import name, dotted names included (`"torch.utils.tensorboard"`).
        extra: Extra of rlenvs that installs it (`"llm"`).
        purpose: Who needs it, as the subject of "... needs it" (`"PPO"`).

    Returns:
        The imported module.

    Raises:
        MissingExtraError: If the package is not installed. A package that is installed but fails inside its
            own import raises what it raises: installing it again would not help.

    Example:
        >>> require("json", "llm", "PPO").dumps([1])
        '[1]'
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A missing dependency *of* the package is a broken installation of it, not a missing extra.
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise
        raise MissingExtraError(
            f"{package} is not installed: {purpose} needs it; install it with: pip install 'rlenvs[{extra}]'"
        ) from error
