"""The documentation is complete: names, commands, strategies, datasets, images."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from typer.main import get_command

import embedpipe as ep
from embedpipe.cli.main import app
from tests.docs.pages import DOCS, GENERATED, PAGES, REPOSITORY, blocks

PUBLIC_MODULES = (
    "embedpipe",
    *(
        f"embedpipe.{name}"
        for name in (
            "backbones",
            "checks",
            "continual",
            "datasets",
            "errors",
            "experiments",
            "heads",
            "strategies",
            "testing",
        )
    ),
)
LEDGERS = [*DOCS.glob("benchmarks/*.md"), *DOCS.glob("reference/api/*.md"), DOCS / "changelog.md"]
MOST_WORDS = 900
IMPROVED_BY_LABELS = ("auto", "doubtful_coverage", "refine", "uncertainty_herding")


def documented() -> dict[str, object]:
    """Return the objects that the pages of the Python API name."""
    names = [
        name
        for page in (DOCS / "reference" / "api").glob("*.md")
        for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(names) == len(set(names))
    return {name: public(name) for name in names}


def public(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_every_public_name_is_on_a_page(module: str) -> None:
    pages = documented()
    found = {id(each) for each in pages.values()}
    names = set(importlib.import_module(module).__all__) - {"__version__"}
    missing = {
        name
        for name in names
        if f"{module}.{name}" not in pages
        and f"{module}.{name}" not in PUBLIC_MODULES
        and id(public(f"{module}.{name}")) not in found
    }
    assert not missing, "add `::: NAME` to a page in docs/reference/api"


def test_every_command_has_a_page_in_the_navigation() -> None:
    navigation = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    for name in get_command(app).commands:  # type: ignore[attr-defined]
        assert (GENERATED / f"{name}.md").exists()
        assert f"- {name}: reference/cli/{name}.md\n" in navigation


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page not in LEDGERS],
    ids=lambda page: str(page.relative_to(REPOSITORY)),
)
def test_a_page_is_short(page: Path) -> None:
    assert len(page.read_text(encoding="utf-8").split()) < MOST_WORDS


def test_links_of_the_pages_outside_the_site_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (REPOSITORY / name).read_text("utf-8")):
            assert (REPOSITORY / target).exists(), f"{name}: {target}"


def test_every_package_is_in_the_table_of_layers() -> None:
    text = (DOCS / "explanation" / "architecture.md").read_text(encoding="utf-8")
    table = text.split("## Layers")[1].split("## Where")[0]
    for path in (REPOSITORY / "embedpipe").iterdir():
        if path.is_dir() and not path.name.startswith("_"):
            assert f"`{path.name}`" in table


def test_every_dataset_with_a_card_is_registered() -> None:
    cards = {path.stem for path in (REPOSITORY / "data").glob("*.yaml")}
    assert cards == set(ep.datasets.datasets)


def test_data_holds_text_and_images_are_small() -> None:
    assert {path.suffix for path in (REPOSITORY / "data").iterdir()} == {".yaml"}
    for path in DOCS.rglob("*"):
        assert path.is_dir() or path.stat().st_size < 300_000, path


def test_every_image_is_shown_on_a_page() -> None:
    shown = "".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    for path in (DOCS / "images").rglob("*.png"):
        if path.stem not in ("report", "comparison", "picks"):  # shown in the README and in guides
            assert f"](images/{path.relative_to(DOCS / 'images').as_posix()})" in shown
        assert f"/{path.name})" in shown + (REPOSITORY / "README.md").read_text(encoding="utf-8")


def table_of_strategies() -> dict[str, list[str]]:
    text = (DOCS / "reference" / "strategies.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `(\w+)`( †)? \| (.*) \|$", text.split("## All strategies")[1], re.MULTILINE
    )
    return {name: [mark.strip(), *rest.split(" | ")] for name, mark, rest in rows}


@pytest.mark.parametrize("name", list(ep.strategies.strategies))
def test_every_strategy_is_in_the_table_with_its_needs(name: str) -> None:
    kind = ep.strategies.strategies[name]
    mark, _, _, needs, *_ = table_of_strategies()[name]
    assert (mark == "†") == kind.distinct
    assert needs.startswith("labels") == (kind.needs_labels or name in IMPROVED_BY_LABELS)
    assert ("head" in needs) == kind.needs_head


def test_every_spec_string_of_a_strategy_can_be_parsed(tmp_path: Path) -> None:
    specs = []
    for page in PAGES:
        for block in blocks(page, "bash"):
            specs += re.findall(r'--strategy "([^"]+)"', block.source)
    assert len(specs) >= 4
    for spec in specs:
        ep.get_strategy(spec)
    (content,) = blocks(DOCS / "how-to" / "combine-objectives.md", "yaml")
    file = tmp_path / "strategy.yaml"
    file.write_text(content.source)
    strategy = str(ep.get_strategy(str(file)))
    assert strategy.startswith("combine(margin^2, diversity(min_distance=0.1)")
