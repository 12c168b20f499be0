"""What every training run has, whatever learns in it: its folder, logs, checkpoints, signals and trackers.

Read `config` first (what all configurations have in common), then `run_folder` (the files of a run), `checkpoint` (how
its state is kept), `resuming` (how it goes on) and `signals` (how it is stopped). `kinds` tells runs of one kind from
those of another. Nothing here knows what is trained, so it imports neither agent. Configurations load without torch;
`checkpoint` and what uses it needs it.
"""
