"""The standard output of a command, and its exit status."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any, TextIO

import typer

from .._scripts import FAILURE, INTERRUPTED, WRONG_USAGE, discard_output
from .._text import printable
from .._urls import public_text
from ..errors import EmbedpipeError, UnknownNameError, UsageError

__all__ = ["TOO_MANY_FAILURES", "Output", "ending", "print_error", "wants_json"]

TOO_MANY_FAILURES = 3
"""Exit status after too many failed images; `_scripts` defines the other statuses."""

EXTENSIONS = (
    "strategy",
    "head",
    "policy",
    "method",
    "objective",
    "backbone",
    "label format",
    "tracker",
)
"""Kinds of entries that modules of the user can register."""


class Output:
    """Standard output of one command.

    With `as_json`, standard output contains one JSON object only. Output of other code, in this
    process or in a child process, goes to standard error.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._stream: TextIO = sys.stdout
        self._result: dict[str, Any] | None = None
        self._facts: dict[str, Any] = {}
        self._written = False

    @contextlib.contextmanager
    def reserved(self) -> Iterator[None]:
        """Reserve standard output for the result, and write the result at the end."""
        if not self.as_json:
            yield
            return
        with contextlib.ExitStack() as stack:
            descriptor = _descriptor(sys.stdout)
            if descriptor is None:
                stack.enter_context(contextlib.redirect_stdout(sys.stderr))
            else:
                self._stream = stack.enter_context(_diverted(descriptor))
            try:
                yield
            finally:
                self.flush()

    def result(self, result: dict[str, Any], text: str, *, now: bool) -> None:
        """Print the text, or store the result for JSON; with `now`, write the JSON at once."""
        if not self.as_json:
            print(printable(text, keep="\n\t"))  # noqa: T201
        elif not self._written:
            self._result = result
            if now:
                self.flush()

    def add(self, **facts: Any) -> None:
        """Add keys to the JSON object, also if the command fails."""
        self._facts |= facts

    def error(self, message: str, kind: str, status: int) -> None:
        """Add an error to the result; without a result, the error is the result."""
        error = {"error": message, "kind": kind, "status": status}
        self._result = {**(self._result or {}), **error}

    def flush(self) -> None:
        """Write the JSON object, once."""
        if self._result is not None and not self._written:
            self._written = True
            self._stream.write(f"{_as_json({**self._result, **self._facts})}\n")
            self._stream.flush()


def _descriptor(stream: TextIO) -> int | None:
    """Return the file descriptor of a stream, or None for a stream in memory."""
    try:
        return stream.fileno()
    except (OSError, ValueError, io.UnsupportedOperation):
        return None


@contextlib.contextmanager
def _diverted(descriptor: int) -> Iterator[TextIO]:
    """Redirect a descriptor to standard error, and yield a stream to its previous file."""
    sys.stdout.flush()
    saved = os.dup(descriptor)
    try:
        os.dup2(_descriptor(sys.stderr) or 2, descriptor)
        with open(saved, "w", encoding="utf-8", closefd=False) as stream:
            yield stream
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os.dup2(saved, descriptor)
        os.close(saved)


def _as_json(result: dict[str, Any]) -> str:
    """Return one line of JSON; NaN and infinity become null."""
    try:
        return json.dumps(result, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(result), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value


def wants_json(words: list[str]) -> bool:
    """Return whether a command line contains ``--json``, even if it cannot be parsed."""
    return "--json" in (words[: words.index("--")] if "--" in words else words)


@contextlib.contextmanager
def ending(output: Output, debug: bool) -> Iterator[None]:
    """Turn an exception into one line on standard error and an exit status."""
    try:
        yield
    except KeyboardInterrupt:
        message = "interrupted; run the same command again to continue."
        raise _exit(output, message, "Interrupted", INTERRUPTED, debug) from None
    except EmbedpipeError as error:
        status = WRONG_USAGE if isinstance(error, UsageError) else FAILURE
        message = f"{error}{_extension_hint(error)}"
        raise _exit(output, message, type(error).__name__, status, debug) from None
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:
        discard_output()
        raise typer.Exit(FAILURE) from None
    # The traceback of an unexpected error is shown with --debug only.
    except Exception as error:  # noqa: BLE001
        name = type(error).__name__
        message = f"unexpected {name}: {error} (--debug shows the traceback)"
        raise _exit(output, message, name, FAILURE, debug) from None


def _extension_hint(error: EmbedpipeError) -> str:
    """Return a sentence about the option ``--import`` if a module could register the name."""
    if isinstance(error, UnknownNameError) and error.kind in EXTENSIONS:
        return f" For a {error.kind} of your own, add --import MODULE."
    return ""


def _exit(output: Output, message: str, kind: str, status: int, debug: bool) -> typer.Exit:
    if debug:
        traceback.print_exc()
    output.error(print_error(message), kind, status)
    return typer.Exit(status)


def print_error(message: str) -> str:
    """Write an error on one line of standard error; return the line without ``embedpipe:``."""
    line = printable(public_text(" ".join(message.split())))
    with contextlib.suppress(OSError):  # the terminal is closed
        print(f"embedpipe: {line}", file=sys.stderr)  # noqa: T201
    return line
