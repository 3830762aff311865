"""An S3-compatible server on this machine, with throttled, late and lost answers if wanted."""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import ThreadedWSGIServer

SLOW_DOWN = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"""


@dataclass
class Faults:
    """Shares of the requests of one method that are answered wrongly or late."""

    method: str = "PUT"
    throttled: float = 0.0  # answered with 503, and not executed
    lost: float = 0.0  # executed, and answered with 500
    late: float = 0.0
    seconds: float = 0.0  # delay of a late answer
    random: random.Random = field(default_factory=lambda: random.Random(1))


class _Server(ThreadedWSGIServer):
    """A server that lists its open connections."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connections: set[Any] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.connections.discard(request)


class S3Server:
    """The server; `requests` lists the method and the path with the query of each request."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel("ERROR")
        self._application = DomainDispatcherApplication(create_backend_app)
        self._server = _Server("127.0.0.1", 0, self._answer)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "AKIATHISISNOTSECRET1",
            "AWS_SECRET_ACCESS_KEY": "0123456789secretsecretsecret0123456789ab",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.requests: list[tuple[str, str]] = []
        self.faults: Faults | None = None
        self.called: Callable[[str, str], None] | None = None
        self.injected = 0
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def client(self) -> Any:
        """A client for tests."""
        names = ("aws_access_key_id", "aws_secret_access_key")
        keys = {name: self.environment[name.upper()] for name in names}
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **keys)

    def make_bucket(self, name: str) -> str:
        self.client.create_bucket(Bucket=name)
        return name

    def upload(self, folder: Path, bucket: str, prefix: str = "") -> None:
        """Upload the files below a folder."""
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            key = prefix + path.relative_to(folder).as_posix()
            self.client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

    def keys(self, bucket: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [each["Key"] for page in pages for each in page.get("Contents", [])]

    @contextmanager
    def serving_a_program(self) -> Iterator[None]:
        """Answer a program that ends in this block; then wait until its requests have ended."""
        before = set(self._server.connections)
        yield
        # The connections of the program were accepted before this one.
        socket.create_connection(("127.0.0.1", self._server.server_port)).close()
        deadline = time.monotonic() + 120
        while left := self._server.connections - before:
            assert time.monotonic() < deadline, left
            time.sleep(0.01)

    @contextmanager
    def failing(self, faults: Faults) -> Iterator[None]:
        """Answer some requests wrongly or late."""
        self.faults, self.injected = faults, 0
        try:
            yield
        finally:
            self.faults = None

    @contextmanager
    def calling(self, function: Callable[[str, str], None]) -> Iterator[None]:
        """Call a function with the method and the path of each executed request."""
        self.called = function
        try:
            yield
        finally:
            self.called = None

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        path = environ["PATH_INFO"] + (f"?{query}" if query else "")
        self.requests.append((environ["REQUEST_METHOD"], path))
        faults = self.faults
        if self.called is not None:
            answer = list(self._application(environ, start))
            self.called(environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return answer
        if faults is None or environ["REQUEST_METHOD"] != faults.method:
            return self._application(environ, start)
        chance = faults.random.random()
        if chance < faults.throttled:
            self.injected += 1
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("503 Slow Down", [("Content-Type", "application/xml")])
            return [SLOW_DOWN]
        if chance < faults.throttled + faults.lost:
            self.injected += 1
            list(self._application(environ, lambda *_: None))
            start("500 Internal Server Error", [("Content-Type", "application/xml")])
            return [SLOW_DOWN.replace(b"SlowDown", b"InternalError")]
        if chance < faults.throttled + faults.lost + faults.late:
            self.injected += 1
            time.sleep(faults.seconds)
        return self._application(environ, start)
