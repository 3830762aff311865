"""The cards of the named backbones, and their page.

python -m tests.backbones.test_cards  # writes the table of the page
"""

from __future__ import annotations

import re
from pathlib import Path

from embedpipe.backbones import CARDS, backbones

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "backbones.md"
TABLE = re.compile(r"(?<=test_cards.py -->\n)(.*)(?=<!-- end of the cards -->)", re.DOTALL)


def table() -> str:
    """Return the cards as a table."""
    columns = ["name", "network and training data", "licence", "MB", "numbers", "pixels", "pooling"]
    columns += ["text", "images/s"]
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for card in CARDS.values():
        pooling = "its own" if card.pooling == "model" else f"`{card.pooling}`"
        cells = [
            f"`{card.name}`", f"{card.title}: `{card.source}`", card.licence,
            f"{card.megabytes:,}", f"{card.dim:,}", str(card.image_size), pooling,
            "yes" if card.text else "",
            "" if card.speeds is None else ", ".join(f"{speed:g}" for speed in card.speeds),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n" + "\n".join(lines) + "\n\n"


def test_the_page_has_the_cards() -> None:
    found = TABLE.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert found[0] == table(), "run `python -m tests.backbones.test_cards`"


def test_each_card_is_a_backbone() -> None:
    assert list(backbones)[: len(CARDS)] == list(CARDS)
    lines = backbones.describe()
    assert [lines[name] for name in CARDS] == [card.summary for card in CARDS.values()]


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(lambda _: table(), text), encoding="utf-8")
