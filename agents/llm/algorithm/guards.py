"""When to stop: predicates on the metrics of an update."""

# First updates of the arithmetic configuration, measured: with its own settings 3 % and 0.002 nats; with 5e-4 and no
# warm-up 26 % and 0.12, from which it recovered; with 2e-3 and no warm-up 46 % and 1.6, accuracy 30 % -> 1 % for good.
MAX_FIRST_CLIP_FRACTION = 0.3
MAX_FIRST_KL = 0.5  # nats per action token


def broken_first_update(
    clip_fraction: float,
    approx_kl: float,
    max_clip_fraction: float = MAX_FIRST_CLIP_FRACTION,
    max_kl: float = MAX_FIRST_KL,
) -> str | None:
    """Say that the first update of a run already broke the policy, which nothing later repairs.

    Args:
        clip_fraction: share of the action tokens whose ratio left the clip range, in [0, 1].
        approx_kl: KL(old, new) of the update, nats per action token.
        max_clip_fraction: more is broken.
        max_kl: more is broken.

    Returns:
        One line that says what happened and what to lower; None where all is well. A number that is not finite is
        broken.

    Example:
        >>> broken_first_update(clip_fraction=0.02, approx_kl=0.001) is None
        True
        >>> broken_first_update(clip_fraction=0.5, approx_kl=0.1).split(":")[0]
        'the first update already broke the policy'
    """
    found = []
    if not clip_fraction <= max_clip_fraction:
        found.append(f"{clip_fraction:.0%} of the tokens left the clip range (limit {max_clip_fraction:.0%})")
    if not approx_kl <= max_kl:
        found.append(f"it moved by {approx_kl:.3g} nats per token (limit {max_kl:g})")
    if not found:
        return None
    return (
        f"the first update already broke the policy: {' and '.join(found)}; lower ppo.learning_rate, raise "
        "ppo.warmup_steps, or keep the value loss off the trunk (ppo.critic: detached)"
    )
