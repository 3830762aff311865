"""The texts in the code of the package, with `…` in place of each inserted value."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent.parent / "embedpipe"


@functools.cache
def texts() -> tuple[str, ...]:
    """Return every text of the package."""
    return tuple(
        plain(text)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (text := template(node)) is not None
    )


def template(node: ast.AST) -> str | None:
    """Return a text or an f-string of the code; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) or "…" for part in node.values)
    return None


def plain(text: str) -> str:
    """Return a text with single spaces, without the quotes around inserted values."""
    return re.sub(r"['\"`]?…['\"`]?", "…", " ".join(text.split()))


def exists(message: str) -> bool:
    """Return whether a message is in the code, in whole or as a part of a text."""
    return any(plain(message) in text for text in texts())


def raised(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of every error and warning of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name.endswith(("Error", "fault", "warn", "remark", "note")) and node.args:
                for argument in node.args:
                    if text := template(argument):
                        yield node.lineno, plain(text)
