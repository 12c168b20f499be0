"""Engines: token ids in, token ids and log-probabilities out.

Read `protocol` first. `static` (a decoder of our own: `decoder` has the arithmetic, `scheduling` the rows, `stepper`
what a GPU replays) and `generate` (any model of transformers) run in this process on the live weights; `vllm` and
`http` send the work elsewhere and are imported when they are made. `sampling` and `stopping` are shared by the first
two, so that these differ in speed alone.
"""

from rlenvs.agents.llm.engines.choice import Choice, EngineName, choose_engine, make_engine
from rlenvs.agents.llm.engines.generate import GenerateEngine
from rlenvs.agents.llm.engines.protocol import Completion, Engine, Finish, SamplingParams
from rlenvs.agents.llm.engines.static import StaticEngine

__all__ = [
    "Choice",
    "Completion",
    "Engine",
    "EngineName",
    "Finish",
    "GenerateEngine",
    "SamplingParams",
    "StaticEngine",
    "choose_engine",
    "make_engine",
]
