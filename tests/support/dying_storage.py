"""A storage of Optuna whose user dies at a chosen write: what a SIGKILL does to a worker, at every place it can hit."""

import threading

from optuna.storages import BaseStorage

WRITES = (
    "create_new_trial",
    "set_trial_param",
    "set_trial_state_values",
    "set_trial_intermediate_value",
    "set_trial_user_attr",
    "set_trial_system_attr",
    "set_study_user_attr",
    "set_study_system_attr",
)


class Killed(BaseException):
    """Nothing catches this: what is written is written, and nothing more will be."""


def dying(storage: BaseStorage, at: int, *, before: bool) -> BaseStorage:
    """Return the storage as somebody sees it who dies at the write of that number, before or after it is done."""
    state = {"count": 0, "dead": False}
    lock = threading.Lock()

    class Dying(type(storage)):
        def __init__(self) -> None:
            pass  # it is the other one, attribute by attribute

        def __getattribute__(self, name):
            attribute = getattr(storage, name)
            if name not in WRITES:
                return attribute

            def write(*args, **kwargs):
                with lock:
                    if state["dead"]:
                        raise Killed
                    state["dead"] = state["count"] == at
                    dies = state["dead"]
                    state["count"] += 1
                if dies and before:
                    raise Killed
                result = attribute(*args, **kwargs)
                if dies:
                    raise Killed
                return result

            return write

    return Dying()
