"""The values that switches of the algorithm take. Imports without torch, so that configurations can name them."""

from typing import Literal

Estimator = Literal["gae", "reinforce", "reinforce_baseline", "rloo", "grpo"]
"""Where advantages come from; only `gae` needs a critic, only `rloo` and `grpo` several samples per prompt."""

KLEstimator = Literal["k1", "k2", "k3"]
"""How the KL divergence is estimated from one sampled token; see `kl`."""

LossNormalization = Literal["token", "sequence", "constant"]
"""What the loss is a mean over; see `losses.loss_scale`."""

ImportanceMode = Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]
"""How the mismatch of engine and trainer is corrected; see `importance`."""
