"""Downloads from a local server, with and without faults."""

import hashlib
import multiprocessing
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from embedpipe.datasets import datasets, load_dataset
from embedpipe.datasets.download import download, fetch, file_sha256, is_url
from embedpipe.datasets.published import load_clothing, tree_digest
from embedpipe.datasets.registry import NamedDataset
from embedpipe.errors import DatasetError, UsageError

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def sha256_check(expected):
    """Return a check that a file has the SHA-256 `expected`."""

    def check(path):
        found = file_sha256(path)
        if found != expected:
            raise DatasetError(f"its SHA-256 is {found}, expected {expected}.")

    return check


class Server:
    """Serves one content, with configurable interruptions and errors."""

    def __init__(self, content=CONTENT):
        self.content, self.etag = content, '"v1"'
        self.ranges, self.lengths = True, True
        self.break_after, self.breaks = 0, 0
        self.redirects = 0  # answers that lead to the same place
        self.statuses = []  # answers to give before the real one
        self.asked = []  # the Range header of each request
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/some%20set.zip"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    def answer(self, handler):
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        if self.redirects:
            self.redirects -= 1
            handler.send_response(302)
            handler.send_header("Location", handler.path)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if self.statuses:
            handler.send_error(self.statuses.pop(0))
            return
        start = 0
        if wanted and self.ranges and handler.headers.get("If-Range") == self.etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(self.content):
                handler.send_response(416)
                handler.send_header("Content-Range", f"bytes */{len(self.content)}")
                handler.send_header("Content-Length", "0")
                handler.end_headers()
                return
            handler.send_response(206)
            total = len(self.content)
            handler.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        else:
            handler.send_response(200)
        body = self.content[start:]
        if self.etag:
            handler.send_header("ETag", self.etag)
        if self.lengths:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if self.breaks:
            self.breaks -= 1
            body = body[: self.break_after]
        handler.wfile.write(body)


@pytest.fixture
def server():
    """Return a server that stops at the end of the test."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def target(tmp_path):
    """Return the target of a download."""
    return tmp_path / "new" / "set.zip"


def left(target):
    return sorted(path.name for path in target.parent.iterdir())


def test_a_download_is_complete_and_not_repeated(server, target):
    seen = []
    options = {
        "check": sha256_check(SHA256),
        "progress": lambda done, total: seen.append((done, total)),
    }
    assert download(server.url, target, **options) == target
    assert target.read_bytes() == CONTENT
    assert left(target) == [".set.zip.lock", "set.zip"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)
    download(server.url, target, **options)
    assert server.asked == [None]


def test_an_interrupted_download_continues(server, target):
    server.break_after, server.breaks = 400_000, 2
    download(server.url, target, check=sha256_check(SHA256), backoff=0)
    assert server.asked == [None, "bytes=400000-", "bytes=800000-"]


def test_a_killed_download_continues_in_the_next_call(server, target):
    class KilledError(Exception):
        pass

    def kill(done, _):
        if done >= 500_000:
            raise KilledError

    with pytest.raises(KilledError):
        download(server.url, target, progress=kill)
    assert not target.exists()
    assert left(target) == [".set.zip.lock", "set.zip.part", "set.zip.part.json"]
    done = (target.parent / "set.zip.part").stat().st_size
    download(server.url, target, check=sha256_check(SHA256))
    assert server.asked == [None, f"bytes={done}-"]
    assert target.read_bytes() == CONTENT


def test_without_ranges_it_starts_again(server, target):
    server.ranges = False
    server.break_after, server.breaks = 400_000, 1
    download(server.url, target, check=sha256_check(SHA256), backoff=0)
    assert server.asked == [None, "bytes=400000-"]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("etag", [None, 'W/"v1"'])
def test_without_a_strong_etag_it_starts_again(server, target, etag):
    server.etag = etag
    server.break_after, server.breaks = 400_000, 1
    download(server.url, target, check=sha256_check(SHA256), backoff=0)
    assert server.asked == [None, None]


def test_content_that_changed_meanwhile_is_not_mixed(server, target):
    server.break_after, server.breaks = 400_000, 10
    with pytest.raises(DatasetError):
        server.ranges = False
        download(server.url, target, backoff=0)
    server.breaks, server.ranges = 0, True
    server.content, server.etag = b"other" * 1000, '"v2"'
    download(server.url, target)
    assert target.read_bytes() == server.content


def test_completely_received_bytes_are_only_checked(server, target):
    target.parent.mkdir()
    (target.parent / "set.zip.part").write_bytes(CONTENT)
    (target.parent / "set.zip.part.json").write_text(
        f'{{"url": "{server.url}", "validator": "\\"v1\\""}}'
    )
    download(server.url, target, check=sha256_check(SHA256))
    assert target.read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_wrong_content_is_refused_and_deleted(server, target):
    server.content = b"wrong"
    found = hashlib.sha256(b"wrong").hexdigest()
    with pytest.raises(DatasetError) as raised:
        download(server.url, target, check=sha256_check(SHA256))
    assert str(raised.value) == (
        f"{server.url} is not the expected file: its SHA-256 is {found}, expected {SHA256}."
    )
    assert left(target) == [".set.zip.lock"]


def test_a_missing_file_is_requested_once(server, target):
    server.statuses = [404]
    with pytest.raises(DatasetError) as raised:
        download(server.url, target)
    assert str(raised.value) == (
        f"{server.url} cannot be downloaded: the server returned 404 Not Found."
    )
    assert len(server.asked) == 1


def test_a_busy_server_is_tried_again(server, target):
    server.statuses = [503, 429, 500]
    download(server.url, target, backoff=0)
    assert target.read_bytes() == CONTENT


def test_five_failures_in_a_row_end_the_download(server, target):
    server.break_after, server.breaks = 0, 10
    with pytest.raises(DatasetError) as raised:
        download(server.url, target, backoff=0)
    assert str(raised.value) == (
        f"{server.url} cannot be downloaded: the connection ended after 0 of 1048576 bytes. "
        "Run the same command again to continue from the received bytes."
    )
    assert len(server.asked) == 5


def test_an_unreachable_server(tmp_path):
    server = Server()
    server.close()
    refused = r"cannot be downloaded: 127\.0\.0\.1 cannot be reached \(Connection refused\)\."
    with pytest.raises(DatasetError, match=refused):
        download(server.url, tmp_path / "x.zip", backoff=0)


def test_a_folder_that_cannot_be_created(server, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatasetError) as raised:
        download(server.url, tmp_path / "file" / "x.zip")
    assert str(raised.value) == (
        f"{server.url} cannot be saved as '{tmp_path / 'file' / 'x.zip'}': File exists."
    )


def test_only_http_addresses_are_accepted(tmp_path):
    with pytest.raises(UsageError) as raised:
        download("file:///etc/passwd", tmp_path / "x")
    assert str(raised.value) == "'file:///etc/passwd' is not an http:// or https:// address."


def test_two_processes_at_once_both_succeed(server, target):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=download, args=(server.url, target)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert target.read_bytes() == CONTENT
    assert server.asked == [None]


def test_a_manifest_reads_from_an_archive_on_the_web(server, tmp_path, shop, pack):
    root, contents = shop
    server.content = pack(root, ".zip").read_bytes()
    (tmp_path / "list.csv").write_text("path\ntrain/hat/a.png\n")
    dataset = load_dataset(tmp_path / "list.csv", source=server.url, directory=tmp_path / "d")
    assert dataset.source.read_one("train/hat/a.png") == contents["train/hat/a.png"]
    prefix = hashlib.sha256(server.url.encode()).hexdigest()[:8]
    assert fetch(server.url, tmp_path / "d") == tmp_path / "d" / f"{prefix}-some set.zip"


@pytest.fixture
def card(server, shop, monkeypatch):
    """Register the small shop of the local server as the clothing dataset."""
    from dataclasses import replace

    card = replace(
        datasets["clothing"].card,
        download=server.url,
        sha256="0" * 64,
        tree_digest=tree_digest(load_dataset(shop[0])),
        counts={"train": 3, "validation": 2, "test": 2},
        classes=("hat", "rain coat"),
    )
    monkeypatch.setitem(
        datasets._entries, "clothing", NamedDataset("clothing", load_clothing, card)
    )
    return card


def test_an_archive_packed_again_is_accepted_by_its_images(server, card, shop, pack, tmp_path):
    server.content = pack(shop[0], ".zip").read_bytes()
    dataset = load_dataset("clothing", download=True, directory=tmp_path / "d")
    assert len(dataset) == 7
    assert dataset.source.location == str(tmp_path / "d" / "clothing-dataset-small.zip")
    assert load_dataset("clothing", directory=tmp_path / "d").items == dataset.items
    assert len(server.asked) == 1


def test_an_archive_of_other_images_is_refused(server, card, shop, pack, tmp_path, make):
    make(shop[0], ["train/hat/new.png"])
    server.content = pack(shop[0], ".zip").read_bytes()
    with pytest.raises(DatasetError) as raised:
        load_dataset("clothing", download=True, directory=tmp_path / "d")
    found = tree_digest(load_dataset(shop[0]))
    assert str(raised.value) == (
        f"{server.url} is not the expected file: the digest of its images is {found}, "
        f"expected {card.tree_digest}."
    )
    assert not (tmp_path / "d" / "clothing-dataset-small.zip").exists()


def test_without_permission_no_request_is_sent(server, card, tmp_path):
    with pytest.raises(DatasetError, match=r"clothing is not in .*--download"):
        load_dataset("clothing", directory=tmp_path)
    assert server.asked == []


def test_last_modified_replaces_a_missing_etag(server, target):
    server.etag = None
    target.parent.mkdir()
    date = formatdate(0, usegmt=True)
    (target.parent / "set.zip.part").write_bytes(CONTENT[:1000])
    (target.parent / "set.zip.part.json").write_text(
        f'{{"url": "{server.url}", "validator": "{date}"}}'
    )
    server.etag = date
    download(server.url, target, check=sha256_check(SHA256))
    assert server.asked == ["bytes=1000-"]


def test_a_full_disk_is_reported_and_received_bytes_are_kept(server, target):
    def full(done, _):
        if done > 500_000:
            raise OSError(28, "No space left on device")

    with pytest.raises(DatasetError) as raised:
        download(server.url, target, progress=full)
    assert str(raised.value) == (
        f"{server.url} cannot be saved as '{target}': No space left on device."
    )
    download(server.url, target, check=sha256_check(SHA256))
    assert int(server.asked[1].removeprefix("bytes=").rstrip("-")) > 500_000


def test_standard_error_is_empty(server, target, capfd):
    download(server.url, target)
    assert capfd.readouterr() == ("", "")


def test_a_redirect_is_followed(server, target):
    server.redirects = 1
    download(server.url, target, check=sha256_check(SHA256))
    assert server.asked == [None, None]


def test_is_url():
    assert is_url("HTTPS://example.org/images.zip")
    assert not is_url("images.zip")
