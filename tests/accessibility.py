"""Violations of WCAG 2.1 AA on a page, by axe-core."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}


def axe_script() -> str:
    """Return the text of axe-core, from a package that contains it."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("axe-core is not installed: `pip install axe-playwright-python`")
    return (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Any, axe: str) -> dict[str, list[str]]:
    """Return the failing elements by rule; the context of the page must bypass its policy."""
    page.evaluate(axe + ";undefined")
    found: dict[str, Any] = page.evaluate("rules => axe.run(document, rules)", RULES)
    return {
        each["id"]: [str(node["target"]) for node in each["nodes"]] for each in found["violations"]
    }
