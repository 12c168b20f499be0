"""Random episodes that the tests of the learner share."""

import torch

from rlenvs.agents.llm.rollout.batch import Episode

CPU = torch.device("cpu")


def random_episodes(count: int = 10, feedback: int = 0) -> list[Episode]:
    """Random episodes of one or two turns; `feedback` tokens stand between the turns."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda n: torch.randint(3, 14, (n,), generator=generator).tolist()  # noqa: E731
    made = []
    for number in range(count):
        prompt = draw(1 + number % 3)
        episode = Episode(ids=prompt, action=[False] * len(prompt))
        for turn in range(1 + number % 2):
            if turn:
                episode.add_feedback([5] * feedback)
            message = draw(1 + (number + turn) % 4)
            episode.add_message(message, [-1.0] * len(message))
            episode.credit(float(number % 3 + turn))
        episode.terminated = number % 4 != 0
        made.append(episode)
    return made
