"""Images in terminals that can show them, and nothing at all in others."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from io import BytesIO
from typing import Literal

from .._pixels import DecodeError, Picture, decoded

__all__ = ["Protocol", "inline_image", "protocol_of"]

Protocol = Literal["iterm2", "kitty"]

LARGEST = 480
SMALLEST = 192
"""Sides in pixels: larger images are reduced, smaller ones enlarged, so that they can be seen."""

_CHUNK = 4096
"""As many characters may be in one command to kitty."""


def protocol_of(environment: Mapping[str, str]) -> Protocol | None:
    """Return how the terminal is told to show an image; None unless it says that it can.

    Within tmux and screen, which swallow such commands, it is None as well.

    Examples
    --------
    >>> protocol_of({"TERM": "xterm-kitty"}), protocol_of({"TERM_PROGRAM": "iTerm.app"})
    ('kitty', 'iterm2')
    >>> protocol_of({"TERM": "xterm-256color"}) is None
    True
    """
    terminal = environment.get("TERM", "")
    if "TMUX" in environment or terminal.startswith(("tmux", "screen")):
        return None
    if terminal in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    program = environment.get("TERM_PROGRAM"), environment.get("LC_TERMINAL")
    if program[0] in ("iTerm.app", "WezTerm") or program[1] == "iTerm2":
        return "iterm2"
    return None


def inline_image(image_bytes: bytes, protocol: Protocol) -> str | None:
    r"""Return what makes a terminal show an image; None if it cannot be decoded.

    Examples
    --------
    >>> from PIL import Image
    >>> file = BytesIO()
    >>> Image.new("L", (8, 8)).save(file, "PNG")
    >>> inline_image(file.getvalue(), "kitty")[:19]
    '\x1b_Ga=T,f=100,q=2,m='
    """
    png = _as_png(image_bytes)
    if png is None:
        return None
    text = base64.b64encode(png).decode()
    if protocol == "iterm2":
        return f"\x1b]1337;File=inline=1;size={len(png)};preserveAspectRatio=1:{text}\a"
    chunks = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    # q=2: an answer of the terminal would be read as one of the person.
    starts = ["a=T,f=100,q=2,", *[""] * (len(chunks) - 1)]
    more = [1] * (len(chunks) - 1) + [0]
    return "".join(
        f"\x1b_G{start}m={m};{chunk}\x1b\\"
        for start, m, chunk in zip(starts, more, chunks, strict=True)
    )


def _as_png(image_bytes: bytes) -> bytes | None:
    from PIL import Image

    def encoded(picture: Picture) -> bytes:
        image = picture.rgb
        side = max(image.size)
        wanted = min(max(side, SMALLEST), LARGEST)
        if wanted != side:
            width, height = (max(1, round(length * wanted / side)) for length in image.size)
            image = image.resize((width, height), Image.Resampling.BICUBIC)
        file = BytesIO()
        image.save(file, "PNG")
        return file.getvalue()

    try:
        return decoded(image_bytes, encoded)
    except DecodeError:
        return None
