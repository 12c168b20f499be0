"""Everything that learns. Read `llm` first: PPO for language models. `reporting` shows and stores what happens."""

if __name__ != "rlenvs.agents":
    raise ImportError(f"imported as {__name__!r}: use 'rlenvs.agents' (the repository root is on sys.path)")
