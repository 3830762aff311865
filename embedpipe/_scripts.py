"""What surrounds the main function of a script, such as those in ``pipelines/``."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from ._signals import interrupt_on_signals
from ._text import printable
from .errors import EmbedpipeError, UsageError

__all__ = ["FAILURE", "INTERRUPTED", "WRONG_USAGE", "discard_output", "run_script"]

FAILURE, WRONG_USAGE, INTERRUPTED = 1, 2, 130
"""Exit statuses of scripts and of the command line."""

DEBUG = "EMBEDPIPE_DEBUG"
"""Environment variable that shows the traceback of an error."""


def run_script(main: Callable[[], None]) -> None:
    """Call the main function of a script, and explain its errors in one line as the CLI does.

    The exit status is 0 when it is done, 1 after a failure, 2 after wrong usage and 130 after an
    interruption, SIGTERM or SIGHUP. With ``EMBEDPIPE_DEBUG=1`` in the environment, the
    traceback is shown as well.

    Parameters
    ----------
    main
        Reads its arguments from the command line.

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
    # The last resort: a user sees no traceback without asking for it.
    except Exception as error:  # noqa: BLE001
        _end(f"{type(error).__name__}: {error} ({DEBUG}=1 shows where)", FAILURE)
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


def discard_output() -> None:
    """Write standard output to nowhere, after its reader has seen enough, as `head` has."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end(message: str, status: int) -> NoReturn:
    if os.environ.get(DEBUG):
        traceback.print_exc()
    line = printable(" ".join(message.split()))
    print(f"{Path(sys.argv[0]).name}: {line}", file=sys.stderr)  # noqa: T201
    sys.exit(status)
