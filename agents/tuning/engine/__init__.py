"""Running a study: trials that are claimed, run, found again when their worker dies, and never counted twice.

Read `plan` (what a study is), `tickets` (which trials were asked for and what became of each), `attempt` (one trial
from claim to end), `liveness` (whether whoever runs a trial is still there), `loop` (what a worker does) and `running`
(who works: this process, several, or a cluster of Ray). `journal` and `storage` keep it all; `samplers` and `pruners`
are Optuna's, by name.
"""
