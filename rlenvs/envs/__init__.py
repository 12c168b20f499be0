"""The environments: what a step is.

* `rlenvs.envs.protocol`: how an episode goes on after an answer; `episode` applies it, for every environment
  here.
* `rlenvs.envs.text_env`: turn level, one episode at a time: action and observation are whole messages.
* `rlenvs.envs.text_vector_env`: turn level, many episodes per call, graded in one batch.
* `rlenvs.envs.token_env`: token level: a turn-level environment seen through a tokenizer.
* `rlenvs.envs.arithmetic`: the three of them over procedural arithmetic; these have ids.
"""

from rlenvs.envs.arithmetic import ArithmeticEnv, ArithmeticTokenEnv, ArithmeticVectorEnv
from rlenvs.envs.char_tokenizer import CharTokenizer
from rlenvs.envs.episode import Episode, TextTask
from rlenvs.envs.protocol import Message, Protocol, SingleAnswer, Turn
from rlenvs.envs.text_env import TextEnv
from rlenvs.envs.text_vector_env import TextVectorEnv
from rlenvs.envs.token_env import TokenEnv, Tokenizer

__all__ = [
    "ArithmeticEnv",
    "ArithmeticTokenEnv",
    "ArithmeticVectorEnv",
    "CharTokenizer",
    "Episode",
    "Message",
    "Protocol",
    "SingleAnswer",
    "TextEnv",
    "TextTask",
    "TextVectorEnv",
    "TokenEnv",
    "Tokenizer",
    "Turn",
]
