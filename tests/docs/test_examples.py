"""The examples of the documentation run, and print what the pages show."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import embedpipe as ep
from embedpipe.cli.main import app
from embedpipe.labels import formats
from embedpipe.reports import sections
from tests.docs.pages import PAGES, REPOSITORY, Reader, blocks, check_output, make_reader_folder

REGISTRIES: list[Any] = [
    ep.backbones.backbones,
    ep.continual.policies,
    ep.datasets.datasets,
    ep.heads.heads,
    ep.strategies.strategies,
    formats,
    sections.registered,
]
"""Registries to which an example may add; the additions are removed after each page."""

SLOW_PAGES = ("make-figures-for-a-paper", "use-several-backbones")

PAGES_THAT_RUN = [
    pytest.param(page, marks=pytest.mark.slow) if page.stem in SLOW_PAGES else page
    for page in PAGES
    if page.parent.name != "benchmarks" and (blocks(page, "python") or blocks(page, "bash"))
]
"""Commands on the pages of benchmarks take minutes to hours, and are only parsed."""


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


@pytest.fixture(scope="module")
def reader_folder(bundled_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, and a workspace in which photos and digits are embedded."""
    folder = tmp_path_factory.mktemp("reader")
    make_reader_folder(folder)
    shutil.copytree(bundled_workspace, folder / ".embedpipe")
    for name in ("photos", "new"):
        ep.embed(ep.load_dataset(folder / name), workspace=folder / ".embedpipe")
    return folder


@pytest.mark.parametrize("page", PAGES_THAT_RUN, ids=name_of)
def test_the_examples_run_and_print_the_output_shown(
    page: Path, reader_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(reader_folder, tmp_path / "reader")
    monkeypatch.chdir(tmp_path / "reader")
    monkeypatch.syspath_prepend(tmp_path / "reader")
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    reader = Reader(REGISTRIES)
    for block in blocks(page):
        reader.run(block)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_and_script_shown_exists(page: Path) -> None:
    root = get_command(app)
    targets = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for block in blocks(page, "bash"):
        for words in block.commands():
            if words[0] == "embedpipe" and words[1] != "--version":
                with root.make_context("embedpipe", words[1:]) as context:
                    name, command, rest = root.resolve_command(  # type: ignore[attr-defined]
                        context, [*context._protected_args, *context.args]
                    )
                    command.make_context(name, rest, resilient_parsing=hasattr(command, "commands"))
            elif words[0] == "python":
                assert (REPOSITORY / words[1]).exists()
            elif words[0] == "make":
                assert f"\n{words[1]}: " in targets


def test_an_output_that_differs_is_reported() -> None:
    check_output("3 images, ... seconds\n", "3 images, 0.71 seconds\n")
    with pytest.raises(AssertionError, match="Expected:"):
        check_output("3 images, ... seconds\n", "4 images, 0.71 seconds\n")
