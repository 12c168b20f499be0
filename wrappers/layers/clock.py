"""The reward clock: environment steps since training began, one for all sub-environments."""

from typing import Any

from rlenvs.errors import WrapperOrderError


def refuse_second_clock(env: Any) -> None:
    """Refuse to wrap an environment that a shaped reward wraps already, or that is none of Gymnasium.

    Args:
        env: an environment or vector environment, wrapped or not.

    Raises:
        WrapperOrderError: there would be two reward clocks, and rewards shaped twice; or it is a `VecEnv`.
    """
    if hasattr(env, "env_method"):
        raise WrapperOrderError(
            f"{type(env).__name__} is a VecEnv of Stable-Baselines3, and rewards go inside it: "
            "make_vec_env(..., wrapper_class=ShapedReward, wrapper_kwargs={'config': ...}), or "
            "rlenvs.agents.sb3.make_vec_env(..., rewards=...)"
        )
    layer = env
    while layer is not None:
        if isinstance(getattr(layer, "clock", None), RewardClock):
            raise WrapperOrderError(
                f"the environment is inside a {type(layer).__name__} already, and two reward clocks cannot agree: "
                "put all components into one configuration"
            )
        below = vars(layer)
        layer = below.get("env")
        if layer is None and below.get("envs"):  # a `SyncVectorEnv`: one of its sub-environments says it for all
            layer = below["envs"][0]


class RewardClock:
    """Counts environment steps until someone who knows better sets it.

    Example:
        >>> clock = RewardClock()
        >>> clock.advance(3)
        >>> clock.step
        3
        >>> clock.set(100)
        >>> clock.advance(3)
        >>> clock.step
        100
    """

    def __init__(self) -> None:
        self.step = 0
        self.driven = False

    def advance(self, steps: int) -> None:
        """Count `steps` environment steps, unless a trainer keeps the clock."""
        if not self.driven:
            self.step += steps

    def set(self, step: int) -> None:
        """Set the clock and keep it from counting on its own.

        Raises:
            ValueError: a negative step.
        """
        if step < 0:
            raise ValueError(f"the reward clock counts environment steps and cannot be negative, got {step}")
        self.step, self.driven = int(step), True

    def state_dict(self) -> dict[str, Any]:
        """Return the clock as plain data."""
        return {"step": self.step, "driven": self.driven}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.step, self.driven = int(state["step"]), bool(state["driven"])
