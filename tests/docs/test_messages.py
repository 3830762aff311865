"""Each message that the documentation explains is in the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.messages import exists
from tests.docs.pages import DOCS

PAGES = sorted(path for path in DOCS.glob("reference/messages/*.md") if path.stem != "index")
_ENTRY = re.compile(r"^(?:`` (.+) ``|`([^`]+)`)\n:   ", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_messages_are_in_the_code(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    messages = [spaced or single for spaced, single in _ENTRY.findall(text)]
    assert len(messages) == text.count("\n:   ")
    assert [message for message in messages if not exists(message)] == []


def test_a_text_with_other_words_is_no_message() -> None:
    assert exists("there are no labels to train the model on: give at least one.")
    assert not exists("there are no labels to train the model on: give two.")
