"""Text for one line of a terminal: safe names, sentences about images, durations."""

from __future__ import annotations

import unicodedata

__all__ = ["in_words", "isolated", "printable", "sentence_about"]

_KEPT = "\u200c\u200d"
"""Zero-width joiners of letters and emoji, which may occur in names."""


def printable(text: str, keep: str = "") -> str:
    r"""Return a text with escaped control characters, except for those in `keep`.

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


def isolated(name: str) -> str:
    """Return a name that keeps the order of the text around it, if it has right-to-left letters."""
    if any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name):
        return f"\u2068{name}\u2069"
    return name


def _escaped(character: str) -> str:
    r"""Return the Python escape of a character or of half a surrogate pair."""
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def sentence_about(path: str, clause: str) -> str:
    """Return a sentence about an image, from a clause in which "it" is the image.

    Examples
    --------
    >>> sentence_about("a.jpg", "it is damaged (file ends early). Copy it again from the source")
    '`a.jpg` is damaged (file ends early). Copy it again from the source.'
    >>> sentence_about("a.jpg", "its metadata are damaged")
    '`a.jpg`: its metadata are damaged.'
    """
    if clause.startswith("it "):
        return f"`{path}` {clause.removeprefix('it ')}."
    return f"`{path}`: {clause}."


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
