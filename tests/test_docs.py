"""The documentation is true: its Python runs, its commands exist."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import embedpipe as ep
from embedpipe.cli.main import app
from embedpipe.labels import formats
from embedpipe.reports import sections

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs"
PAGES = [
    REPOSITORY / "README.md",
    *sorted(page for page in DOCS.rglob("*.md") if page.parent.name != "decisions"),
]

REGISTRIES: list[Any] = [
    ep.backbones.backbones,
    ep.continual.policies,
    ep.datasets.datasets,
    ep.heads.heads,
    ep.strategies.strategies,
    formats,
    sections.registered,
]
"""What an example may add to; it is forgotten afterwards."""


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_the_examples_run(
    page: Path, bundled_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(bundled_workspace))
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    names: dict[str, object] = {}
    for source in blocks(page, "python"):
        exec(compile(source, page.name, "exec"), names)
    if "FarthestFromMean" in names:
        picks = ep.select(names["np"].eye(5, dtype="float32"), 2, "farthest_from_mean")  # type: ignore[attr-defined]
        assert len(set(picks.rows.tolist())) == 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_command_that_is_shown_exists(page: Path) -> None:
    root = get_command(app)
    for block in blocks(page, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["embedpipe"]:
                with root.make_context("embedpipe", words[1:]) as context:
                    name, command, rest = root.resolve_command(  # type: ignore[attr-defined]
                        context, [*context._protected_args, *context.args]
                    )
                    command.make_context(name, rest, resilient_parsing="cache" in words)
            if words[:1] == ["python"]:
                assert (REPOSITORY / words[1]).exists()


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*PAGES, *sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_dataset_with_a_card_is_registered() -> None:
    cards = {path.stem for path in (REPOSITORY / "data").glob("*.yaml")}
    assert cards == set(ep.datasets.datasets)


def test_nothing_but_text_is_kept_in_data() -> None:
    assert {path.suffix for path in (REPOSITORY / "data").iterdir()} == {".yaml"}
    assert os.path.getsize(REPOSITORY / "docs" / "images" / "report.png") < 300_000  # noqa: PTH202


def table_of_strategies() -> dict[str, list[str]]:
    text = (DOCS / "reference" / "strategies.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `(\w+)`( †)? \| (.*) \|$", text.split("## All strategies")[1], re.MULTILINE
    )
    return {name: [mark.strip(), *rest.split(" | ")] for name, mark, rest in rows}


@pytest.mark.parametrize("name", list(ep.strategies.strategies))
def test_every_strategy_is_in_the_table_with_what_it_needs(name: str) -> None:
    kind = ep.strategies.strategies[name]
    mark, _, _, needs, *_ = table_of_strategies()[name]
    assert (mark == "†") == kind.distinct
    assert needs.startswith("labels") == (kind.needs_labels or name in IMPROVED_BY_LABELS)
    assert ("head" in needs) == kind.needs_head


IMPROVED_BY_LABELS = ("auto", "doubtful_coverage", "uncertainty_herding")


def test_every_strategy_that_is_spelled_out_can_be_read(tmp_path: Path) -> None:
    spelled = []
    for page in PAGES:
        for block in blocks(page, "bash"):
            spelled += re.findall(r'--strategy "([^"]+)"', block)
    assert len(spelled) >= 4
    for each in spelled:
        ep.get_strategy(each)
    (content,) = blocks(DOCS / "how-to" / "combine-objectives.md", "yaml")
    file = tmp_path / "strategy.yaml"
    file.write_text(content)
    assert str(ep.get_strategy(str(file))).startswith(
        "combine(margin^2, diversity(min_distance=0.1)"
    )
