"""Tables in LaTeX, Markdown and CSV have the numbers of the summary, and any name as text."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from scipy import stats

from embedpipe.errors import UsageError
from embedpipe.experiments.summary import Summary

from .test_summary import results, rows

ODD = r"a_b%|*x*<i> $5 [1](u) #& {}~^\ `c` {!--"
CURVES = {
    "random": [[0.5, 0.6, 0.7], [0.5, 0.6, 0.6], [0.4, 0.6, 0.7], [0.45, 0.5, 0.7]],
    ODD: [[0.5, 0.7, 0.8], [0.5, 0.71, 0.8], [0.4, 0.8, 0.9], [0.4, 0.75, 0.81]],
}
FROM_LATEX = {
    r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^",
    r"\textless{}": "<", r"\textgreater{}": ">", r"\textbar{}": "|", "$-$": "-",
    r"\textasciigrave{}": "`", r"\textendash{}": "–", "-{}-": "--",
    **{f"\\{letter}": letter for letter in "{}$&#_%"},
}  # fmt: skip


class Cells(HTMLParser):
    """The text of each cell of the tables of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, _: object) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip("\n")


@pytest.fixture(scope="module")
def summary() -> Summary:
    settings = (rows(name, *curves, initial=name) for name, curves in CURVES.items())
    return results(*settings).summary(0.75)


def expected(summary: Summary) -> list[list[str]]:
    """Return the table of the terminal, without its empty last column."""
    found = [re.split(r" {3,}", line.strip()) for line in str(summary).splitlines()[-3:]]
    return [row[:-1] for row in found]


def test_latex_has_the_cells_of_the_terminal_and_escapes_names(summary: Summary) -> None:
    text = summary.to_latex()
    assert text.startswith("% hats, net; logistic, cumulative; 4 seeds, 10 to 30 labels\n")
    assert r"\begin{tabular}{lrrrrrrr}" in text
    lines = [line for line in text.splitlines() if line.endswith(r" \\")]
    code = re.compile("|".join(map(re.escape, sorted(FROM_LATEX, key=len, reverse=True))))
    cells = [
        [
            code.sub(lambda found: FROM_LATEX[found[0]], cell)
            for cell in re.split(r"(?<!\\) & ", line.removesuffix(r" \\"))
        ]
        for line in lines
    ]
    assert [row[0] for row in cells] == ["strategy", ODD, "random"]
    assert cells[1][1:] == expected(summary)[1][1:]
    bare = re.sub(r"\\[{}$&#_%]|\\text\w+\{\}|\\\\$|\$-\$|-\{\}-", "", "\n".join(lines), flags=re.M)
    assert not re.search(r"[{}$#_%~^\\]", bare)


def test_names_cannot_be_options_of_latex() -> None:
    brackets = results(rows("[x]", [0.5, 0.6, 0.7], initial="[x]"), baseline=("[x]", "[x]"))
    assert "\n{}[x] & 0.600" in brackets.summary(0.75).to_latex()


def test_markdown_has_the_cells_of_the_terminal_and_names_as_text(summary: Summary) -> None:
    page = Cells(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(
        summary.to_markdown()
    ))  # fmt: skip
    assert page.tags <= {"p", "table", "thead", "tbody", "tr", "th", "td"}
    assert [row[0] for row in page.rows] == ["strategy", ODD, "random"]
    assert page.rows[1][1:] == expected(summary)[1][1:]


def test_csv_has_the_statistics_of_an_independent_computation(summary: Summary) -> None:
    found = {row["strategy"]: row for row in csv.DictReader(io.StringIO(summary.to_csv()))}
    areas = {  # (a + 2 b + c) / 4
        name: np.array(curves) @ [0.25, 0.5, 0.25] for name, curves in CURVES.items()
    }
    assert list(found) == [ODD, "random"]
    for name, values in areas.items():
        assert float(found[name]["aubc_mean"]) == pytest.approx(values.mean(), abs=1e-6)
        low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
        assert float(found[name]["aubc_ci_low"]) == pytest.approx(low, abs=1e-6)
        assert float(found[name]["aubc_ci_high"]) == pytest.approx(high, abs=1e-6)
    assert float(found[ODD]["accuracy_at_30"]) == pytest.approx(0.8275)
    paired = stats.ttest_rel(areas[ODD], areas["random"])
    assert float(found[ODD]["p_uncorrected"]) == pytest.approx(paired.pvalue, abs=1e-6)
    assert float(found[ODD]["difference"]) == pytest.approx(
        (areas[ODD] - areas["random"]).mean(), abs=1e-6
    )
    assert (found["random"]["difference"], found["random"]["difference_ci_low"]) == ("", "")


def test_tables_are_written_by_their_suffix(summary: Summary, tmp_path: Path) -> None:
    for suffix, text in ((".TEX", summary.to_latex()), (".csv", summary.to_csv())):
        path = summary.write_table(tmp_path / f"table{suffix}")
        assert path.read_text(encoding="utf-8") == text
    with pytest.raises(UsageError) as caught:
        summary.write_table("table.html")
    assert str(caught.value) == ("cannot write table.html: its name must end in .tex, .md or .csv.")
    with pytest.raises(UsageError, match="cannot write .*table.md: "):
        summary.write_table(tmp_path / "table.TEX" / "table.md")
