"""The environments: what a step is.

* `rlenvs.envs.protocols`: how an episode goes on after a message: one answer, attempts, steps, tool calls, programs,
  talks.
* `rlenvs.envs.episode`: the one implementation of an episode, for every environment here.
* `rlenvs.envs.text_env`: turn level, one episode at a time: action and observation are whole messages.
* `rlenvs.envs.text_vector_env`: turn level, many episodes per call, graded in one batch.
* `rlenvs.envs.token_env`, `token_vector_env`: token level: a turn-level environment seen through a tokenizer.
* `rlenvs.envs.suite`: any source with any protocol, by name; every id is made of it.
"""

from rlenvs.envs.byte_tokenizer import ByteTokenizer
from rlenvs.envs.char_tokenizer import CharTokenizer
from rlenvs.envs.episode import Episode, TextTask
from rlenvs.envs.messages import Message
from rlenvs.envs.protocols import (
    Completion,
    Conversation,
    Protocol,
    PythonTool,
    Retry,
    SingleAnswer,
    Steps,
    ToolCalls,
    Turn,
    WriteRunFix,
    make_protocol,
)
from rlenvs.envs.suite import SuiteEnv, SuiteTokenEnv, SuiteTokenVectorEnv, SuiteVectorEnv
from rlenvs.envs.text_env import TextEnv
from rlenvs.envs.text_vector_env import TextVectorEnv
from rlenvs.envs.token_env import TokenEnv, Tokenizer
from rlenvs.envs.token_vector_env import TokenVectorEnv
from rlenvs.envs.tokenizers import make_tokenizer

__all__ = [
    "ByteTokenizer",
    "CharTokenizer",
    "Completion",
    "Conversation",
    "Episode",
    "Message",
    "Protocol",
    "PythonTool",
    "Retry",
    "SingleAnswer",
    "Steps",
    "SuiteEnv",
    "SuiteTokenEnv",
    "SuiteTokenVectorEnv",
    "SuiteVectorEnv",
    "TextEnv",
    "TextTask",
    "TextVectorEnv",
    "TokenEnv",
    "TokenVectorEnv",
    "Tokenizer",
    "ToolCalls",
    "Turn",
    "WriteRunFix",
    "make_protocol",
    "make_tokenizer",
]
