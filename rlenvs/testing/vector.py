"""Checks of the vector form against single environments."""

from typing import Any

import gymnasium as gym
import numpy as np

from rlenvs.testing.play import Subject, difference, expect, row_info

ROWS = 3
MODES = ("SameStep", "NextStep", "Disabled")


class Row:
    """One row of a vector environment, replayed by a single environment."""

    def __init__(self, subject: Subject, number: int) -> None:
        self.subject = subject
        self.number = number
        self.env = subject.make()
        self.rng = np.random.default_rng([subject.seed, number])
        self.observation, self.info = self.env.reset(seed=subject.seed + number)
        self.over = False

    def action(self, idle: Any) -> Any:
        """The next action; anything while the row is over."""
        return idle if self.over else self.subject.actor(self.observation, self.info, self.rng)

    def step(self, action: Any) -> tuple[float, bool, bool]:
        """Step the single environment."""
        self.observation, reward, terminated, truncated, self.info = self.env.step(action)
        self.over = terminated or truncated
        return float(reward), terminated, truncated

    def reset(self) -> None:
        """Open the next episode."""
        self.observation, self.info = self.env.reset()
        self.over = False

    def expect(self, observation: Any, info: Any, when: str) -> None:
        """Expect what the vector environment gave for this row."""
        found = difference((observation, info), (self.observation, self.info))
        expect(found is None, f"row {self.number}, {when}: the vector form and a single environment differ: {found}")


def vector_rows_are_single_environments(subject: Subject) -> str | None:
    """Row i of the vector form is a single environment seeded with `seed + i`, in every autoreset mode."""
    if subject.id is None or gym.spec(subject.id).vector_entry_point is None:
        return "it has no vector form of its own"
    for mode in MODES:
        kwargs = {**(subject.kwargs or {}), "autoreset_mode": mode}
        envs = gym.make_vec(subject.id, num_envs=ROWS, vectorization_mode="vector_entry_point", **kwargs)
        expect(envs.num_envs == ROWS, f"num_envs is {envs.num_envs} instead of {ROWS}")
        replay(envs, subject, mode)
        envs.close()
    return None


def replay(envs: Any, subject: Subject, mode: str, steps: int = 40) -> None:
    """Step a vector environment and single ones side by side."""
    rows = [Row(subject, number) for number in range(ROWS)]
    observations, infos = envs.reset(seed=subject.seed)
    for row in rows:
        row.expect(observations[row.number], row_info(infos, row.number), f"{mode}, reset")
    tokens = isinstance(envs.single_action_space, gym.spaces.Discrete)
    for number in range(steps):
        when = f"{mode}, step {number}"
        actions: Any = [row.action(0 if tokens else "") for row in rows]
        stepped = envs.step(np.array(actions) if tokens else actions)
        expect(stepped[0] in envs.observation_space, f"{when}: observations are not in their space")
        for row, action in zip(rows, actions, strict=True):
            follow(row, action, stepped, mode, when)
        if mode == "Disabled" and all([row.over for row in rows]):
            mask = np.array([row.number != 1 for row in rows])
            observations, infos = envs.reset(options={"reset_mask": mask})
            for row in rows:
                if mask[row.number]:
                    row.reset()
                    row.expect(observations[row.number], row_info(infos, row.number), f"{when}, masked reset")


def follow(row: Row, action: Any, stepped: Any, mode: str, when: str) -> None:
    """Do in the single environment of a row what a step of the vector environment did, and compare."""
    observations, rewards, terminated, truncated, infos = stepped
    i = row.number
    given = (float(rewards[i]), bool(terminated[i]), bool(truncated[i]))
    info = row_info(infos, i)
    if row.over:
        expect(given == (0.0, False, False), f"row {i}, {when}: an idle row gives {given}")
        if mode == "NextStep":
            row.reset()
            row.expect(observations[i], info, when)
        else:
            expect(not info, f"row {i}, {when}: an idle row has an info")
        return
    ended = row.step(action)
    expect(given == ended, f"row {i}, {when}: the vector form gives {given}, a single environment {ended}")
    if (ended[1] or ended[2]) and mode == "SameStep":
        row.expect(info.pop("final_obs"), info.pop("final_info"), when)
        row.reset()
    row.expect(observations[i], info, when)
