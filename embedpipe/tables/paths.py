"""Paths of images as tables hold them."""

from __future__ import annotations

__all__ = ["tidy"]


def tidy(path: str) -> str:
    """Return a path without empty and ``.`` parts; an absolute path stays as it is.

    Examples
    --------
    >>> tidy("./hats//1.jpg"), tidy("/data/1.jpg")
    ('hats/1.jpg', '/data/1.jpg')
    """
    if path.startswith("/"):
        return path
    return "/".join(part for part in path.split("/") if part not in ("", "."))
