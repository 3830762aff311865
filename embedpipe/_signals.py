"""Signals that end a command or a script like Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any, NoReturn

__all__ = ["interrupt_on_signals"]

_NAMES = ("SIGTERM", "SIGHUP")
"""Requests to terminate; systems without one of them do not send it."""


def interrupt_on_signals() -> Mapping[int, Any]:
    """Treat a request to terminate and the end of the terminal like Ctrl-C.

    A signal that is ignored, as under `nohup`, stays so. The first one counts: cleaning up is not
    interrupted by another. Returns the handlers that were replaced, by signal.
    """
    replaced = {}
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            replaced[number] = signal.signal(number, _interrupt)
    return replaced


def _interrupt(*_: object) -> NoReturn:
    for name in _NAMES:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    raise KeyboardInterrupt
