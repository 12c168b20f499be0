"""Conformance checks for reward components, schedules and potentials of your own. No test framework is needed.

Subclass the one that fits, say what is to be checked, and let pytest collect it (its methods begin with `test_`) or
call `run()`:

```python
from rlenvs.wrappers import LengthPenalty, Transition
from rlenvs.wrappers.testing import ComponentConformance


class TestLengthPenalty(ComponentConformance):
    def component(self):
        return LengthPenalty(max_length=2, unit="words")

    def transitions(self):
        return [Transition(response=text) for text in ("short", "a longer answer")]
```

Read `component` first; `hostile` has the texts that a model might write.
"""

from rlenvs.wrappers.testing.checks import Conformance
from rlenvs.wrappers.testing.component import ComponentConformance
from rlenvs.wrappers.testing.hostile import hostile_texts
from rlenvs.wrappers.testing.potential import PotentialConformance
from rlenvs.wrappers.testing.schedule import ScheduleConformance

__all__ = [
    "ComponentConformance",
    "Conformance",
    "PotentialConformance",
    "ScheduleConformance",
    "hostile_texts",
]
