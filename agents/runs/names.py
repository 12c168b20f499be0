"""What the files and folders of a run are called. Imports nothing, so that whoever needs a name needs no torch."""

CONFIG, METRICS, ROLLOUTS = "config.yaml", "metrics.jsonl", "rollouts.jsonl"
CHECKPOINTS, MODEL, START = "checkpoints", "model", "start"
BEST_RECORD = "best.json"
"""Lies in a folder with the best model so far, and says where that is from."""
