"""What learns: scores a rollout, estimates advantages, takes optimiser steps.

Read `learner` first (one iteration), then `scoring` (everything that the losses need), `update` (optimiser steps) and
`optimizer`. The mathematics is in `algorithm`.
"""
