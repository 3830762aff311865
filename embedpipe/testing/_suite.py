"""Suites of checks, for example of all checks that a head must pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import SkipTest

from ..errors import UsageError

__all__ = ["Check", "CheckReport", "ContractError", "NotApplicable", "Suite", "raising"]

Check = Callable[[Any], None]
"""A function that raises an exception if the check fails, `NotApplicable` if it does not apply."""


class NotApplicable(SkipTest):
    """Raised, with a reason, by a check that does not apply; pytest skips the check."""


class ContractError(AssertionError):
    """A check failed, or none passed; the message has one line for each failed check."""


@dataclass(frozen=True)
class CheckReport:
    """The result of a suite of checks.

    Attributes
    ----------
    passed
        Names of the checks that passed.
    not_applicable
        Names of the checks that do not apply, with the reasons.
    """

    passed: tuple[str, ...]
    not_applicable: Mapping[str, str]

    def __str__(self) -> str:
        lines = [f"{len(self.passed)} checks passed"]
        lines += [f"not applicable: {name}: {why}" for name, why in self.not_applicable.items()]
        return "\n".join(lines)


class Suite(Collection[Check]):
    """The checks of one kind of object, in order. As a decorator, the suite adds a check."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._checks: dict[str, Check] = {}

    def __call__(self, check: Check) -> Check:
        self._checks[check.__name__] = check
        return check

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks.values())

    def __len__(self) -> int:
        return len(self._checks)

    def __contains__(self, check: object) -> bool:
        return check in self._checks.values()

    def run(self, subject: Any) -> CheckReport:
        """Run all checks on `subject`; raise `ContractError` if any failed or none passed."""
        passed, not_applicable, failed = [], {}, {}
        for name, check in self._checks.items():
            try:
                check(subject)
            except NotApplicable as reason:
                not_applicable[name] = str(reason)
            except Exception as error:  # noqa: BLE001  (the other checks still run)
                failed[name] = f"{type(error).__name__}: {error}"
            else:
                passed.append(name)
        if failed or not passed:
            lines = [f"{self.kind} {subject!s}: {len(failed)} of {len(self._checks)} checks failed"]
            lines += [f"- {name}: {message}" for name, message in failed.items()]
            raise ContractError("\n".join(lines))
        return CheckReport(tuple(passed), not_applicable)


@contextmanager
def raising(kind: type[Exception], message: str | None = None) -> Iterator[None]:
    """Fail unless the block raises `kind`, with exactly `message` if given."""
    try:
        yield
    except kind as error:
        if message is not None and str(error) != message:
            raise AssertionError(f"the message was {str(error)!r}; expected {message!r}") from error
        return
    except UsageError as error:
        raise AssertionError(
            f"expected {kind.__name__}, got {type(error).__name__}: {error}"
        ) from error
    raise AssertionError(f"no {kind.__name__} was raised")
