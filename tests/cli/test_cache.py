"""The commands of `cache`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Outcome


def test_cache(call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path) -> None:
    assert call("cache", "list").out.startswith("the cache in ")
    call("embed", photos(5), "--precision", "fp32")
    (spec,) = call("cache", "list", "--json").json()["specs"]
    assert (spec["rows"], spec["failed"], spec["backbone"]) == (5, 0, "embedpipe:toy")
    assert spec["bytes"] > 5 * 48 * 4
    assert (
        "  embedpipe:toy  32 x 32 pixels  grid pooling  fp32  48 dims  5 rows  "
        in call("cache", "list").out
    )
    assert call("cache", "verify").out == "no file is damaged\n"
    (fragment,) = (tmp_path / "workspace").glob("cache/*/fragments/*")
    fragment.write_bytes(b"")
    verified = call("cache", "verify", "--json")
    assert verified.status == 1
    message = (
        "1 file is damaged. Run `embedpipe cache gc` to remove damaged files; the next `embed` "
        "computes them again."
    )
    assert json.loads(verified.out) == {
        "problems": [{"path": str(fragment), "reason": "empty"}],
        "error": message,
        "kind": "DamagedFileError",
        "status": 1,
    }
    assert verified.err == f"embedpipe: {message}\n"
    assert call("cache", "verify").out == f"{fragment}: empty\n"
    assert call("embed", photos(5), "--precision", "fp32").error() == (
        1,
        f"embedpipe: {fragment} is not a whole fragment. Run `embedpipe cache gc` to remove "
        "damaged files; the next `embed` computes them again.",
    )
    doomed = [{"path": str(fragment), "reason": "empty", "bytes": 0}]
    assert call("cache", "gc", "--dry-run", "--json").json()["removed"] == doomed
    assert call("cache", "gc").out == f"{fragment}: empty (0.0 MB)\n0.0 MB removed\n"
    assert call("cache", "gc").out == "nothing to remove\n"
    assert call("embed", photos(5), "--precision", "fp32", "--json").json()["embedded"] == 5
