"""The pages of the documentation, and a reader who runs their examples."""

from __future__ import annotations

import contextlib
import csv
import doctest
import glob
import io
import os
import re
import runpy
import shlex
import signal
import socket
import sys
import types
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from embedpipe import _registry
from embedpipe.cli.main import app
from tests.processes import started

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DOCS = REPOSITORY / "docs"
GENERATED = DOCS / "reference" / "cli"
PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted(
        page
        for page in DOCS.rglob("*.md")
        if page.parent.name != "decisions" and page.parent != GENERATED
    ),
]
CLASSES = ("hat", "skirt", "shirt", "shoes", "dress")
"""Class folders of the reader's photos: digits 0 to 4, which a head can learn."""

_BLOCK = re.compile(
    r"^(?P<indent> *)(?P<mark><!-- not run: .+? -->\n *)?```(?P<language>\w+)[^\n]*\n"
    r"(?P<source>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_FILE_NAME = re.compile(r"(?:#|--|//) (\w[\w.-]*\.\w+)\n")


@dataclass
class Block:
    """A block of code on a page.

    Attributes
    ----------
    language, source
        As on the page, without the indent.
    runs
        Whether the page does not mark it as ``<!-- not run: reason -->``.
    output
        The block of text or JSON that directly follows; None if there is none.
    """

    language: str
    source: str
    runs: bool
    output: str | None = None

    def commands(self) -> list[list[str]]:
        """Return the words of each command of a block of bash."""
        lines = self.source.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """Return the blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    end = -1
    for match in _BLOCK.finditer(text):
        indent = len(match["indent"])
        source = re.sub(rf"^ {{{indent}}}", "", match["source"], flags=re.MULTILINE)
        block = Block(match["language"], source, match["mark"] is None)
        follows = end >= 0 and not text[end : match.start()].strip()
        if follows and block.language in ("text", "json") and found[-1].output is None:
            found[-1].output = source
        else:
            found.append(block)
        end = match.end()
    return [block for block in found if language in (None, block.language)]


class Reader:
    """Runs the examples of a page, in order, in the current folder.

    Python examples are one module. A command is a process of its own, so it does not see the
    names that the module registered: `registries` are put back before each command.
    """

    def __init__(self, registries: list[Any]) -> None:
        self.module = types.ModuleType("examples")
        sys.modules["examples"] = self.module
        self.registries = registries
        self.built_in = [dict(registry._entries) for registry in registries]

    def run(self, block: Block) -> None:
        """Run a block, and compare its output with the one on the page."""
        if name := _FILE_NAME.match(block.source):
            Path(name[1]).write_text(block.source, encoding="utf-8")
        output = ""
        if block.language == "python":
            code = compile(block.source, name[1] if name else "example", "exec")
            if block.runs:
                with contextlib.redirect_stdout(io.StringIO()) as stream:
                    exec(code, self.module.__dict__)
                output = stream.getvalue()
        elif block.language == "bash" and block.runs:
            fails = any(mark in (block.output or "") for mark in ("embedpipe: ", '"error": '))
            with self.new_process():
                output = "".join(run_command(words, fails) for words in block.commands())
        if block.output is not None and block.runs and block.language in ("python", "bash"):
            check_output(block.output, output)

    @contextlib.contextmanager
    def new_process(self) -> Iterator[None]:
        """Remove registered names and imported modules of the page for a while."""
        modules = set(sys.modules)
        before = [dict(registry._entries) for registry in self.registries]
        self._register(self.built_in)
        yield
        self._register(before)
        _registry._IMPORTED.clear()
        for name in set(sys.modules) - modules:
            if Path(f"{name}.py").exists():
                del sys.modules[name]

    def _register(self, entries: list[dict[str, Any]]) -> None:
        for registry, each in zip(self.registries, entries, strict=True):
            registry._entries = dict(each)


def check_output(shown: str, output: str) -> None:
    """Compare the output on the page with the output made; `...` stands for any text."""
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    checker = doctest.OutputChecker()
    if not checker.check_output(shown, output, flags):
        example = doctest.Example("", shown)
        raise AssertionError(checker.output_difference(example, output, flags))


def run_command(words: list[str], fails: bool) -> str:
    """Run a command of embedpipe or a script, and return what it prints."""
    program, *arguments = [each for word in words for each in _expanded(word)]
    if program == "python":
        return run_script(REPOSITORY / arguments[0], arguments[1:])
    if program != "embedpipe":
        return ""
    if arguments[0] in ("label", "label-studio"):
        return serve(arguments)
    answers = "hat\nskirt\n" * 50 + "q\n" if arguments[0] == "annotate" else "y\n"
    result = CliRunner().invoke(app, arguments, input=answers)
    assert (result.exit_code != 0) == fails, f"{shlex.join(words)}: {result.stderr}"
    fill_in_labels()
    return result.stdout or result.stderr


def run_script(path: Path, arguments: list[str]) -> str:
    """Run a script of the repository in this process, and return what it prints."""
    with (
        contextlib.redirect_stdout(io.StringIO()) as stream,
        mock.patch.object(sys, "argv", [str(path), *arguments]),
    ):
        runpy.run_path(str(path), run_name="__main__")
    return stream.getvalue()


def serve(arguments: list[str]) -> str:
    """Start a server, interrupt it when its address is printed, and return that line."""
    command = [sys.executable, "-m", "embedpipe", *arguments]
    shown = b"<title>embedpipe label</title>"
    if arguments[0] == "label-studio":
        with socket.create_server(("127.0.0.1", 0)) as free:
            command += ["--port", str(free.getsockname()[1])]
        shown = b'"status":"UP"'
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with started(command, stderr=None, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        with urllib.request.urlopen(re.search(r"http://\S+", line)[0]) as answer:  # type: ignore[index]
            assert shown in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    return line


def _expanded(word: str) -> list[str]:
    return (sorted(glob.glob(word)) or [word]) if "*" in word and " " not in word else [word]  # noqa: PTH207


def fill_in_labels() -> None:
    """Do the reader's step: fill in the blank labels of tables with a column `label`."""
    for path in Path().glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if rows and {"path", "label"} <= set(rows[0]) and not any(row["label"] for row in rows):
            for row in rows:
                row["label"] = Path(row["path"]).parent.name
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)


def make_reader_folder(folder: Path) -> None:
    """Make the files that the pages name: photos, new photos, labels, metadata, a manifest."""
    images, digits = load_digits(return_X_y=True)
    paths = []
    for code, name in enumerate(CLASSES):
        for place, number in enumerate(np.flatnonzero(digits == code)[:60]):
            paths.append(f"{name}/{place:04d}.jpg")
            _save(images[number], folder / "photos" / paths[-1])
    for number in range(3):
        _save(images[1000 + number], folder / "new" / f"{number}.jpg")
    _write(folder / "labels.csv", "path,label", (f"{p},{Path(p).parent.name}" for p in paths[::5]))
    _write(folder / "sharpness.csv", "path,sharpness", (f"{p},{len(p)}" for p in paths))
    _write(folder / "upload.csv", "path", (f"photos/{p}" for p in paths))


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray((pixels.reshape(8, 8) * 15.9).astype(np.uint8))
    image.resize((64, 64), Image.Resampling.BICUBIC).convert("RGB").save(path, quality=90)


def _write(path: Path, header: str, rows: Iterator[str]) -> None:
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
