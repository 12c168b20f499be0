"""`RewardShaper`: weights that move and potential terms, for training loops that call the reward by hand."""

from collections.abc import Mapping
from typing import Any

from gymnasium.error import ResetNeeded

from rlenvs.config_file import did_you_mean
from rlenvs.errors import ConfigError
from rlenvs.wrappers.config.shaper import read_schedules
from rlenvs.wrappers.loops.composer import RewardComposer, response_of
from rlenvs.wrappers.pipeline import RewardPipeline
from rlenvs.wrappers.plain import from_plain, to_plain
from rlenvs.wrappers.reward_batch import RewardRow, Visited
from rlenvs.wrappers.transition import RewardState, Transition

__all__ = ["RewardShaper"]

CONTEXT_KEYS = (
    "global_step",
    "terminated",
    "truncated",
    "prompt",
    "response",
    "messages",
    "observation",
    "action",
    "next_observation",
)


class RewardShaper:
    """Weights that move while a run goes on, and potential terms, on top of a composer.

    Args:
        composer: what is weighted; it belongs to this shaper from now on.
        shaping_config: name -> weight, as `reward_shaping` has it in either dialect (in the guide's, class and
            parameters are the composer's and are not read again); or name -> schedule.

    Raises:
        ConfigError: the weights cannot be used, or the composer has a shaper already.

    Example:
        >>> from rlenvs.wrappers import CorrectnessReward
        >>> shaper = RewardShaper(
        ...     RewardComposer({"right": CorrectnessReward()}),
        ...     {"right": {"initial_weight": 2.0, "decay_schedule": "linear", "decay_steps": 100}},
        ... )
        >>> shaper.update_weights(global_step=50)
        >>> shaper.get_weights()
        {'right': 1.0}
        >>> shaper.shape(0.0, {"correct": True}, {"terminated": True})
        1.0
    """

    def __init__(self, composer: RewardComposer, shaping_config: Mapping[str, Any]) -> None:
        composer.schedule(read_schedules(shaping_config))
        self.composer = composer
        self.last: RewardRow | None = None
        self._begun = False
        self._before: dict[str, Any] = {}
        self._visited: list[Visited] = []
        self._visited_step = 0

    @property
    def pipeline(self) -> RewardPipeline:
        """What does the work: the composer's."""
        return self.composer.pipeline

    def update_weights(self, global_step: int) -> None:
        """Set the reward clock: environment steps since training began."""
        self.composer.clock.set(global_step)

    def get_weights(self) -> dict[str, float]:
        """Return name -> weight of now."""
        return dict(zip(self.composer.names, self.pipeline.weights(self.composer.clock.step).tolist(), strict=True))

    def reset(self, info: Mapping[str, Any] | None = None, context: Mapping[str, Any] | None = None) -> None:
        """Begin an episode. Potential terms need to know where it begins; without them it may be left out.

        Args:
            info: what `env.reset` returned as info.
            context: `observation`, `prompt`, `messages`, `global_step`, where the potentials look at them.
        """
        given = checked_context(context)
        self._set_clock(given)
        info = dict(info or {})
        observation = given.get("observation")
        prompt = given.get("prompt", observation if isinstance(observation, str) else "")
        messages = given.get("messages", info.get("messages", ()))
        self._before = {"prompt": prompt, "observation": observation, "info": {"messages": messages, **info}}
        self._visited_step = self.composer.clock.step
        state = RewardState(prompt, messages, observation, info)
        self._visited = [(w, phi) for w, phi in self.pipeline.visit([state], self._visited_step)[0].tolist()]
        self._begun = True

    def shape(self, raw_reward: float, info: Mapping[str, Any], context: Mapping[str, Any] | None = None) -> float:
        """Return the shaped reward of one step.

        Args:
            raw_reward: the environment's own reward; it counts where a component says so (`EnvReward`).
            info: the info of the step.
            context: `terminated`, `truncated`, `global_step`, and what the components look at: `prompt`, `response`,
                `messages`, `observation`, `action`, `next_observation`.

        Raises:
            ConfigError: an unknown key in the context.
            ResetNeeded: there are potential terms and no episode has begun.
            ComponentError: a component failed twice.
        """
        given = checked_context(context)
        self._set_clock(given)
        if not self._begun:
            if self.pipeline.potential_gammas:
                raise ResetNeeded("potential terms need the state that an episode begins in: call reset(info) first")
            self.reset(None, {key: given[key] for key in ("observation", "prompt") if key in given})
        transition, now = self._transition(float(raw_reward), info, given), self.composer.clock.step
        self.last = self.pipeline.compute_one(transition, now, self._visited)
        self.composer.clock.advance(1)
        self._visited, self._visited_step = self.last.visited, now
        self._before.update(observation=transition.next_observation, info=dict(info))
        self._begun = not (transition.terminated or transition.truncated)
        return self.last.total

    def state_dict(self) -> dict[str, Any]:
        """Return statistics, component states, clock and the episode that has begun, as plain data.

        It is plain where observations and infos are plain data or NumPy arrays.
        """
        return {
            "composer": self.composer.state_dict(),
            "begun": self._begun,
            "before": to_plain(self._before),
            "visited": [list(pair) for pair in self._visited],
            "visited_step": self._visited_step,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ConfigError: the state belongs to another configuration.
        """
        self.composer.load_state_dict(state["composer"])
        self._begun, self._before = bool(state["begun"]), from_plain(state["before"])
        self._visited = [(float(weighted), float(phi)) for weighted, phi in state["visited"]]
        self._visited_step = int(state["visited_step"])

    def _transition(self, raw_reward: float, info: Mapping[str, Any], given: Mapping[str, Any]) -> Transition:
        before = self._before
        return Transition(
            prompt=given.get("prompt", before["prompt"]),
            response=response_of(given, given.get("action"), info),
            messages=given.get("messages", info.get("messages", ())),
            observation=given.get("observation", before["observation"]),
            action=given.get("action"),
            next_observation=given.get("next_observation"),
            env_reward=raw_reward,
            terminated=bool(given.get("terminated", False)),
            truncated=bool(given.get("truncated", False)),
            info=info,
            previous_info=before["info"],
            step=self.composer.clock.step,
            previous_step=self._visited_step,
        )

    def _set_clock(self, given: Mapping[str, Any]) -> None:
        if "global_step" in given:
            self.composer.clock.set(given["global_step"])


def checked_context(context: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Refuse keys that nobody would read."""
    for key in context or {}:
        if key not in CONTEXT_KEYS:
            raise ConfigError(
                f"context: unknown key {key!r}{did_you_mean(key, CONTEXT_KEYS)} (known: {', '.join(CONTEXT_KEYS)}); "
                "what a component reads from its environment belongs into info"
            )
    return context or {}
