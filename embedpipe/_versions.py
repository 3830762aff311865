"""Installed versions of embedpipe and of the libraries that compute vectors."""

from __future__ import annotations

__all__ = ["own_version", "versions"]


def own_version() -> str:
    """Return the version of embedpipe that is installed."""
    return _version("embedpipe")


def versions() -> dict[str, str]:
    """Return the versions of embedpipe and of the libraries that decode and encode images."""
    return {name: _version(name) for name in ("embedpipe", "pillow", "numpy", "torch", "timm")}


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # its import takes 0.1 s

    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
