"""Elements of a page that are wider than a sheet of paper."""

from __future__ import annotations

from typing import Any

A4 = 703
"""Pixels between the margins of a sheet: 210 mm minus twice 12 mm, at 96 pixels per inch."""

TOO_WIDE = """width => {
  document.querySelectorAll('details').forEach((each) => { each.open = true; });
  const parts = [...document.querySelectorAll('main *')].filter((each) => each.checkVisibility());
  return parts.filter((each) => each.getBoundingClientRect().right > width + 1)
    .map((each) => each.tagName + '.' + each.className);
}"""


def too_wide_for_paper(page: Any) -> list[str]:
    """Return the visible elements of a page that reach beyond the right margin of an A4 sheet."""
    page.set_viewport_size({"width": A4, "height": 1000})
    page.emulate_media(media="print")
    found: list[str] = page.evaluate(TOO_WIDE, A4)
    return found
