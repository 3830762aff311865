"""Sections of other packages: on every page, in order, and escaped except for markup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embedpipe._registry import Registry
from embedpipe.errors import UsageError
from embedpipe.reports import (
    ChecksData,
    Curve,
    ReportData,
    Round,
    SelectionData,
    Series,
    comparison_of,
    heat_map,
    line_chart,
    replay_of,
    sections,
    write_checks,
    write_comparison,
    write_replay,
    write_report,
    write_selection,
)

from . import test_comparison_report, test_replay_report

RUN = ReportData("hats", (), (Curve("margin", (Round(0, 10, 0.5, 0.5, 0.1, 0.1, "margin"),)),))


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[Any]]:
    empty: Registry[Any] = Registry("report section")
    monkeypatch.setattr(sections, "registered", empty)
    yield empty


def test_a_section_has_text_charts_a_table_and_markup(tmp_path: Path) -> None:
    @sections.register("cost")
    def cost(data: Any) -> sections.Section:
        return sections.Section(
            f"Cost <of> {data.title}",
            ("Six seconds a label.", "<b>text</b>"),
            (
                line_chart([Series("a", [1, 2], [0.5, 0.25])], "Time"),
                line_chart([None], "Nothing"),
                heat_map("Map", [[0.5]], "x", [0.5], scale=(0.0, 1.0)),
            ),
            sections.Table(("Labels", "Minutes"), (("10", "1"), ("<20>", "2"))),
            "<p id='own'>markup</p>",
        )

    text = write_report(tmp_path / "run.html", RUN).read_text(encoding="utf-8")
    section = text[text.index('<section aria-labelledby="section-cost">') :]
    assert '<h2 id="section-cost">Cost &lt;of&gt; hats</h2>' in section
    assert "<p>Six seconds a label.</p>" in section
    assert "<p>&lt;b&gt;text&lt;/b&gt;</p>" in section
    assert section.count("<figure") == 2
    assert "a: 0.250 with 2 labels" in section
    assert "--v:50" in section
    assert '<th scope="row">&lt;20&gt;</th><td>2</td>' in section
    assert "<p id='own'>markup</p>" in section


def test_every_page_has_the_sections_in_order_with_its_source(tmp_path: Path) -> None:
    seen: list[Any] = []

    @sections.register("second-not-first")
    def first(data: Any) -> sections.Section:
        seen.append(data)
        return sections.Section("First")

    @sections.register("nothing")
    def nothing(data: Any) -> None:
        """Add nothing to any page."""

    @sections.register("a")
    def last(data: Any) -> sections.Section:
        return sections.Section("Last")

    compared, replayed = test_comparison_report.results(), test_replay_report.results()
    pages = [
        write_report(tmp_path / "run.html", RUN),
        write_comparison(tmp_path / "compare.html", comparison_of(compared)),
        write_replay(tmp_path / "replay.html", replay_of(replayed)),
        write_selection(tmp_path / "picks.html", SelectionData("hats", "margin", (), ())),
        write_checks(
            tmp_path / "checks.html", ChecksData("hats", "No problems found", (), (), (), (), ())
        ),
    ]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert text.count('<h2 id="section-') == 2
        assert text.index(">First</h2>") < text.index(">Last</h2>")
    assert [type(data).__name__ for data in seen] == [
        "ReportData", "ComparisonData", "ReplayData", "SelectionData", "ChecksData",
    ]  # fmt: skip
    assert seen[1].source is compared
    assert seen[2].source is replayed


def test_names_are_unique() -> None:
    sections.register("cost")(lambda data: None)
    with pytest.raises(UsageError, match="the report section 'cost' is registered already."):
        sections.register("cost")(lambda data: None)
