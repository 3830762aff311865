"""Palettes that users name, as hexadecimal colours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from .._specs import split_specs
from ..errors import UnknownNameError, UsageError

__all__ = ["colours_of", "on_dark", "read_palette"]

DARK = (0x14, 0x16, 0x1A)
"""The background of dark pages."""

LEAST_CONTRAST = 3.0
"""Contrast of lines that WCAG 2.1 asks for."""

Palette = str | Sequence[str] | Mapping[str, str] | None

_RGB = re.compile(r"rgb\((\d+), *(\d+), *(\d+)\)")


def colours_of(palette: Palette, names: Sequence[str]) -> dict[str, str]:
    """Return the colour of each name that the palette gives one; the others keep the default.

    Parameters
    ----------
    palette
        Name of a qualitative palette of plotly, such as ``"Set2"``, in any case; a list of colours,
        which is repeated for more names; or a dictionary from names to colours. A colour is
        ``"teal"``, ``"#008080"`` or ``"rgb(0, 128, 128)"``.
    names
        Names in the legend.

    Examples
    --------
    >>> colours_of("set2", ["margin"]), colours_of({"random": "grey"}, ["margin", "random"])
    ({'margin': '#66c2a5'}, {'random': '#808080'})
    """
    if palette is None:
        return {}
    if isinstance(palette, Mapping):
        unknown = [name for name in palette if name not in names]
        if unknown:
            raise UnknownNameError("name in the palette", str(unknown[0]), names)
        return {name: _hexadecimal(colour) for name, colour in palette.items()}
    colours = _named(palette) if isinstance(palette, str) else list(palette)
    if not colours:
        raise UsageError("the palette has no colour: give at least one.")
    return {name: _hexadecimal(colours[at % len(colours)]) for at, name in enumerate(names)}


def read_palette(text: str) -> str | dict[str, str]:
    """Return the palette of the option ``--palette``, and refuse unknown colours.

    The text is a YAML file of names and colours, a list of names with colours, or the name of a
    palette.

    Examples
    --------
    >>> read_palette("combine(margin, diversity)=#d62728, random=grey")
    {'combine(margin, diversity)': '#d62728', 'random': 'grey'}
    """
    if text.lower().endswith((".yaml", ".yml")):
        found = _read_file(Path(text))
    elif "=" in text:
        pairs = (part.rpartition("=") for part in split_specs(text))
        found = {name.strip(): colour.strip() for name, _, colour in pairs}
    else:
        colours_of(text, ["any"])
        return text
    colours_of(found, list(found))
    return found


def _read_file(path: Path) -> dict[str, str]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UsageError(f"cannot read the palette {path}: {reason}.") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} has no palette: write lines such as `random: grey`.")
    return {str(name): str(colour) for name, colour in content.items()}


def _named(name: str) -> list[str]:
    from plotly.colors import qualitative

    known = {
        each.lower(): each
        for each in dir(qualitative)
        if isinstance(getattr(qualitative, each), list)
    }
    if name.lower() not in known:
        raise UnknownNameError("palette", name, known.values())
    colours: list[str] = getattr(qualitative, known[name.lower()])
    return colours


def _hexadecimal(colour: str) -> str:
    from matplotlib.colors import to_hex

    parts = _RGB.fullmatch(str(colour))
    if parts:
        return "#{:02x}{:02x}{:02x}".format(*map(int, parts.groups()))
    try:
        return to_hex(colour)
    except ValueError:
        raise UsageError(
            f"{colour!r} is not a colour: give a name such as 'teal', or '#008080'."
        ) from None


def on_dark(colour: str) -> str:
    """Return a hexadecimal colour, mixed with white until it is readable on a dark page.

    Examples
    --------
    >>> on_dark("#1f77b4"), on_dark("#000080")
    ('#1f77b4', '#6666b3')
    """
    parts = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    for white in range(0, 100, 5):
        mixed = [round(part + (255 - part) * white / 100) for part in parts]
        if (_luminance(mixed) + 0.05) / (_luminance(DARK) + 0.05) >= LEAST_CONTRAST:
            break
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _luminance(parts: Sequence[int]) -> float:
    """Return the relative luminance of red, green and blue from 0 to 255 (WCAG 2.1)."""
    shares = (part / 255 for part in parts)
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
