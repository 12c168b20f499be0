"""Started as a script by whoever wants a worker: makes `rlenvs.sandbox` importable without running `rlenvs`."""

import os
import sys
import types

SANDBOX = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def stub(name: str, path: str) -> None:
    """Make a package that holds nothing but its folder."""
    module = types.ModuleType(name)
    module.__path__ = [path]
    sys.modules[name] = module


if __name__ == "__main__":
    stub("rlenvs", os.path.dirname(SANDBOX))
    stub("rlenvs.sandbox", SANDBOX)
    if sys.argv[1] == "single":
        from rlenvs.sandbox.inside import single

        single.main(*sys.argv[2:])
    else:
        from rlenvs.sandbox.inside import dense, modules

        modules.preload(modules.CORE, whole=False)
        dense.fill_holes()
        from rlenvs.sandbox.inside import zygote

        zygote.main(int(sys.argv[1]))
