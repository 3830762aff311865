"""A real Label Studio server for tests; `make consumers` installs it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

TOKEN = "0123456789abcdef0123456789abcdef01234567"
STARTS_IN_SECONDS = 300


class LabelStudio:
    """A Label Studio on a port of its own, with its data in a folder of its own."""

    def __init__(self, folder: Path, document_root: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        environment = {
            **os.environ,
            "HOME": str(folder),
            "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(document_root),
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            **dict.fromkeys(["SSRF_PROTECTION_ENABLED", "ML_BLOCK_LOCAL_IP"], "false"),
            **dict.fromkeys(["COLLECT_ANALYTICS", "LATEST_VERSION_CHECK"], "false"),
            **dict.fromkeys(["SENTRY_DSN", "FRONTEND_SENTRY_DSN"], ""),
        }
        command = [str(Path(sys.executable).with_name("label-studio")), "start", "--no-browser"]
        command += ["--internal-host", "127.0.0.1", "--port", str(port)]
        command += ["--username", "ann@example.org", "--password", "of-this-test"]
        self.log = folder / "server.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--user-token", TOKEN], env=environment, stdout=log, stderr=log
            )

    def wait(self) -> None:
        deadline = time.monotonic() + STARTS_IN_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                self.get("/health")
            except OSError:
                time.sleep(1)
            else:
                return
        raise TimeoutError(self.log.read_text())

    def get(self, path: str, body: object = None, method: str | None = None) -> bytes:
        """Return the content at a path, or the response to `body`."""
        request = urllib.request.Request(
            self.address + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request) as answer:
            content: bytes = answer.read()
        return content

    def ask(self, path: str, body: object = None, method: str | None = None) -> Any:
        content = self.get(path, body, method)
        return json.loads(content) if content else None

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
