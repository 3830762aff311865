"""Weights from a local imitation of the model hub."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch


class Hub(http.server.BaseHTTPRequestHandler):
    """The part of the hub's interface for the download of one file."""

    files: dict[str, bytes]
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.asked.append(self.path)
        data = self.files.get(self.path)
        self.send_response(200 if data is not None else 404)
        if data is None:
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
        else:
            self.send_header("X-Repo-Commit", hashlib.sha1(self.path.encode()).hexdigest())
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body and data is not None:
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve two revisions of the weights of a small network."""
    import timm
    from safetensors.torch import save

    files = {}
    for seed, revision in enumerate(("main", "v2")):
        torch.manual_seed(seed)
        network = timm.create_model("resnet10t", pretrained=False)
        files[f"/timm/resnet10t.c3_in1k/resolve/{revision}/model.safetensors"] = save(
            network.state_dict()
        )
    asked: list[str] = []
    handler = type("OurHub", (Hub,), {"files": files, "asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_revisions_have_different_digests(
    hub: tuple[str, list[str]], photos: Callable[..., Path], tmp_path: Path
) -> None:
    endpoint, asked = hub
    folder = photos(4, 2)

    def embed(backbone: str) -> dict[str, object]:
        environment = {
            **os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hub"),
            "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
        }  # fmt: skip
        environment.pop("HF_HUB_OFFLINE", None)
        done = subprocess.run(
            [sys.executable, "-m", "embedpipe", "embed", str(folder), "--backbone", backbone,
             "--runtime", "torch", "--workspace", str(tmp_path / "workspace"), "--json"],
            capture_output=True, text=True, env=environment, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        report: dict[str, object] = json.loads(done.stdout)
        return report

    newest, pinned = embed("timm:resnet10t.c3_in1k"), embed("timm:resnet10t.c3_in1k@v2")
    assert newest["spec_id"] != pinned["spec_id"]
    assert (newest["embedded"], pinned["embedded"], pinned["dim"]) == (4, 4, 512)
    assert any("/resolve/v2/model.safetensors" in path for path in asked)
    assert embed("timm:resnet10t.c3_in1k@v2")["reused"] == 4
