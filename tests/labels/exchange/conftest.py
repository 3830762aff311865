"""A dataset that is hard to exchange, and how each format is written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from embedpipe.labels import Labelled
from embedpipe.testing import formats


@pytest.fixture(scope="session")
def items() -> list[Labelled]:
    """Twelve classes, doubled base names, every status."""
    return formats.example_items()


@pytest.fixture(scope="session")
def open_image() -> Callable[[str], bytes]:
    """Give each path an image of a colour of its own."""
    return formats.example_image


@pytest.fixture(scope="session")
def export() -> Callable[..., object]:
    """Return a function that writes a format into a folder with all required options."""
    return formats.export
