"""Our vector environments as `VecEnv`: what Stable-Baselines3 trains on, without a Python step per environment."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices

from rlenvs.agents.sb3.episodes import EpisodeSums
from rlenvs.agents.sb3.row_infos import TRUNCATED, EndedRows, ended_rows, final_info, opening_info, picked_info
from rlenvs.agents.sb3.token_level import check_id, check_vector_env
from rlenvs.envs.protocols import Completion, Conversation
from rlenvs.envs.state import STATE_VERSION, check_state
from rlenvs.envs.token_vector_env import TokenVectorEnv
from rlenvs.errors import UserError
from rlenvs.wrappers import VectorShapedReward
from rlenvs.wrappers.config.rewards import RewardConfig
from rlenvs.wrappers.layers import VectorRewardLayer

Observations = npt.NDArray[Any]
UNGRADED = (Completion, Conversation)
"""Protocols whose episodes end without a verdict: there is no success to report."""
SINGLE = {"observation_space": "single_observation_space", "action_space": "single_action_space"}
"""What a row calls its own, and the vector environment the same of a row."""
NOT_BY_ROW = ("reset", "step", "close")


class VectorEnvAdapter(VecEnv):
    """A vector environment of the token level as a `VecEnv`: the numbers of `DummyVecEnv`, in a fraction of the time.

    It is `DummyVecEnv` over single environments with `Monitor` inside and `ShapedReward` outside, as one object: same
    observations, rewards, ends and episodes from the same seeds. What differs is for speed or for honesty:

    * The info of a row is `{"TimeLimit.truncated": False}` until its episode ends. Then it has `TimeLimit.truncated`,
      `terminal_observation`, `episode`, and `is_success`: whether the grader accepted the last message (left out where
      nothing grades it). `final_info(row)` has the rest, and `info_keywords` puts keys of it into every row's info.
    * `episode` has `r`, `l` and `t` as `Monitor` has them inside the reward layer: `r` is the **true** return, that of
      the task, so that `rollout/ep_rew_mean`, `EvalCallback` and `evaluate_policy` compare runs whose rewards are
      shaped differently. The return that the learner saw is `episode["shaped"]`.
    * Rows share one reward layer, one set of statistics and one clock: `env_method("set_global_step", step)` sets it.
    * `set_attr` raises, because it would change an attribute that nobody reads.

    Args:
        envs: a vector environment of the token level with autoreset SAME_STEP, bare or inside reward layers.
        info_keywords: keys of the environment's infos that the infos of rows are to have too, in every step in which
            the environment has them (`response`, `correct` and `score` where a message ends); those of episodes that
            end are also in `episode`, as with `Monitor`. Each step then writes all infos, which costs more than the
            step itself.

    Attributes:
        layer: the outermost reward layer, None if the reward is the environment's own.
        last_env_rewards: `[N]` what the environment paid in the last step, before any shaping.
        last_observations: `[N, L]` what the policy sees next.
        last_infos: the collated infos of the last step, which nobody has written until somebody reads them.
        env_seconds: time that resets and steps took so far, rewards included.

    Raises:
        UserError: an environment of the turn level, or none that can serve.
        WrapperOrderError: an autoreset mode other than SAME_STEP.

    Example:
        >>> envs = VectorEnvAdapter(gym.make_vec("rlenvs/ArithmeticTokens-v0", num_envs=2, digits=1))
        >>> _ = envs.seed(0)
        >>> envs.reset().shape
        (2, 7)
        >>> end = envs.envs.unwrapped.eos_id
        >>> observations, rewards, dones, infos = envs.step(np.array([3, end]))
        >>> dones.tolist(), infos[0], infos[1]["episode"]["l"], infos[1]["is_success"]
        ([False, True], {'TimeLimit.truncated': False}, 1, False)
    """

    def __init__(self, envs: gym.vector.VectorEnv[Any, Any, Any], info_keywords: Sequence[str] = ()) -> None:
        self.envs = check_vector_env(envs)
        self.info_keywords = tuple(info_keywords)
        self.layer = outermost_layer(envs)
        self.base = envs.unwrapped
        self.graded = not isinstance(self.base, TokenVectorEnv) or not isinstance(self.base.task.protocol, UNGRADED)
        # Algorithms keep the observations of one step until after the next: an environment that writes into its own
        # would change what they store. Ours makes new ones, and its reward layers hand them on.
        self.copies = not isinstance(self.base, TokenVectorEnv) or not only_layers(envs)
        self.sums = EpisodeSums(envs.num_envs)
        self.last_env_rewards = np.zeros(envs.num_envs)
        self.last_observations: Observations = np.zeros(0)
        self.env_seconds = 0.0
        self.last_infos: Mapping[str, Any] = {}
        self._ended = EndedRows.none()
        self._opened_by: list[Mapping[str, Any] | None] = [None] * envs.num_envs
        self._actions: Any = None
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    @property
    def spec(self) -> Any:
        """What made the environment; None where nothing is known of it."""
        return self.base.spec

    @property
    def episode_starts(self) -> npt.NDArray[np.bool_]:
        """`[N]` rows that stand at the first observation of an episode."""
        starts: npt.NDArray[np.bool_] = self.sums.lengths == 0
        return starts

    @property
    def reset_infos(self) -> list[dict[str, Any]]:
        """The info that each row's episode began with."""
        return [opening_info(infos, row) for row, infos in enumerate(self._opened_by)]

    @reset_infos.setter
    def reset_infos(self, infos: list[dict[str, Any]]) -> None:
        """Ignore what the constructor of `VecEnv` sets: resets say it."""

    def reset(self) -> Observations:
        """Begin episodes in all rows, with the seeds of `seed` and the options of `set_options`, which serve once."""
        started = time.perf_counter()
        seeds: Any = list(self._seeds)  # one for each row, which Gymnasium's annotation does not know
        observations, self.last_infos = self.envs.reset(seed=seeds, options=self._given_problems())
        self._reset_seeds()
        self._reset_options()
        self.sums.clear()
        self._opened_by = [self.last_infos] * self.num_envs
        self._ended = EndedRows.none()
        self.env_seconds += time.perf_counter() - started
        return self._own(observations)

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Take the actions of the next `step_wait`, `[N]` token ids."""
        self._actions = actions

    def step_wait(self) -> tuple[Observations, npt.NDArray[np.float32], npt.NDArray[np.bool_], list[dict[str, Any]]]:
        """Take one step in every row; episodes that end are followed by the next at once.

        Returns:
            Observations `[N, L]`, rewards `[N]`, dones `[N]` and N infos; all of them the caller's own.
        """
        started = time.perf_counter()
        observations, rewards, terminated, truncated, self.last_infos = self.envs.step(self._actions)
        dones = np.logical_or(terminated, truncated)
        self.last_env_rewards = rewards if self.layer is None else self.layer.last_env_rewards
        self.sums.add(self.last_env_rewards, rewards)
        # A dict for each row, as callbacks write into them; that is all that is done for rows whose episode goes on.
        rows: list[dict[str, Any]] = [{TRUNCATED: False} for _ in range(self.num_envs)]
        self._ended = EndedRows.none()
        if dones.any():
            self._ended = ended_rows(self.last_infos, dones)
            self._tell_ends(rows, np.logical_and(truncated, ~np.asarray(terminated)))
        if self.info_keywords:
            self._tell_keywords(rows)
        self.env_seconds += time.perf_counter() - started
        return self._own(observations), np.asarray(rewards).astype(np.float32), dones, rows

    def final_info(self, row: int) -> dict[str, Any]:
        """Return all that the environment says of the episode that ended in a row in the last step.

        Raises:
            UserError: none did.
        """
        if row not in self._ended.rows:
            raise UserError(f"final_info: no episode ended in row {row} in the last step")
        return final_info(self.last_infos, row)

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Return which token ids are legal, `[N, V]`."""
        masks: npt.NDArray[np.bool_] = self._find("action_masks")()
        return masks

    def close(self) -> None:
        """Close the environment."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the environment or of a layer around it, once for each row.

        Raises:
            AttributeError: none of them has it.
        """
        value = self._find(SINGLE.get(attr_name, attr_name))
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse: Stable-Baselines3 sets attributes on the outermost wrapper, where nobody reads them.

        Raises:
            UserError: always; it says what to call instead.
        """
        instead = f'env_method("set_{attr_name}", value)' if attr_name == "global_step" else ""
        if attr_name in ("clock", "step", "weight", "weights"):
            instead = 'env_method("set_global_step", step), which moves what schedules read'
        raise UserError(
            f"set_attr({attr_name!r}) would set it on the outermost wrapper, where nothing reads it: "
            f"{f'call {instead}' if instead else 'give it to make_vec_env, or call a method with env_method'}"
        )

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of the environment or of a layer around it: once, as rows share both.

        Args:
            method_name: `set_global_step`, `state_dict`, ...; of `action_masks` each row gets its own.
            *method_args: passed on.
            indices: rows to answer for; for anything but `action_masks` they must be all.
            **method_kwargs: passed on.

        Raises:
            AttributeError: there is no such method.
            UserError: a method that rows cannot be asked for, or some of the rows only.
        """
        rows = list(self._get_indices(indices))
        if method_name == "action_masks":
            return list(self.action_masks()[rows])
        if method_name in NOT_BY_ROW:
            raise UserError(f"env_method({method_name!r}): rows take steps together, call {method_name}() itself")
        if method_name == "set_global_step" and self.layer is None:
            return [None] * len(rows)
        if sorted(rows) != list(range(self.num_envs)):
            raise UserError(
                f"env_method({method_name!r}): rows share one environment, so it cannot be for some of them"
            )
        result = self._find(method_name)(*method_args, **method_kwargs)
        return [result] * len(rows)

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """Return whether a wrapper of this kind is around the environment; `Monitor` counts, this does its work."""
        found = wrapper_class is Monitor or any(isinstance(layer, wrapper_class) for layer in layers(self.envs))
        return [found for _ in self._get_indices(indices)]

    def get_images(self) -> list[None]:
        """Return no pictures: texts have none."""
        return [None] * self.num_envs

    def state_dict(self) -> dict[str, Any]:
        """Return environment, reward layer and episodes at hand as plain data; a run that loads it goes on exactly."""
        return {
            "kind": type(self).__name__,
            "version": STATE_VERSION,
            "env": self._of_base("state_dict")(),
            "rewards": None if self.layer is None else self.layer.state_dict(),
            "episodes": self.sums.state_dict(),
            "observations": self.last_observations.tolist(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called; `last_observations` are those of then.

        Raises:
            UserError: the state is of something else.
        """
        check_state(state, type(self).__name__)
        if (state["rewards"] is None) != (self.layer is None):
            raise UserError("state: it was saved with a reward layer and this has none, or the other way round")
        self._of_base("load_state_dict")(state["env"])
        if self.layer is not None:
            self.layer.load_state_dict(state["rewards"])
        self.sums.load_state_dict(state["episodes"])
        self.last_observations = np.array(state["observations"], dtype=self.observation_space.dtype)
        self.last_infos, self._ended = {}, EndedRows.none()
        self._opened_by = [None] * self.num_envs

    def _tell_ends(self, rows: list[dict[str, Any]], cut: npt.NDArray[np.bool_]) -> None:
        """Fill the infos of rows whose episode ended."""
        ended = self._ended
        truncated, correct = cut[ended.rows].tolist(), ended.correct
        entries = self.sums.close(ended.rows)
        for place, row in enumerate(ended.rows.tolist()):
            self._opened_by[row] = self.last_infos
            rows[row] = {
                TRUNCATED: truncated[place],
                "terminal_observation": ended.observations[place],
                "episode": entries[place],
            }
            if self.graded and correct is not None:
                rows[row]["is_success"] = bool(correct[place])

    def _tell_keywords(self, rows: list[dict[str, Any]]) -> None:
        """Add what `info_keywords` asks for."""
        over = set(self._ended.rows.tolist())
        for row, info in enumerate(rows):
            values = picked_info(self.last_infos, row, self.info_keywords, final=row in over)
            info.update(values)
            if row in over:
                info["episode"].update(values)

    def _own(self, observations: Any) -> Observations:
        """Return observations that nobody writes into, and note them."""
        self.last_observations = np.array(observations) if self.copies else observations
        return self.last_observations

    def _given_problems(self) -> dict[str, Any] | None:
        """Return the options of single environments as those of the vector form.

        Raises:
            UserError: an option that the vector form does not have.
        """
        if not any(self._options):
            return None
        unknown = sorted({key for options in self._options for key in options if key != "problem"})
        if unknown:
            raise UserError(f"reset option {unknown[0]!r}: the environments take 'problem' and nothing else")
        return {"problems": [options.get("problem") for options in self._options]}

    def _find(self, name: str) -> Any:
        """Return an attribute of the outermost layer that has it."""
        for layer in layers(self.envs):
            if hasattr(layer, name):
                return getattr(layer, name)
        raise AttributeError(f"{self.envs} and what is in it have no attribute {name!r}")

    def _of_base(self, name: str) -> Any:
        """Return a method of the environment below all wrappers.

        Raises:
            UserError: it has none.
        """
        method = getattr(self.base, name, None)
        if method is None:
            raise UserError(f"{type(self.base).__name__} has no {name}(): its episodes cannot be saved")
        return method


def make_vec_env(
    env_id: str,
    num_envs: int = 1,
    env_kwargs: Mapping[str, Any] | None = None,
    rewards: "str | Path | Mapping[str, Any] | RewardConfig | None" = None,
    seed: int | None = None,
    max_episode_steps: int | None = None,
    info_keywords: Sequence[str] = (),
) -> VectorEnvAdapter:
    """Make what Stable-Baselines3 trains on: `num_envs` episodes side by side, with the reward that is configured.

    Args:
        env_id: a registered id of the token level.
        num_envs: N, at least 1.
        env_kwargs: parameters of the environment.
        rewards: path of a YAML file, a mapping or a `RewardConfig`; the environment's own reward if omitted.
        seed: row i draws its problems with `seed + i`; None for what nobody can repeat.
        max_episode_steps: tokens after which an episode is truncated; None for the limit of the id.
        info_keywords: see `VectorEnvAdapter`.

    Raises:
        UserError: an id of the turn level (the message names the one of the token level) or an unknown one, or an
            argument that the environment does not take.
        ConfigError: a reward that cannot be used.

    Example:
        >>> envs = make_vec_env("rlenvs/ArithmeticTokens-v0", 4, {"digits": 1}, seed=0)
        >>> envs.num_envs, envs.action_space
        (4, Discrete(17))
    """
    check_id(env_id)
    kwargs = dict(env_kwargs or {})
    if max_episode_steps is not None:
        kwargs["max_episode_steps"] = max_episode_steps
    try:
        envs = gym.make_vec(env_id, num_envs=num_envs, **kwargs)
    except gym.error.Error as error:
        raise UserError(f"environment {env_id!r}: {error}") from error
    adapter = VectorEnvAdapter(envs if rewards is None else VectorShapedReward(envs, rewards), info_keywords)
    if seed is not None:
        adapter.seed(seed)
    return adapter


def layers(envs: Any) -> list[Any]:
    """Return a vector environment and what is inside it, from the outside in."""
    found = [envs]
    while isinstance(found[-1], gym.vector.VectorWrapper):
        found.append(found[-1].env)
    return found


def outermost_layer(envs: Any) -> VectorRewardLayer | None:
    """Return the outermost reward layer: it has the pipeline of all that are stacked."""
    return next((layer for layer in layers(envs) if isinstance(layer, VectorRewardLayer)), None)


def only_layers(envs: Any) -> bool:
    """Return whether nothing but reward layers is around an environment."""
    return all(isinstance(layer, VectorRewardLayer) for layer in layers(envs)[:-1])
