"""Text for lines: names that cannot break them, and durations in words."""

from __future__ import annotations

import unicodedata

__all__ = ["in_words", "printable"]

_KEPT = "\u200c\u200d"
"""Joiners of letters and emoji: they are part of names and command nothing."""


def printable(text: str, keep: str = "") -> str:
    r"""Return a text that breaks no line and cannot command a terminal.

    Parameters
    ----------
    text
        Any text, such as a file name.
    keep
        Control characters that stay as they are.

    Returns
    -------
    str
        The text with control characters, line breaks, changes of the writing direction and what
        is not Unicode written out.

    Examples
    --------
    >>> print(printable("Größe\x1b[2J\n"))
    Größe\x1b[2J\n
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        or character in _KEPT
        or character in keep
        or unicodedata.category(character) == "Zs"
        else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    r"""Return a character as Python writes it, also half a surrogate pair."""
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def in_words(seconds: float) -> str:
    """Return a duration in words, rounded.

    Examples
    --------
    >>> in_words(4), in_words(95), in_words(600), in_words(9000)
    ('5 seconds', '2 minutes', '10 minutes', '2.5 hours')
    """
    if seconds < 60:
        return f"{max(5, 5 * round(seconds / 5))} seconds"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} minute{'s' if minutes > 1 else ''}"
    return f"{seconds / 3600:.1f} hours"
