"""What was found out a moment ago, so that many who look cost no more than one who does. Knows no question."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from lockbot.errors import LockbotError

_Value = TypeVar("_Value")
_SECONDS_OF_AN_ERROR = 2.0
"""What could not be found out is asked again soon."""


class Remembered:
    """Answers by key, for so many seconds each. Who asks for what is just being found out waits for that."""

    def __init__(self, most: int = 64, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()

    def get(self, key: Hashable, seconds: float, ask: Callable[[], _Value]) -> _Value:
        """Raises what `ask` raises; a LockbotError is remembered, too."""
        with self._lock:
            answer = self._answers.setdefault(key, _Answer())
            self._answers.move_to_end(key)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        with answer.lock:
            if self._clock() >= answer.until:
                answer.find(ask)
                answer.until = self._clock() + (seconds if answer.error is None else _SECONDS_OF_AN_ERROR)
            value: _Value = answer.told()
            return value


class _Answer:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.until = float("-inf")
        self.value: Any = None
        self.error: LockbotError | None = None

    def find(self, ask: Callable[[], Any]) -> None:
        self.value = self.error = None
        try:
            self.value = ask()
        except LockbotError as error:
            self.error = error

    def told(self) -> Any:
        if self.error is not None:
            raise self.error.with_traceback(None)  # else it would grow with each who asks
        return self.value
