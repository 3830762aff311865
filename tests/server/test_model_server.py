"""`embedpipe serve`: predictions over HTTP, its limits, attacks, and its end."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import embedpipe as ep
from embedpipe.errors import RunError
from embedpipe.server import Limits, ModelServer
from tests.conftest import make_image
from tests.processes import started
from tests.server.conftest import Client, Response, make_photos


class Service(Client):
    """A client of a model's service; `predict` sends an image."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url, self.token = url, token or ""
        self.port = int(url.rpartition(":")[2])

    def predict(self, body: bytes, kind: str | None = "image/jpeg", **headers: str) -> Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.raw(
            "POST", "/predict", ({} if kind is None else {"content-type": kind}) | given, body
        )


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three classes on the toy backbone."""
    folder = tmp_path_factory.mktemp("served")
    embeddings = ep.embed(make_photos(folder / "p", 24), backbone="toy", workspace=folder / "w")
    labels = {item.id: f"kind {int(item.id[5:9]) % 3}" for item in embeddings.items}
    ep.train(embeddings, labels, head="logistic", output=folder / "model.safetensors")
    return folder / "model.safetensors"


@pytest.fixture(scope="module")
def photos(model_file: Path) -> list[Path]:
    return sorted(model_file.parent.glob("p/*/*.jpg"))


@contextlib.contextmanager
def served(model: ep.Model, **options: Any) -> Iterator[Service]:
    """Serve a model on a thread of the tests."""
    server = ModelServer(model, port=0, **options)
    server.start()
    try:
        yield Service(server.url, server.token)
    finally:
        server.stop()


@pytest.fixture(scope="module")
def service(model_file: Path) -> Iterator[Service]:
    with served(ep.load_model(model_file)) as service:
        yield service


def form(files: dict[str, bytes], field: str = "file") -> tuple[bytes, str]:
    """Return a form with files, and its content type."""
    parts = [
        f'--limit\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
        .encode() + content + b"\r\n"
        for name, content in files.items()
    ]  # fmt: skip
    return b"".join([*parts, b"--limit--\r\n"]), "multipart/form-data; boundary=limit"


def test_an_image_has_the_prediction_of_the_model(
    service: Service, model_file: Path, photos: list[Path]
) -> None:
    expected = ep.load_model(model_file).predict(photos[:3])
    for kind in ("image/jpeg", "image/png; q=1", "application/octet-stream"):
        (found,) = service.predict(photos[0].read_bytes(), kind).json()["predictions"]
        assert list(found) == ["label", "probability", "probabilities"]
        assert found["label"] == expected[0].label
        assert found["probability"] == pytest.approx(expected[0].probability, abs=1e-6)
        assert list(found["probabilities"]) == ["kind 0", "kind 1", "kind 2"]
    several = service.predict(*form({path.name: path.read_bytes() for path in photos[:3]})).json()
    assert [each["label"] for each in several["predictions"]] == expected.labels.tolist()
    assert [each["file"] for each in several["predictions"]] == [p.name for p in photos[:3]]


def test_the_service_describes_itself(service: Service) -> None:
    assert service.raw("GET", "/health", {}).json() == {"status": "ok"}
    document = service.raw("GET", "/openapi.json", {}).json()
    assert document["openapi"] == "3.1.0"
    label = document["components"]["schemas"]["Prediction"]["properties"]["label"]
    assert label["enum"] == ["kind 0", "kind 1", "kind 2"]
    assert set(document["paths"]) == {"/predict", "/health"}
    for path in ("/", "/docs"):
        page = service.raw("GET", path, {})
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "<li>kind 0</li>" in page.body.decode()
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "<script" not in page.body.decode()


BAD_FORMS = {
    "no file": (b'--limit\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--limit--\r\n',
                "multipart/form-data; boundary=limit",
                "the form has no file: send each image as a file, as `curl -F` does."),
    "no boundary": (b"x", "multipart/form-data",
                    "the form cannot be read: Missing boundary in multipart."),
    "too many": (*form({f"{n}.jpg": b"x" for n in range(65)}),
                 "the form cannot be read: Too many files. Maximum number of files is 64."),
}  # fmt: skip


@pytest.mark.parametrize("case", list(BAD_FORMS))
def test_forms_without_images_are_refused(service: Service, case: str) -> None:
    body, kind, message = BAD_FORMS[case]
    assert service.predict(body, kind).error() == (400, message)


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        (b"no image", "image/jpeg", 422, "`the body` is not an image in a supported format."),
        (b"", "image/jpeg", 422, "`the body` is empty. Copy it again from the source."),
        (b"<svg", "image/svg+xml", 422,
         "`the body` is SVG, an unsupported format. Convert it to PNG or JPEG."),
        (b"{}", "application/json", 415, "the content type must be image/…, "
         "application/octet-stream or multipart/form-data."),
        (b"x", None, 415, "the content type must be image/…, application/octet-stream or "
         "multipart/form-data."),
        (*form({"a.jpg": b"no image"}), 422, "`a.jpg` is not an image in a supported format."),
    ],
    ids=["text", "empty", "svg", "json", "no type", "form"],
)  # fmt: skip
def test_other_bodies_are_refused(
    service: Service, body: bytes, kind: str | None, status: int, message: str
) -> None:
    assert service.predict(body, kind).error() == (status, message)
    assert service.raw("GET", "/predict", {}).status == 405
    assert service.raw("GET", "/nothing", {}).status == 404


def test_a_large_body_is_refused_announced_or_not(model_file: Path) -> None:
    with served(ep.load_model(model_file), limits=Limits(body=1000)) as service:
        refused = service.predict(b"x", content_length="1001")
        assert refused.error() == (413, "the body has more than 1,000 bytes.")
        chunks = b"".join(b"200\r\n" + b"x" * 512 + b"\r\n" for _ in range(4)) + b"0\r\n\r\n"
        for name, value, body, statuses in (
            ("transfer-encoding", "chunked", chunks, [b"413"]),
            ("content-length", "-1", b"x", [b"400", b"413"]),
        ):
            head = f"POST /predict HTTP/1.1\r\nhost: 127.0.0.1:{service.port}\r\n"
            head += f"content-type: image/jpeg\r\n{name}: {value}\r\n\r\n"
            # Only the first line is read: the server may close before it has read the body.
            with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
                connection.sendall(head.encode() + body)
                assert connection.makefile("rb").readline().split()[1] in statuses
        assert service.raw("GET", "/health", {}).status == 200


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"host": "evil.example:{port}"}, 421,
         "the host must be 127.0.0.1 or localhost, with the server's port."),
        ({"host": "127.0.0.1:1"}, 421,
         "the host must be 127.0.0.1 or localhost, with the server's port."),
        ({"origin": "http://evil.example"}, 403, "requests from other sites are refused."),
        ({"origin": "null"}, 403, "requests from other sites are refused."),
        ({"sec_fetch_site": "cross-site"}, 403, "requests from other sites are refused."),
        ({"sec_fetch_site": "same-site"}, 403, "requests from other sites are refused."),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("path", ["/predict", "/health", "/docs", "/openapi.json"])
def test_requests_of_other_sites_are_refused(
    service: Service, path: str, changes: dict[str, str], status: int, message: str
) -> None:
    headers = {name.replace("_", "-"): value.format(port=service.port)
               for name, value in changes.items()}  # fmt: skip
    method, body = ("POST", b"x") if path == "/predict" else ("GET", None)
    assert service.raw(method, path, headers, body).error() == (status, message)


def test_off_loopback_the_token_is_required(model_file: Path, photos: list[Path]) -> None:
    with served(ep.load_model(model_file), host="0.0.0.0") as service:
        assert len(service.token) >= 32
        body, refused = photos[0].read_bytes(), (
            401, "the token is missing or wrong: send the header `Authorization: Bearer TOKEN`.",
        )  # fmt: skip
        basic = base64.b64encode(f"any:{service.token}".encode()).decode()
        wrong: list[dict[str, str]] = [{}, {"cookie": f"token={service.token}"}]
        wrong += [{"authorization": text}
                  for text in ("Bearer x", f"Bearer {service.token}x", "Basic !")]  # fmt: skip
        for given in wrong:
            assert service.predict(body, **given).error() == refused
            for path in ("/docs", "/openapi.json", "/nothing"):
                assert service.raw("GET", path, given).error() == refused
        for right in (f"Bearer {service.token}", f"Basic {basic}"):
            found = service.predict(body, authorization=right, host="a.name.of.this.machine")
            assert found.status == 200
        assert service.raw("GET", "/health", {}).json() == {"status": "ok"}
        assert service.predict(
            body, authorization=f"Bearer {service.token}", origin="http://evil.example"
        ).status == 403  # fmt: skip
    with served(ep.load_model(model_file), token="a secret") as service:
        assert service.predict(body).status == 401
        assert service.predict(body, authorization="Bearer a secret").status == 200


class SlowModel(ep.Model):
    """A model that waits for the test before each batch, and notes the size of each batch."""

    def __init__(self, model: ep.Model) -> None:
        self.model, self.name = model, "slow"
        self.classes, self.preprocess = model.classes, model.preprocess
        self.go, self.sizes = threading.Semaphore(2), []

    def probabilities(self, pixels: Any) -> Any:
        self.go.acquire()
        self.sizes.append(len(pixels))
        return self.model.probabilities(pixels)


def wait_for(met: Callable[[], bool]) -> None:
    """Wait until a condition is met."""
    for _ in range(6000):
        if met():
            return
        threading.Event().wait(0.01)
    raise AssertionError("the condition is not met after 60 seconds")


def test_requests_are_predicted_together_and_too_many_are_refused(
    model_file: Path, photos: list[Path]
) -> None:
    slow = SlowModel(ep.load_model(model_file))
    body = photos[0].read_bytes()
    with (
        served(slow, limits=Limits(requests=6, batch_size=4)) as service,
        ThreadPoolExecutor(10) as threads,
    ):
        assert slow.sizes == [1, 4]  # at the start
        sent = [threads.submit(service.predict, body) for _ in range(10)]
        wait_for(lambda: sum(each.done() for each in sent) == 4)
        for response in (each.result() for each in sent if each.done()):
            assert response.error() == (
                503, "too many requests are in progress: try again after 1 second.",
            )  # fmt: skip
            assert response.headers["retry-after"] == "1"
        assert service.raw("GET", "/health", {}).status == 200
        slow.go.release(100)
        answers = Counter(each.result(timeout=60).status for each in sent)
    assert answers == {200: 6, 503: 4}
    assert sum(slow.sizes[2:]) == 6
    assert max(slow.sizes[2:]) > 1


def test_an_error_of_the_model_is_a_response_and_the_service_goes_on(
    model_file: Path, photos: list[Path]
) -> None:
    class Failing(SlowModel):
        def probabilities(self, pixels: Any) -> Any:
            if len(self.sizes) == 2:
                self.sizes.append(len(pixels))
                raise MemoryError("no memory")
            return super().probabilities(pixels)

    failing = Failing(ep.load_model(model_file))
    failing.go.release(9)
    with served(failing) as service:
        body = photos[0].read_bytes()
        assert service.predict(body).error() == (500, "unexpected MemoryError: no memory")
        assert service.predict(body).status == 200


def test_slow_clients_do_not_stay(model_file: Path, photos: list[Path]) -> None:
    with served(ep.load_model(model_file), limits=Limits(timeout=2)) as service:
        address = ("127.0.0.1", service.port)
        head = (
            f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n"
            "Content-Type: image/jpeg\r\nContent-Length: 1000\r\n"
        ).encode()
        with contextlib.ExitStack() as stack:
            silent, half_head, half_body, again = (
                stack.enter_context(socket.create_connection(address, timeout=30)) for _ in range(4)
            )
            half_head.sendall(head)
            half_body.sendall(head + b"\r\n" + b"x" * 10)
            again.sendall(
                f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n\r\n".encode()
            )
            assert again.recv(15) == b"HTTP/1.1 200 OK"
            again.sendall(b"GET /health")
            assert silent.recv(100) == b""  # closed by the server
            assert half_head.recv(100) == b""
            answer = half_body.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"the body did not arrive within 2 seconds." in answer
            assert again.makefile("rb").read().endswith(b'{"status":"ok"}')  # and closed
        assert service.predict(photos[0].read_bytes()).status == 200


@contextlib.contextmanager
def command(model: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], Service]]:
    """Start the command as a user does."""
    words = [sys.executable, "-m", "embedpipe", "serve", "--model", str(model), "--port", "0"]
    with started([*words, "--json", *options]) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate(timeout=30)[1]
        facts = json.loads(line)
        yield process, Service(facts["url"], facts["token"])


def test_two_hundred_concurrent_requests_and_a_graceful_end(
    model_file: Path, photos: list[Path]
) -> None:
    bodies = [path.read_bytes() for path in photos]
    expected = ep.load_model(model_file).predict(photos).labels.tolist()
    large = io.BytesIO()
    make_image(1, (3000, 2000)).save(large, "JPEG")
    with command(model_file, "--max-megabytes", "1") as (process, service):
        assert service.token == ""
        barrier = threading.Barrier(200)

        def ask(number: int) -> tuple[int, Any]:
            barrier.wait(timeout=120)
            place = number % len(bodies)
            if number % 20 == 7:
                return service.predict(b"x" * 2_000_000).status, 413
            if number % 20 == 11:
                return service.predict(b"no image").status, 422
            answer = service.predict(bodies[place])
            label = answer.json()["predictions"][0]["label"] if answer.status == 200 else None
            return answer.status, label == expected[place]

        with ThreadPoolExecutor(200) as threads:
            found = Counter(threads.map(ask, range(200)))
        assert found == {(200, True): 180, (413, 413): 10, (422, 422): 10}
        # A request in progress is answered after the signal.
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        connection.putrequest("POST", "/predict")
        connection.putheader("content-type", "image/jpeg")
        connection.putheader("content-length", str(len(large.getvalue())))
        connection.endheaders(large.getvalue()[:1000])
        wait_for(lambda: service.raw("GET", "/health", {}).status == 200)
        process.send_signal(signal.SIGTERM)
        connection.send(large.getvalue()[1000:])
        assert connection.getresponse().status == 200
        connection.close()
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert err.splitlines() == [f"Try {service.url}/docs. Press Ctrl-C to end."]


def test_an_occupied_port_is_one_line(service: Service, model_file: Path) -> None:
    with pytest.raises(RunError) as caught:
        ModelServer(ep.load_model(model_file), port=service.port)
    assert str(caught.value) == (
        f"cannot use port {service.port} (Address already in use): give another --port or --host."
    )
