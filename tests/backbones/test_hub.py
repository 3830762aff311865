"""Weights from a local imitation of the model hub."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = "/timm/resnet10t.c3_in1k/resolve"


@dataclass
class Hub:
    """The files of the hub by path, what it does wrong, and the requests it got."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut: bool = False
    """Whether the first answer ends in the middle of the file."""
    damage: bool = False
    """Whether the bytes of a file differ from its digest."""
    error: str = "EntryNotFound"
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and range of each request."""
    url: str = ""


class Handler(http.server.BaseHTTPRequestHandler):
    """The part of the hub's interface for the download of one file."""

    hub: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, wanted = self.hub, self.headers.get("Range")
        hub.asked.append((self.command, self.path, wanted))
        data = hub.files.get(self.path)
        if data is None:
            self.send_response(404)
            self.send_header("X-Error-Code", hub.error)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(re.findall(r"\d+", wanted)[0]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("X-Repo-Commit", hashlib.sha1(self.path.encode()).hexdigest())
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        if hub.damage:
            data = data[:-1] + bytes([data[-1] ^ 1])
        end = len(data) // 2 if hub.cut and not wanted else len(data)
        self.wfile.write(data[start:end])

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    handler = type("OurHandler", (Handler,), {"hub": hub})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def environment(hub: Hub, tmp_path: Path) -> dict[str, str]:
    environment = {
        **os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN"):
        environment.pop(name, None)
    return environment


FETCH = """
import sys
from embedpipe.backbones.hub import hub_file
from embedpipe.errors import BackboneError
try:
    names = ["model.safetensors", "pytorch_model.bin"]
    print(hub_file("timm/resnet10t.c3_in1k", names, None, "timm:resnet10t"))
except BackboneError as error:
    sys.exit(str(error))
"""


def fetch(environment: dict[str, str]) -> tuple[Path | None, str]:
    """Return the path of the weights, or None and the message."""
    done = subprocess.run(
        [sys.executable, "-c", FETCH], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        assert done.stderr.count("\n") == 1, done.stderr
        return None, done.stderr.strip()
    return Path(done.stdout.strip()), done.stderr


CONTENT = bytes(range(256)) * 400


def test_a_download_continues_after_a_lost_connection(
    hub: Hub, environment: dict[str, str]
) -> None:
    content = CONTENT * 250  # the client writes 10 MiB at a time
    hub.files[f"{REPOSITORY}/main/model.safetensors"] = content
    hub.cut = True
    path, _ = fetch(environment)
    assert path is not None
    assert path.read_bytes() == content
    wanted = [each for method, _, each in hub.asked if method == "GET"]
    assert wanted == [None, f"bytes={10 << 20}-"]
    hub.asked.clear()
    assert fetch(environment)[0] == path
    assert hub.asked == []  # a file in the cache needs no request


def test_a_damaged_download_is_refused_and_can_be_repeated(
    hub: Hub, environment: dict[str, str]
) -> None:
    hub.files[f"{REPOSITORY}/main/model.safetensors"] = CONTENT
    hub.damage = True
    path, message = fetch(environment)
    assert path is None
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert f"(the SHA-256 of model.safetensors is not {digest}: the file is damaged)" in message
    folder = Path(re.findall("copy the file into (.*), or give", message)[0])
    (folder / "model.safetensors").write_bytes(CONTENT)
    hub.asked.clear()
    assert fetch(environment)[0] == folder / "model.safetensors"
    assert hub.asked == []
    (folder / "model.safetensors").unlink()
    hub.damage = False
    path, _ = fetch(environment)
    assert path is not None
    assert path.read_bytes() == CONTENT


def test_the_other_kind_of_file_is_used(hub: Hub, environment: dict[str, str]) -> None:
    hub.files[f"{REPOSITORY}/main/pytorch_model.bin"] = CONTENT
    path, _ = fetch(environment)
    assert path is not None
    assert path.name == "pytorch_model.bin"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("EntryNotFound",
         "the weights of 'timm:resnet10t' do not exist: {url}/timm/resnet10t.c3_in1k has no file "
         "model.safetensors or pytorch_model.bin."),
        ("RepoNotFound",
         "the weights of 'timm:resnet10t' do not exist: the hub has no 'timm/resnet10t.c3_in1k'."),
        ("GatedRepo",
         "the weights of 'timm:resnet10t' need an agreement: accept it at "
         "{url}/timm/resnet10t.c3_in1k, then run `hf auth login`."),
    ],
)  # fmt: skip
def test_weights_that_the_hub_does_not_have(
    hub: Hub, environment: dict[str, str], error: str, message: str
) -> None:
    hub.error = error
    assert fetch(environment) == (None, message.format(url=hub.url))


@pytest.mark.parametrize("offline", [False, True])
def test_without_a_network_the_message_says_which_file_to_bring_and_where(
    environment: dict[str, str], tmp_path: Path, offline: bool
) -> None:
    environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
    if offline:
        environment["HF_HUB_OFFLINE"] = "1"
    path, message = fetch(environment)
    assert path is None
    folder = tmp_path / "hub/hub/models--timm--resnet10t.c3_in1k/snapshots/main"
    assert message.startswith("the weights of 'timm:resnet10t' cannot be downloaded (")
    assert message.endswith(
        "Try again, or download http://127.0.0.1:9/timm/resnet10t.c3_in1k/resolve/main/"
        f"model.safetensors on another computer and copy the file into {folder}, or give it with "
        "--weights."
    )
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(CONTENT)
    assert fetch(environment)[0] == folder / "model.safetensors"


@pytest.mark.slow
def test_revisions_have_different_digests(
    hub: Hub, environment: dict[str, str], photos: Callable[..., Path], tmp_path: Path
) -> None:
    import timm
    import torch
    from safetensors.torch import save

    for seed, revision in enumerate(("main", "v2")):
        torch.manual_seed(seed)
        network = timm.create_model("resnet10t", pretrained=False)
        hub.files[f"{REPOSITORY}/{revision}/model.safetensors"] = save(network.state_dict())
    folder = photos(4, 2)

    def embed(backbone: str) -> dict[str, object]:
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
    assert any("/resolve/v2/model.safetensors" in path for _, path, _ in hub.asked)
    hub.asked.clear()
    assert embed("timm:resnet10t.c3_in1k@v2")["reused"] == 4
    assert hub.asked == []
