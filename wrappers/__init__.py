"""The reward layer."""

if __name__ != "rlenvs.wrappers":
    raise ImportError(f"imported as {__name__!r}: use 'rlenvs.wrappers' (the repository root is on sys.path)")
