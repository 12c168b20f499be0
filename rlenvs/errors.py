"""Every exception that rlenvs raises on purpose.

```
RlenvsError
├── UserError (ValueError)          something the user can put right; the command line answers with exit code 2
│   ├── ConfigError                 a configuration: says file, line, key and the nearest valid one
│   │   └── ParameterError          one parameter of a component, schedule, reducer or potential
│   ├── DataError                   a file of problems or responses: says file, line and field
│   ├── MissingExtraError           an optional dependency is absent: says which extra installs it
│   ├── ModelLoadError              a model or tokenizer cannot be loaded
│   │   └── UnsupportedModelError   an engine does not know the model's architecture
│   ├── DeviceError                 the requested device is absent
│   ├── RunFolderError              a run folder is in the way, unreadable or holds no usable checkpoint
│   ├── StudyError                  a study that does not fit what is asked of it, or cannot be run like that
│   ├── StorageError                the storage of a study is down, unreadable or not one
│   ├── RenderModeError (TypeError)  a render mode that an environment of texts does not have
│   └── WrapperOrderError           wrappers stacked in an order that cannot work
├── ComponentError (RuntimeError)   a reward component failed for a reason the judged text cannot provoke
├── GraderError (RuntimeError)      a grader failed for a reason the judged text cannot provoke
├── SandboxError (RuntimeError)     code cannot be run in isolation here, for a reason the code cannot provoke
├── EngineError (RuntimeError)      an engine could not finish a batch; nothing of the batch is returned
├── UserModelError (RuntimeError)   a model that plays the user of a conversation gave no message
├── CallbackError (RuntimeError)    a callback of a run failed; says which, where and why
├── TuningError (RuntimeError)      a study cannot go on: every trial fails, or workers keep dying; says the first cause
├── PeerError (RuntimeError)        another process of a run of several failed, is gone or does not answer
└── TrainingDivergedError (RuntimeError)  an update destroyed the policy; says what to lower
```

A malformed answer of a model is none of these: it gets a score and a status.
"""


class RlenvsError(Exception):
    """Base of every exception that rlenvs raises on purpose."""


class UserError(RlenvsError, ValueError):
    """Something the user can put right. The message is one line: what, where, what instead."""


class ConfigError(UserError):
    """A configuration that cannot be used."""


class ParameterError(ConfigError):
    """One parameter of a component, schedule, reducer or potential that cannot be used.

    Args:
        parameter: name of the parameter, so that a configuration file can point at its line.
        message: the rule and the received value, without the name: "must be >= 0, got -1".

    Example:
        >>> print(ParameterError("max_length", "must be >= 0, got -1"))
        max_length must be >= 0, got -1
    """

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(f"{parameter} {message}")
        self.parameter = parameter
        self.message = message


class DataError(UserError):
    """A file of problems, demonstrations or responses that cannot be used."""


class MissingExtraError(UserError, ImportError):
    """An optional dependency is not installed."""


class ModelLoadError(UserError):
    """A model or tokenizer that cannot be loaded."""


class UnsupportedModelError(ModelLoadError):
    """A model that the static engine does not decode.

    Attributes:
        reason: what about the model it does not know.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"engine 'static' cannot decode this model: {reason}; use engine 'generate'")
        self.reason = reason


class DeviceError(UserError):
    """The requested device does not exist on this machine."""


class RunFolderError(UserError):
    """A run folder that is in the way, unreadable, or holds no usable checkpoint."""


class StudyError(UserError):
    """A study that does not fit what is asked of it, or that cannot be run like that."""


class StorageError(UserError):
    """The storage of a study is down, cannot be read, or is no storage at all."""


class RenderModeError(UserError, TypeError):
    """A render mode that an environment of texts does not have.

    Also a `TypeError`, because callers that try `rgb_array` first (Stable-Baselines3's `make_vec_env`) take that as
    the sign to go on without it.
    """


class WrapperOrderError(UserError):
    """Wrappers stacked in an order that cannot work."""


class ComponentError(RlenvsError, RuntimeError):
    """A reward component failed for a reason that the judged text cannot provoke.

    Attributes:
        row: which transition of the batch it failed on; None where it is about no single one.
    """

    row: int | None = None


class GraderError(RlenvsError, RuntimeError):
    """A grader failed for a reason that the judged text cannot provoke."""


class SandboxError(RlenvsError, RuntimeError):
    """Code cannot be run in isolation on this machine, for a reason that the code cannot provoke."""


class EngineError(RlenvsError, RuntimeError):
    """An engine could not finish a batch. Nothing of the batch is returned; the message says which engine and why."""


class UserModelError(RlenvsError, RuntimeError):
    """A model that plays the user of a conversation gave no message."""


class TrainingDivergedError(RlenvsError, RuntimeError):
    """An update destroyed the policy."""


class TuningError(RlenvsError, RuntimeError):
    """A study cannot go on: every trial fails, or its workers keep dying. The message says the first cause."""


class PeerError(RlenvsError, RuntimeError):
    """Another process of a run of several failed, is gone or does not answer; the message says which and why."""


class CallbackError(RlenvsError, RuntimeError):
    """A callback of a training run failed; the message says which one, in which hook, and why."""
