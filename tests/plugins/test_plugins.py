"""Installed packages that extend embedpipe."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = sorted(path.parent for path in Path(__file__).parent.glob("*/pyproject.toml"))
ADDED = {
    "strategies": "newest",
    "heads": "spheres",
    "policies": "keep_first",
    "datasets": "stripes",
    "formats": "pairs",
    "backbones": "thumbnail",
}
"""The name that a package adds to each family of `embedpipe list`."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Return the environment variables of a process with the packages installed."""
    target = tmp_path_factory.mktemp("installed")
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target)]
    subprocess.run([*command, *map(str, PACKAGES)], check=True)
    paths = [str(target), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@pytest.fixture
def embedpipe(environment, tmp_path):
    """Return a function that runs a command and returns its JSON."""

    def run(*words):
        command = [sys.executable, "-m", "embedpipe", *words, "--json"]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_is_less_than_20_lines(package):
    (module,) = package.glob("*.py")
    code = [line for line in module.read_text("utf-8").splitlines() if line.strip()]
    assert len(code) < 20


@pytest.mark.parametrize("family", ADDED)
def test_list_names_it(family, embedpipe):
    found = {row["name"]: row["description"] for row in embedpipe("list", family)[family]}
    assert found[ADDED[family]].endswith(".")


@pytest.mark.parametrize("family", ADDED)
def test_it_fulfils_its_contract(family, environment, tmp_path):
    check = "check_" + {"strategies": "strategy", "policies": "policy"}.get(family, family[:-1])
    code = f"from embedpipe import testing; print(testing.{check}({ADDED[family]!r}))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert " checks passed" in done.stdout.splitlines()[0]


def test_compare_uses_them_in_its_worker_processes(embedpipe):
    done = embedpipe(
        *("compare", "stripes", "--backbone", "thumbnail", "--strategies", "newest,margin"),
        *("--heads", "logistic,spheres", "--seeds", "2", "--initial-size", "4"),
        *("--batch-size", "2", "--rounds", "2"),
        *("--workers", "2"),
    )
    assert {row["strategy"] for row in done["summary"]} == {"newest", "margin", "random"}
    assert {row["head"] for row in done["summary"]} == {"logistic", "spheres"}
    assert done["failures"] == []


def test_replay_uses_them(embedpipe):
    done = embedpipe(
        *("replay", "stripes", "--backbone", "toy", "--policy", "keep_first", "--retain", "0.2"),
        *("--stream", "order", "--experiences", "2", "--seeds", "1"),
    )
    assert "keep_first" in {row["policy"] for row in done["summary"]}
    assert done["failures"] == []


def test_labels_are_exported_and_imported_in_its_format(embedpipe, tmp_path):
    embedpipe("embed", "stripes", "--backbone", "toy")
    (tmp_path / "labels.csv").write_text("path,label\nacross/00.png,across\ndown/01.png,down\n")
    embedpipe("labels", "import", "stripes", "labels.csv", "--format", "csv")
    embedpipe("labels", "export", "stripes", "--format", "pairs", "--output", "labels.txt")
    text = (tmp_path / "labels.txt").read_text()
    assert text == "across/00.png\tacross\ndown/01.png\tdown\n"
    (tmp_path / "labels.txt").write_text("across/02.png\tacross\n")
    assert embedpipe("labels", "import", "stripes", "labels.txt", "--format", "pairs")["items"] == 1
