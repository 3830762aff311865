"""The check that no files import each other in a circle."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / ".ci" / "import_graph.py"


def check(folder, package):
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, str(SCRIPT), package]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


def plant(folder, files):
    for name, text in files.items():
        path = folder / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_imports_that_point_one_way_pass(tmp_path):
    plant(tmp_path, {"__init__.py": "", "a.py": "from . import b", "b.py": ""})
    done = check(tmp_path, "house")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-2:] == ["3 files, 1 imports between them", "no circle"]


def test_a_circle_of_imports_fails(tmp_path):
    late = "def get():\n    from ..room import a"  # a circle all the same
    files = {"__init__.py": "", "room/__init__.py": "", "room/a.py": "from .b import x"}
    plant(tmp_path, {**files, "room/b.py": "x = 1\n" + late})
    done = check(tmp_path, "house")
    assert done.returncode == 1
    assert done.stderr.startswith("a circle of imports: house.room.")


def test_the_package_has_no_circle():
    done = check(SCRIPT.parents[1], "embedpipe")
    assert (done.returncode, done.stderr) == (0, "")
