"""The mathematics of the agent: pure functions of tensors, which know no model, no tokenizer and no environment.

Read in this order: `tokens` (from token positions to action tokens), `advantages` (GAE, whitening), `estimators`
(without a critic), `kl`, `importance` (engine against trainer), `losses`, `filters` (which episodes and groups count),
`guards` (when to stop) and `logprobs`.

Shape suffixes: `B` episodes, `A` action tokens of the longest episode, `L` tokens of the longest episode, `M` action
tokens of one micro-batch, flattened. Columns beyond an episode's own tokens are padding, marked False in `mask_BA`.
"""
