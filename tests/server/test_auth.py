"""Attacks, each tried and refused."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import Lab, make_photos


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One server for all that is refused, which leaves nothing behind."""
    folder = tmp_path_factory.mktemp("guarded")
    lab = Lab(make_photos(folder / "photos", 24), folder / "workspace")
    yield lab
    lab.close()


POSTS = (
    *("/api/label", "/api/accept", "/api/withdraw", "/api/mark", "/api/undo", "/api/classes"),
    *("/api/classes/rename", "/api/classes/delete"),
    *("/api/copies/skip", "/api/retrain", "/api/export", "/api/predict", "/api/new-images/add"),
)
READS = (
    "/api/choices",
    "/api/confident",
    "/api/overview",
    "/api/new-images",
    "/api/exports/x",
    "/api/items?q=a",
)
NO_TOKEN = "the token is missing or wrong: open the address that `embedpipe label` printed."
LABEL = json.dumps({"rows": [0], "label": "hat"}).encode()


def browser_headers(lab: Lab, **changes: str | None) -> dict[str, str]:
    """What our own page sends with a label, with some of it changed or left out."""
    run = lab.get("/api/status").json()["run"]
    headers: dict[str, str | None] = {
        "host": f"127.0.0.1:{lab.port}",
        "origin": f"http://127.0.0.1:{lab.port}",
        "sec-fetch-site": "same-origin",
        "cookie": f"embedpipe-{lab.port}={lab.token}",
        "x-embedpipe-run": run,
        "content-type": "application/json",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    return {name: value for name, value in headers.items() if value is not None}


def try_to_label(lab: Lab, body: bytes = LABEL, **changes: str | None) -> Any:
    before = list(lab.log.events())
    answer = lab.raw("POST", "/api/label", browser_headers(lab, **changes), body)
    assert (list(lab.log.events()) == before) == (answer.status != 200)
    return answer


def test_our_own_page_may_label(lab: Lab) -> None:
    assert try_to_label(lab).status == 200
    assert list(lab.labels().values()) == ["hat"]
    lab.session.undo()


def test_the_server_listens_on_127_0_0_1_only(lab: Lab) -> None:
    found = [info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    for address in set(found) - {"127.0.0.1"}:
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex((str(address), lab.port)) != 0


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{port}",
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1:{port}.evil.example",
    ],
)
def test_other_host_names_are_refused(lab: Lab, host: str) -> None:
    name = host.format(port=lab.port)
    refused = try_to_label(lab, host=name, origin=f"http://{name}")
    assert refused.error() == (
        421,
        "the host must be 127.0.0.1 or localhost, with the server's port.",
    )
    page = lab.raw("GET", f"/?token={lab.token}", {"host": name})
    assert page.status == 421
    assert "set-cookie" not in page.headers


def test_two_hosts_in_one_request_are_refused(lab: Lab) -> None:
    request = (
        f"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1:{lab.port}\r\nHost: evil.example\r\n"
        f"Authorization: Bearer {lab.token}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", lab.port)) as connection:
        connection.sendall(request.encode())
        status = connection.makefile("rb").readline()
    assert status.split()[1] in (b"400", b"421")


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1:{port}"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://localhost:{port}"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
    ids=str,
)
def test_requests_of_other_sites_are_refused(lab: Lab, changes: dict[str, str]) -> None:
    filled = {name: value.format(port=lab.port) for name, value in changes.items()}
    assert try_to_label(lab, **filled).error() == (403, "requests from other sites are refused.")


def test_forms_of_other_sites_are_refused(lab: Lab) -> None:
    refused = try_to_label(lab, origin=None)
    assert refused.error() == (403, "requests without an origin are refused.")
    refused = try_to_label(lab, x_embedpipe_run=None)
    assert refused.error() == (409, "the server was restarted, or has new images: reload the page.")
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
        assert try_to_label(lab, content_type=kind).error() == (
            415,
            "the content type must be application/json.",
        )


@pytest.mark.parametrize("path", POSTS)
def test_every_change_needs_host_token_origin_and_run(lab: Lab, path: str) -> None:
    before = list(lab.log.events())
    refusals: list[tuple[dict[str, str | None], int]] = [
        ({"host": "evil.example"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"origin": None}, 403),
        ({"cookie": None}, 401),
        ({"x_embedpipe_run": "0123456789abcdef"}, 409),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"content_length": "99999999999"}, 413),
    ]
    kind = {"content_type": "image/jpeg"} if path == "/api/predict" else {}
    for changes, status in refusals:
        answer = lab.raw("POST", path, browser_headers(lab, **{**kind, **changes}), b"{}")
        assert (changes, answer.status) == (changes, status)
    assert lab.raw("GET", path, {"authorization": f"Bearer {lab.token}"}).status == 405
    assert list(lab.log.events()) == before


@pytest.mark.parametrize("path", READS)
def test_every_view_needs_the_token(lab: Lab, path: str) -> None:
    assert lab.raw("GET", path, {}).error() == (401, NO_TOKEN)
    cookie = {"cookie": f"embedpipe-{lab.port}={lab.token}"}
    assert lab.raw("GET", path, {**cookie, "sec-fetch-site": "cross-site"}).status == 403
    assert lab.raw("GET", path, {**cookie, "host": "evil.example"}).status == 421


def test_a_program_may_name_the_run_that_its_rows_are_of(lab: Lab) -> None:
    headers = {"authorization": f"Bearer {lab.token}", "content-type": "application/json"}
    run = lab.get("/api/status").json()["run"]
    assert lab.raw("POST", "/api/label", {**headers, "x-embedpipe-run": run}, LABEL).status == 200
    lab.session.undo()
    refused = lab.raw("POST", "/api/label", {**headers, "x-embedpipe-run": "other"}, LABEL)
    assert refused.error() == (409, "the server was restarted, or has new images: reload the page.")


def test_a_large_file_is_refused_before_it_is_read(lab: Lab) -> None:
    headers = browser_headers(lab, content_type="image/png", content_length="40000001")
    refused = lab.raw("POST", "/api/predict", headers, b"x")
    assert refused.error() == (413, "the body has more than 40,000,000 bytes.")


@pytest.mark.parametrize("key", ["..%2f..%2flabels.sqlite", "%2e%2e", "x/../../labels.sqlite", "x"])
def test_no_download_leads_to_another_file(lab: Lab, key: str) -> None:
    assert lab.get(f"/api/exports/{key}").status == 404


def test_a_page_of_an_earlier_run_is_refused(lab: Lab) -> None:
    """Rows may be other items since."""
    refused = try_to_label(lab, x_embedpipe_run="0123456789abcdef")
    assert refused.error() == (409, "the server was restarted, or has new images: reload the page.")


@pytest.mark.parametrize(
    "path", ["/api/status", "/static/js/main.js", "/api/items/0/picture", "/x"]
)
@pytest.mark.parametrize("cookie", [None, "", "wrong", "{token}x", "{token}, wrong"])
def test_requests_without_the_token_are_refused(lab: Lab, path: str, cookie: str | None) -> None:
    headers = {}
    if cookie is not None:
        headers["cookie"] = f"embedpipe-{lab.port}={cookie.format(token=lab.token)}"
    assert lab.raw("GET", path, headers).error() == (401, NO_TOKEN)
    assert lab.raw("GET", path, {"authorization": "Bearer"}).status == 401


def test_a_wrong_token_gives_no_cookie(lab: Lab) -> None:
    for address in ("/", "/?token=", "/?token=wrong", f"/?token={lab.token[:-1]}", "/?token=%FF"):
        refused = lab.raw("GET", address, {})
        assert refused.status == 401
        assert "set-cookie" not in refused.headers
        page = refused.body.decode()
        assert "<pre>embedpipe label --url</pre>" in page
        for secret in (lab.token, str(lab.port), lab.session.dataset, str(lab.folder)):
            assert secret not in page
    assert try_to_label(lab, cookie=None).error() == (401, NO_TOKEN)


def test_the_token_moves_from_the_address_to_a_protected_cookie(
    lab: Lab,
) -> None:
    entered = lab.raw("GET", f"/?token={lab.token}", {"sec-fetch-site": "cross-site"})
    assert entered.status == 200
    assert entered.headers["set-cookie"] == (
        f"embedpipe-{lab.port}={lab.token}; HttpOnly; Path=/; SameSite=strict"
    )
    assert lab.token.encode() not in entered.body
    assert entered.headers["referrer-policy"] == "no-referrer"


def test_cookies_of_other_local_servers_are_ignored(lab: Lab) -> None:
    cookie = f'"; a=b c; =; x="\\"; embedpipe-{lab.port}={lab.token}; {{}}'
    assert lab.raw("GET", "/api/status", {"cookie": cookie}).status == 200


def test_every_response_forbids_foreign_scripts_and_frames(lab: Lab) -> None:
    for path in ("/", "/api/status", "/api/items/0/thumbnail", "/static/style.css", "/nothing"):
        headers = lab.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/%2e%2e/app.py",
        "/static/js/..%5c..%5capp.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/js/main.js%00.css",
        "/api/items/../../../etc/passwd",
        "/api/items/%2e%2e%2fclass0%2f0000.jpg/picture",
        "/api/items/class0/0000.jpg",
        "/api/items/-1/picture",
        "/api/items/24/picture",
        "/api/items/99999999999999999999/thumbnail",
        "/api/items/0x1/thumbnail",
    ],
)
def test_no_path_leads_to_a_file(lab: Lab, path: str) -> None:
    answer = lab.get(path)
    assert answer.status == 404
    assert b"root:" not in answer.body
    assert b"import" not in answer.body


def test_an_oversized_body_is_refused_with_and_without_a_length(lab: Lab) -> None:
    large = b'{"rows": [0], "label": "' + b"x" * 2_000_000 + b'"}'
    message = (413, "the body has more than 2,000,000 bytes.")
    # The server answers and hangs up before it has read all of that.
    assert try_to_label(lab, body=b"{}", content_length="2000001").error() == message
    assert try_to_label(lab, body=b"{}", content_length="-5").status in (400, 413)
    headers = browser_headers(lab, transfer_encoding="chunked")
    with socket.create_connection(("127.0.0.1", lab.port)) as connection:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(f"POST /api/label HTTP/1.1\r\n{lines}\r\n".encode())
        sent = 0
        try:
            while sent < len(large):
                part = large[sent : sent + 65536]
                connection.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                sent += len(part)
        except OSError:
            pass
        status = connection.makefile("rb").readline()
    assert status.split()[1] == b"413"
    assert lab.labels() == {}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON."),
        (b"[" * 100_000, "the body is not JSON."),
        (b"[]", "the body is not a JSON object."),
        (b"\xff\xfe", "the body is not JSON."),
        (b'{"label": "hat"}', "`rows` must be a list of at least one row."),
        (b'{"rows": [], "label": "hat"}', "`rows` must be a list of at least one row."),
        (b'{"rows": [24], "label": "hat"}', "`rows` must be numbers from 0 to 23."),
        (b'{"rows": [true], "label": "hat"}', "`rows` must be numbers from 0 to 23."),
        (b'{"rows": [0.0], "label": "hat"}', "`rows` must be numbers from 0 to 23."),
        (b'{"rows": ["../x"], "label": "hat"}', "`rows` must be numbers from 0 to 23."),
        (b'{"rows": [0]}', "`label` must be a text that is not blank."),
        (b'{"rows": [0], "label": " "}', "`label` must be a text that is not blank."),
        (
            b'{"rows": [0], "label": "a\\u0000b"}',
            "`label` must have at most 500 characters and no control characters.",
        ),
        (
            b'{"rows": [0], "label": "a\\ud800"}',
            "`label` must have at most 500 characters and no control characters.",
        ),
        (
            b'{"rows": [0, 1], "label": "hat", "suggestions": ["hat"]}',
            "`suggestions` must be null or a list of 2 entries, one for each distinct row.",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, bytes) else None,
)
def test_malformed_bodies_are_refused(lab: Lab, body: bytes, message: str) -> None:
    assert try_to_label(lab, body=body).error() == (400, message)


def test_the_address_for_starting_a_browser_is_valid_once(
    tmp_path: Path, open_lab: Callable[..., Lab]
) -> None:
    lab = open_lab(make_photos(tmp_path / "photos", 6))
    path = lab.server.url_to_open.removeprefix(f"http://127.0.0.1:{lab.port}")
    assert lab.token not in path
    headers = {"host": f"127.0.0.1:{lab.port}"}
    wrong = lab.raw("GET", "/?code=wrong", dict(headers))
    first = lab.raw("GET", path, dict(headers))
    again = lab.raw("GET", path, dict(headers))
    assert [each.status for each in (wrong, first, again)] == [401, 200, 401]
    assert first.headers["set-cookie"].startswith(f"embedpipe-{lab.port}={lab.token};")
    assert "set-cookie" not in again.headers
