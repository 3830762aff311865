"""The public names of `embedpipe`."""

import subprocess
import sys

import pytest

import embedpipe


@pytest.mark.parametrize("name", embedpipe.__all__)
def test_every_public_name_exists(name):
    assert getattr(embedpipe, name) is not None
    assert name in dir(embedpipe)


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="No embedpipe attribute nothing"):
        _ = embedpipe.nothing


def test_import_loads_no_heavy_library():
    code = "import embedpipe, sys; print(*{'torch', 'faiss', 'numpy', 'sklearn'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
