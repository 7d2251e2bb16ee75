"""How long to wait before trying again. Knows nothing about what failed; reads no clock."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double, with jitter so that many clients do not return in step.

    Attributes:
        first_s: Longest first wait, in seconds.
        max_s: No wait is longer, in seconds.
        max_attempts: Failures in a row after which to give up; the default lasts about a minute.
    """

    first_s: float = 0.5
    max_s: float = 8.0
    max_attempts: int = 12

    def wait_s(self, attempt: int, *, draw: Callable[[], float] = random.random) -> float | None:
        """Seconds to wait after a failure; None means give up.

        Args:
            attempt: How many failures in a row there have been, 1 or more.
            draw: Gives a number in [0, 1): half of the wait is fixed, half is drawn.
        """
        if attempt > self.max_attempts:
            return None
        longest_s = min(self.max_s, self.first_s * 2.0 ** (attempt - 1))
        return longest_s * (0.5 + 0.5 * draw())
