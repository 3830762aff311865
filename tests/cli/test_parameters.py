"""Option classes as options of commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from embedpipe._options import option
from embedpipe.cli.parameters import Use
from embedpipe.cli.session import Session, add_command


@dataclass(frozen=True)
class Noise:
    """Options within options."""

    share: float = option(0.0, "Share of wrong labels", min=0, max=1)
    kind: str = option("symmetric", "Which", flag="--noise-kind")


@dataclass(frozen=True)
class Everything:
    """An option of each type that the command line reads."""

    where: Path | str | None = option(None, "A path")
    seeds: int | Sequence[int] = option(5, "How many", min=1)
    strategies: Sequence[str] = option(("auto", "random"), "Separated by commas")
    rare: Mapping[str, int] = option(factory=dict, help="CLASS=N")
    bound: bool = option(True, "Whether")
    fast: bool = option(False, "Whether")
    noise: Noise = field(default_factory=Noise)
    inner: str = "no option of the command line"
    left_out: str = option("as it is", "Not here")


def built(*words: str) -> tuple[int, Any]:
    """Run a command with the class, and return its exit status and the object or the error."""
    app, found = typer.Typer(), []

    def take(
        session: Session,
        given: Annotated[Everything, Use(without=("left_out",), seeds={"default": 3})],
    ) -> None:
        """Take it."""
        found.append(given)

    add_command(app, "take", take)
    outcome = CliRunner().invoke(app, list(words))
    return outcome.exit_code, found[0] if found else outcome.stderr


def test_defaults_of_the_class_and_changes_by_the_command() -> None:
    expected = Everything(seeds=3, strategies=["auto", "random"])
    assert built() == (0, expected)


def test_values_have_the_types_of_the_fields() -> None:
    words = "--where a/b --seeds 2 --strategies x,y(z=1,2) --rare hat=3 --rare a=b=4"
    words += " --no-bound --fast --share 0.5 --noise-kind confusable"
    assert built(*words.split()) == (
        0,
        Everything(
            where=Path("a/b"),
            seeds=2,
            strategies=["x", "y(z=1,2)"],
            rare={"hat": 3, "a=b": 4},
            bound=False,
            fast=True,
            noise=Noise(0.5, "confusable"),
        ),
    )


@pytest.mark.parametrize(
    "words", ["--left-out x", "--inner x", "--kind x", "--share 2", "--seeds 0"]
)
def test_unknown_and_invalid_options_are_refused(words: str) -> None:
    assert built(*words.split())[0] == 2


def test_counts_of_classes() -> None:
    assert built("--rare", "hat") == (
        2,
        "embedpipe: --rare hat: give CLASS=N, such as hat=20, with N at least 1.\n",
    )
