"""YAML files that ship with rlenvs: `train/` for training runs, `rewards/` for reward recipes."""

if __name__ != "rlenvs.configs":
    raise ImportError(f"imported as {__name__!r}: use 'rlenvs.configs' (the repository root is on sys.path)")
