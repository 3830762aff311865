"""Without the libraries of a store, one line says how to install them."""

from __future__ import annotations

import sys

import pytest
from fsspec.registry import _registry
from typer.testing import CliRunner

from embedpipe import _storage
from embedpipe.cli.main import app

INSTALL = "the library for s3:// is not installed: `pip install 'embedpipe[cloud]'`."


@pytest.mark.parametrize("missing", ["fsspec", "s3fs"])
@pytest.mark.parametrize(
    "words",
    [
        ["embed", "s3://bucket/photos"],
        ["embed", "s3://bucket/photos.zip"],
        ["embed", "digits", "--backbone", "toy", "--workspace", "s3://bucket/ws"],
        ["cache", "list", "--workspace", "s3://bucket/ws"],
    ],
    ids=" ".join,
)
def test_a_missing_library_is_named(
    missing: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _storage._file_system.cache_clear()
    monkeypatch.delitem(_registry, "s3", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith(INSTALL)


def test_the_library_of_another_store_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(_registry, "sftp", raising=False)
    monkeypatch.setitem(sys.modules, "paramiko", None)
    result = CliRunner().invoke(app, ["cache", "list", "--workspace", "sftp://host/ws"])
    assert result.exit_code == 2
    assert "the library for sftp:// is not installed: " in result.stderr
    assert "paramiko" in result.stderr
    assert "cloud" not in result.stderr
