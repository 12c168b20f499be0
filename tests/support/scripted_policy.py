"""A policy that says what a test wants it to say."""

from collections.abc import Callable, Sequence

import torch
from tiny import tiny_policy

from rlenvs.agents.llm.engines import Completion, SamplingParams
from rlenvs.agents.llm.policy.model import Policy


class ScriptedEngine:
    """Answers every prompt with what a function makes of its text.

    Args:
        policy: its tokenizer writes and reads.
        script: from the text of the whole conversation so far to the next message.
        close: the token that ends a message; None for the policy's own.
    """

    name = "scripted"

    def __init__(self, policy: Policy, script: Callable[[str], str], close: int | None = None) -> None:
        self.policy = policy
        self.script = script
        self.close_id = policy.eos_id if close is None else close
        self.calls: list[list[list[int]]] = []
        self.params: list[list[SamplingParams]] = []

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        params: Sequence[SamplingParams] | SamplingParams,
        generator: torch.Generator,
    ) -> list[Completion]:
        each = [params] * len(prompts) if isinstance(params, SamplingParams) else list(params)
        torch.randint(2, (len(prompts),), generator=generator)
        self.calls.append([list(prompt) for prompt in prompts])
        self.params.append(each)
        completions = []
        for prompt, one in zip(prompts, each, strict=True):
            text = self.script(self.policy.tokenizer.decode(list(prompt)))
            ids = [*self.policy.tokenizer(text, add_special_tokens=False)["input_ids"], self.close_id]
            kept = ids[: one.max_new_tokens]
            completions.append(Completion(kept, [-0.5] * len(kept), "stop" if len(kept) == len(ids) else "length"))
        return completions

    def sync(self, policy: Policy) -> None:
        self.policy = policy

    def close(self) -> None:
        pass


def scripted(script: Callable[[str], str]) -> tuple[Policy, ScriptedEngine]:
    policy = tiny_policy()
    return policy, ScriptedEngine(policy, script)
