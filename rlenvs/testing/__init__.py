"""A conformance suite for text environments of your own. No test framework is needed.

```python
from rlenvs.testing import check_text_env

check_text_env("my_package/MyEnv-v0")
```

Every environment of this package passes it. Read `rlenvs.testing.text_env` first.
"""

from rlenvs.testing.text_env import CHECKS, check_text_env

__all__ = ["CHECKS", "check_text_env"]
