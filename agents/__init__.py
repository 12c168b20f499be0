"""Everything that learns: `llm` is PPO for language models, `sb3` runs Stable-Baselines3 token by token.

`runs` is what both have in common (folders, checkpoints, signals), `reporting` shows what happens.
"""

if __name__ != "rlenvs.agents":
    raise ImportError(f"imported as {__name__!r}: use 'rlenvs.agents' (the repository root is on sys.path)")
