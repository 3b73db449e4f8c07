"""How many examples a property test tries: a fifth in ``make test``, all of them in ``make test-all``."""

import os

_ALL = bool(os.environ.get("QWENDESK_ALL_EXAMPLES"))


def examples(number: int) -> int:
    """Return how many examples to try, where a full run tries ``number``."""
    return number if _ALL else max(10, number // 5)
