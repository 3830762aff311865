"""Fixtures of all tests."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.accessibility import axe_script
from tests.ray_nodes import nodes_of_one_cpu

REPOSITORY = Path(__file__).resolve().parent.parent
PATIENCE = 90_000
"""Milliseconds until an act of the browser fails; 30,000 are too few on a busy machine."""

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session", autouse=True)
def _default_signals_in_programs() -> None:
    """Replace ignored signals, as under nohup, by handlers: programs do not inherit a handler."""
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture(scope="session", autouse=True)
def _no_home_data(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep commands of fixtures that last longer than a test away from the home folder."""
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.getbasetemp() / "data")


@pytest.fixture(autouse=True)
def data_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, empty at the start of each test; it is made at the first write."""
    folder = tmp_path_factory.getbasetemp() / "data-homes" / secrets.token_hex(8)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the published archives; without it, tests skip."""
    folder = Path(os.environ.get("EMBEDPIPE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "clothing-dataset-small.zip").exists():
        pytest.skip(f"needs the real photos in {folder} (set EMBEDPIPE_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def bundled_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the digits are embedded with the bundled backbone."""
    import embedpipe as ep

    workspace = tmp_path_factory.mktemp("bundled")
    ep.embed(ep.load_dataset("digits"), workspace=workspace)
    return workspace


def make_image(seed: int, size: tuple[int, int] = (40, 32)) -> Image.Image:
    """Return a small image that differs between seeds."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes a folder of JPEGs, one folder for each class."""

    def make(count: int = 12, classes: int = 3, name: str = "photos") -> Path:
        folder = tmp_path / name
        for number in range(count):
            path = folder / f"class{number % classes}" / f"{number:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            make_image(number).save(path, quality=90)
        return folder

    return make


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Any]:
    """A Ray cluster of two nodes of one processor."""
    with nodes_of_one_cpu(2) as cluster:
        yield cluster


class PatientBrowser:
    """A browser whose pages wait long for what a test expects."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    def new_context(self, **options: Any) -> Any:
        context = self._browser.new_context(**options)
        context.set_default_timeout(PATIENCE)
        return context

    def new_page(self, **options: Any) -> Any:
        page = self._browser.new_page(**options)
        page.set_default_timeout(PATIENCE)
        return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium, closed with the module, because only one may run at a time."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
            timeout=2 * PATIENCE,
        )
        yield PatientBrowser(browser)
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The text of axe-core, for `violations`."""
    return axe_script()


@contextmanager
def quiet_page(browser: Any, url: str, width: int) -> Iterator[Any]:
    """A page in a window of a width; it must send no request, log no error, and fit."""
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda made: asked.append(made.url))
    page.on("console", lambda message: problems.append(message.text))
    page.goto(url)
    assert [made for made in asked if not made.startswith("data:")] == [url]
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    yield page
    context.close()
