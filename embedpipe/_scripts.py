"""Signals, exit statuses and error messages of scripts, such as those in ``pipelines/``."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from ._text import printable
from .errors import EmbedpipeError, UsageError

__all__ = [
    "FAILURE",
    "INTERRUPTED",
    "WRONG_USAGE",
    "discard_output",
    "interrupt_on_signals",
    "run_script",
]

FAILURE, WRONG_USAGE, INTERRUPTED = 1, 2, 130
"""Exit statuses of scripts and of the command line."""

DEBUG = "EMBEDPIPE_DEBUG"
"""Environment variable that enables tracebacks."""

_SIGNALS = ("SIGTERM", "SIGHUP")
"""Signals that end a command or a script like Ctrl-C, where the system has them."""


def interrupt_on_signals() -> Mapping[int, Any]:
    """Handle SIGTERM and SIGHUP like Ctrl-C; return the replaced handlers by signal."""
    # A signal that is ignored, as under `nohup`, stays ignored.
    replaced = {}
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            replaced[number] = signal.signal(number, _interrupt)
    return replaced


def _interrupt(*_: object) -> NoReturn:
    """Raise KeyboardInterrupt, and ignore further signals during the cleanup."""
    for name in _SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    raise KeyboardInterrupt


def run_script(main: Callable[[], None]) -> None:
    """Call the main function of a script; print its errors in one line, like the command line.

    The exit status is 0 after success, 1 after a failure, 2 after wrong usage and 130 after an
    interruption. ``EMBEDPIPE_DEBUG=1`` adds the traceback.

    Examples
    --------
    >>> def main():
    ...     print("done")
    >>> run_script(main)
    done
    """
    replaced = interrupt_on_signals()
    try:
        main()
    except EmbedpipeError as error:
        _end(str(error), WRONG_USAGE if isinstance(error, UsageError) else FAILURE)
    except KeyboardInterrupt:
        _end("interrupted; run it again to continue.", INTERRUPTED)
    except BrokenPipeError:
        discard_output()
        sys.exit(FAILURE)
    # Users see tracebacks only on request.
    except Exception as error:  # noqa: BLE001
        _end(f"{type(error).__name__}: {error} (set {DEBUG}=1 for the traceback)", FAILURE)
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


def discard_output() -> None:
    """Discard further standard output, after a reader such as `head` has closed it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end(message: str, status: int) -> NoReturn:
    if os.environ.get(DEBUG):
        traceback.print_exc()
    line = printable(" ".join(message.split()))
    print(f"{Path(sys.argv[0]).name}: {line}", file=sys.stderr)  # noqa: T201
    sys.exit(status)
