"""Datasets on an object store or a web server: folders, archives, manifests, single images."""

from __future__ import annotations

import hashlib
import http.server
import pickle
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import embedpipe as ep
from embedpipe import _storage
from embedpipe._workspace import Workspace
from embedpipe.datasets import Dataset, fetched, load_dataset
from embedpipe.datasets import web as web_files
from embedpipe.datasets.streaming import stream_ids
from embedpipe.errors import DatasetError
from tests.object_store import Faults, S3Server

Photos = Callable[..., Path]


def gets(s3: S3Server, suffix: str) -> int:
    """Return the number of requests for the bytes of files with a suffix."""
    paths = [path.partition("?")[0] for method, path in s3.requests if method == "GET"]
    return sum(path.endswith(suffix) for path in paths)


def digests(dataset: Dataset) -> dict[str, str]:
    ids = [item.id for item in dataset.items]
    return {
        each: "missing" if isinstance(data, OSError) else hashlib.sha256(data).hexdigest()
        for each, data in dataset.source.read(ids)
    }


def test_a_folder_has_the_items_of_the_same_folder_on_disk(
    s3: S3Server, bucket: str, photos: Photos, tmp_path: Path
) -> None:
    folder = photos(9, 3)
    shutil.copy(folder / "class0" / "0000.jpg", folder / "class1" / "größe %20?#&.jpg")
    for name in (".hidden/a.jpg", "__MACOSX/b.jpg", "class0/.c.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder / "class0" / "0000.jpg", folder / name)
    (folder / "class0" / "notes.jxl").write_bytes(b"x")
    s3.upload(folder, bucket, "photos/")
    s3.client.put_object(Bucket=bucket, Key="photos/class0/", Body=b"")  # a marker of a folder
    here, there = load_dataset(folder), load_dataset(f"s3://{bucket}/photos/")
    assert there.items == here.items
    assert there.class_names == here.class_names == ("class0", "class1", "class2")
    assert there.skipped == {".jxl": 1}
    assert there.source.location == f"s3://{bucket}/photos"
    assert digests(there) == digests(here) == digests(pickle.loads(pickle.dumps(there)))
    assert there.name == load_dataset(f"s3://{bucket}/photos").name != here.name


def test_names_with_empty_parts_are_found_by_both_listings(s3: S3Server, bucket: str) -> None:
    for name in ("a.jpg", "b/c.jpg", "b//d.jpg", "/e.jpg", "b///.f/g.jpg", "b///h.jpg", "i//"):
        s3.client.put_object(Bucket=bucket, Key=f"photos/{name}", Body=name.encode())
    url = f"s3://{bucket}/photos"
    there = load_dataset(url)
    ids = [item.id for item in there.items]
    assert ids == sorted(stream_ids(url)) == ["/e.jpg", "a.jpg", "b///h.jpg", "b//d.jpg", "b/c.jpg"]
    assert dict(there.source.read(ids)) == {each: each.encode() for each in ids}


def test_an_unchanged_folder_is_not_read_again(
    s3: S3Server, bucket: str, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from embedpipe.embedding import scan

    monkeypatch.setattr(scan, "SETTLED_NS", -60_000_000_000)  # times of the server are in seconds
    folder = photos(6, 2)
    s3.upload(folder, bucket, "photos/")
    options = {"backbone": "toy", "workspace": f"s3://{bucket}/ws"}
    first = ep.embed(f"s3://{bucket}/photos", **options)
    assert (first.report.embedded, gets(s3, ".jpg")) == (6, 12)  # for the digest, and to embed
    s3.requests.clear()
    shutil.rmtree(Workspace(f"s3://{bucket}/ws").root)  # as on another machine
    again = ep.embed(f"s3://{bucket}/photos", **options)
    assert (again.report.reused, gets(s3, ".jpg")) == (6, 0)
    changed = "photos/class0/0000.jpg"
    new = (folder / "class1" / "0001.jpg").read_bytes()
    s3.client.put_object(Bucket=bucket, Key=changed, Body=new)
    s3.requests.clear()
    third = ep.embed(f"s3://{bucket}/photos", **options)
    assert (third.report.reused, gets(s3, ".jpg")) == (6, 1)
    assert third.content_ids[0] == hashlib.sha256(new).digest()


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_an_archive_is_copied_once(
    s3: S3Server, bucket: str, photos: Photos, tmp_path: Path, suffix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(_storage, "BLOCK", 1000)
    folder = photos(6, 2)
    kinds = {"zip": "zip", "tar.gz": "gztar"}
    path = Path(shutil.make_archive(str(tmp_path / "photos"), kinds[suffix], folder))
    s3.client.put_object(Bucket=bucket, Key=path.name, Body=path.read_bytes())
    url = f"s3://{bucket}/{path.name}"
    seen: list[tuple[int, int | None]] = []
    there = load_dataset(url, directory=tmp_path / "d", progress=lambda *done: seen.append(done))
    expected = digests(load_dataset(path))
    assert digests(there) == expected
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)
    assert len(seen) == -(-path.stat().st_size // 1000)
    assert [each.read_bytes() for each in (tmp_path / "d").iterdir()] == [path.read_bytes()]
    s3.requests.clear()
    again = load_dataset(url, directory=tmp_path / "d")
    stamps = again.source.stamps([item.id for item in again.items])
    assert [method for method, _ in s3.requests] == ["HEAD"]
    shutil.rmtree(tmp_path / "d")  # as on another machine
    copy = pickle.loads(pickle.dumps(again))
    assert digests(copy) == expected
    assert copy.source.stamps([item.id for item in again.items]) == stamps
    (folder / "class0" / "0000.jpg").unlink()
    path = Path(shutil.make_archive(str(tmp_path / "photos"), kinds[suffix], folder))
    s3.client.put_object(Bucket=bucket, Key=path.name, Body=path.read_bytes())
    assert len(load_dataset(url, directory=tmp_path / "d")) == 5
    assert len(list((tmp_path / "d").iterdir())) == 1  # the copy of the new version


def test_manifests_list_paths_and_addresses(
    s3: S3Server, bucket: str, photos: Photos, tmp_path: Path
) -> None:
    folder = photos(4, 2)
    s3.upload(folder, bucket, "photos/")
    s3.upload(folder, bucket, "more/")
    rows = ["path,label", "class0/0000.jpg,a", f"s3://{bucket}/photos/class1/0001.jpg,b",
            f"s3://{bucket}/more/class1/0001.jpg,b", "class0/absent.jpg,a"]  # fmt: skip
    text = "\n".join(rows).encode()
    s3.client.put_object(Bucket=bucket, Key="photos/list.csv", Body=text)
    there = load_dataset(f"s3://{bucket}/photos/list.csv", directory=tmp_path / "d")
    wanted = ["class0/0000.jpg", "class0/absent.jpg", "class1/0001.jpg",
              f"s3://{bucket}/more/class1/0001.jpg"]  # fmt: skip
    assert [item.id for item in there.items] == wanted
    data = [hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ("class0/0000.jpg", "class1/0001.jpg")]  # fmt: skip
    assert digests(there) == dict(zip(wanted, [data[0], "missing", data[1], data[1]], strict=True))
    stamps = there.source.stamps(wanted)
    assert [each is None for each in stamps] == [False, True, False, False]
    # a list on disk, with images on the store
    (tmp_path / "list.csv").write_text("path\nclass0/0000.jpg\n")
    here = load_dataset(tmp_path / "list.csv", source=f"s3://{bucket}/photos")
    assert digests(here) == {"class0/0000.jpg": data[0]}
    with pytest.raises(DatasetError) as caught:
        load_dataset(f"s3://{bucket}/photos/list.csv", directory=tmp_path, within=str(tmp_path))
    assert "outside of" in str(caught.value)


def test_many_stamps_come_from_a_listing(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(60):
        s3.client.put_object(Bucket=bucket, Key=f"many/{number:02d}.jpg", Body=b"%d" % number)
    (tmp_path / "list.csv").write_text("path\n" + "\n".join(f"{n:02d}.jpg" for n in range(61)))
    dataset = load_dataset(tmp_path / "list.csv", source=f"s3://{bucket}/many")
    s3.requests.clear()
    stamps = dataset.source.stamps([item.id for item in dataset.items])
    assert len(s3.requests) == 1
    assert [each.size for each in stamps[:11] if each] == [*[1] * 10, 2]
    assert stamps[60] is None


def test_signed_addresses_are_keyed_without_their_signature(
    s3: S3Server, bucket: str, photos: Photos, tmp_path: Path
) -> None:
    folder = photos(4, 2)
    s3.upload(folder, bucket, "photos/")
    names = ["class0/0000.jpg", "class1/0001.jpg"]

    def signed(seconds: int) -> list[str]:
        return [
            s3.client.generate_presigned_url(
                "get_object", {"Bucket": bucket, "Key": f"photos/{name}"}, ExpiresIn=seconds
            )
            for name in names
        ]

    manifest = tmp_path / "list.csv"
    found = []
    for seconds in (1000, 2000):
        urls = signed(seconds)
        assert all("Signature=" in url for url in urls)
        manifest.write_text("path\n" + "\n".join(urls))
        found.append(ep.embed(manifest, backbone="toy", workspace=tmp_path / "w"))
    first, second = found
    assert [item.id for item in first.items] == [f"{s3.url}/{bucket}/photos/{n}" for n in names]
    assert first.items == second.items
    assert (second.report.embedded, second.report.reused) == (0, 2)
    secrets = [part for url in signed(5) for part in url.partition("?")[2].split("&")]
    words = {value for part in secrets if len(value := part.partition("=")[2]) > 12}
    assert {s3.environment["AWS_ACCESS_KEY_ID"]} & words
    assert_not_written(tmp_path / "w", {*words, "Signature", s3.environment["AWS_ACCESS_KEY_ID"]})
    images = load_dataset(signed(3000))
    assert images.listed
    assert digests(images) == {
        item.id: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for item, name in zip(first.items, names, strict=True)
    }


def assert_not_written(folder: Path, words: set[str]) -> None:
    """Check that no file in a folder contains one of the words."""
    for path in folder.rglob("*"):
        assert not any(word in str(path) for word in words)
        if path.is_file():
            content = path.read_bytes()
            assert not [word for word in words if word.encode() in content], path


class Plain(http.server.SimpleHTTPRequestHandler):
    """A web server without ranges."""

    def log_message(self, *_: object) -> None:
        pass


class Failing(Plain):
    """A web server that answers every second request with 503."""

    count = 0

    def do_GET(self) -> None:
        type(self).count += 1
        if type(self).count % 2:
            self.send_response(503)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()


@pytest.fixture(params=[Plain, Failing])
def web(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    (tmp_path / "web").mkdir()
    handler = partial(request.param, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_images_archives_and_manifests_on_a_web_server(
    web: str, photos: Photos, tmp_path: Path
) -> None:
    folder = photos(4, 2)
    root = tmp_path / "web"
    shutil.copytree(folder, root / "a b")
    archive = Path(shutil.make_archive(str(root / "photos"), "zip", folder))
    (root / "a b" / "list.csv").write_text(
        f"path,label\nclass0/0000.jpg,a\n{web}/a%20b/class1/0001.jpg,b\nabsent.jpg,b\n"
    )
    listed = load_dataset(f"{web}/a%20b/list.csv", directory=tmp_path / "d")
    data = [hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ("class0/0000.jpg", "class1/0001.jpg")]  # fmt: skip
    url = f"{web}/a%20b/class1/0001.jpg"
    assert digests(listed) == {"absent.jpg": "missing", "class0/0000.jpg": data[0], url: data[1]}
    stamps = listed.source.stamps([item.id for item in listed.items])
    assert [each is None for each in stamps] == [True, False, False]
    assert digests(load_dataset(url)) == {url: data[1]}
    there = load_dataset(f"{web}/photos.zip?token=secret", directory=tmp_path / "d")
    assert digests(there) == digests(load_dataset(archive))
    assert there.source.location == f"{web}/photos.zip"
    with pytest.raises(DatasetError) as caught:
        load_dataset(f"{web}/a%20b/")
    assert str(caught.value) == (
        f"'{web}/a%20b' is not an archive (.zip, .tar, .tar.gz, .tgz, .tar.bz2, .tbz2, .tar.xz, "
        ".txz), a manifest or an image, and the folders of web servers cannot be listed. List the "
        "images in a manifest."
    )


def test_missing_places_are_explained(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        load_dataset(f"s3://{bucket}/nothing")
    assert str(caught.value).startswith(f"no images in s3://{bucket}/nothing: expected .avif, .bmp")
    with pytest.raises(DatasetError) as caught:
        load_dataset(f"s3://{bucket}/nothing.zip", directory=tmp_path)
    assert str(caught.value) == (
        f"s3://{bucket}/nothing.zip: it cannot be read (No such file or directory)."
    )


def test_reads_are_repeated(s3: S3Server, bucket: str, photos: Photos) -> None:
    folder = photos(8, 2)
    s3.upload(folder, bucket, "photos/")
    there = load_dataset(f"s3://{bucket}/photos")
    with s3.failing(Faults("GET", throttled=0.3)):
        assert digests(there) == digests(load_dataset(folder))
        assert s3.injected >= 1


def test_a_loaded_dataset_notices_an_object_that_is_replaced(
    s3: S3Server, bucket: str, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from embedpipe.embedding import scan

    monkeypatch.setattr(scan, "SETTLED_NS", -60_000_000_000)  # times of the server are in seconds
    folder = photos(4, 2)
    s3.upload(folder, bucket, "photos/")
    dataset = load_dataset(f"s3://{bucket}/photos")
    ep.embed(dataset, backbone="toy", workspace=tmp_path / "w")
    new = (folder / "class1" / "0001.jpg").read_bytes()
    s3.client.put_object(Bucket=bucket, Key="photos/class0/0000.jpg", Body=new)
    again = ep.embed(dataset, backbone="toy", workspace=tmp_path / "w")
    assert again.content_ids[0] == hashlib.sha256(new).digest()


def test_removed_objects_are_found_by_a_listing(
    s3: S3Server, bucket: str, photos: Photos, tmp_path: Path
) -> None:
    folder = photos(62, 1)
    s3.upload(folder, bucket, "photos/")
    url = f"s3://{bucket}/photos"
    ep.embed(url, backbone="toy", workspace=tmp_path / "w")
    for number in range(60):
        s3.client.delete_object(Bucket=bucket, Key=f"photos/class0/{number:04d}.jpg")
    s3.requests.clear()
    again = ep.embed(url, backbone="toy", workspace=tmp_path / "w")
    assert again.report.vanished == 60
    assert not [path for method, path in s3.requests if method == "HEAD" and ".jpg" in path]


def test_an_object_that_cannot_be_asked_for_is_not_missing(
    s3: S3Server, bucket: str, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, manifest, ws = photos(3, 1), tmp_path / "list.csv", tmp_path / "w"
    s3.upload(folder, bucket, "photos/")
    names = [f"class0/{number:04d}.jpg" for number in range(3)]
    entry = _storage.ObjectPath.entry

    def refused(path: _storage.ObjectPath) -> _storage.Entry:
        if path.name == "0002.jpg":
            raise PermissionError(13, "Forbidden")
        return entry(path)

    def vanished(listed: list[str]) -> list[str]:
        manifest.write_text("path\n" + "\n".join(listed))
        dataset = load_dataset(manifest, source=f"s3://{bucket}/photos")
        return [each.path for each in ep.embed(dataset, backbone="toy", workspace=ws).vanished]

    assert vanished(names) == []
    s3.client.delete_object(Bucket=bucket, Key=f"photos/{names[1]}")
    monkeypatch.setattr(_storage.ObjectPath, "entry", refused)
    assert vanished(names[:1]) == [names[1]]


def test_an_archive_without_a_version_can_be_read_while_it_is_downloaded(
    photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unversioned(Plain):
        def send_header(self, keyword: str, value: str) -> None:
            if keyword != "Last-Modified":
                super().send_header(keyword, value)

    (tmp_path / "web").mkdir()
    shutil.make_archive(str(tmp_path / "web" / "a"), "zip", photos(2, 1))
    handler = partial(Unversioned, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/a.zip"
        there = load_dataset(url, directory=tmp_path / "d")
        expected, during = digests(there), []

        def download(*given: object, **how: object) -> Path:
            during.append(digests(there))
            return original(*given, **how)  # type: ignore[arg-type]

        original = fetched.download
        monkeypatch.setattr(fetched, "download", download)
        copy = pickle.loads(pickle.dumps(there))
        assert digests(copy) == expected
        server.shutdown()
    assert during == [expected]
    assert "missing" not in expected.values()
    assert [each.suffix for each in (tmp_path / "d").iterdir()] == [".zip"]


def test_a_dead_host_is_asked_in_one_layer_of_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def connect(*given: object, **how: object) -> None:
        asked.append(given)
        raise OSError(111, "Connection refused")

    monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
    monkeypatch.setattr(web_files, "_BACKOFF", 0.0)
    with pytest.raises(OSError) as caught:
        web_files.WebReader().read("http://dead.invalid/a.jpg")
    assert len(asked) == 5
    assert "cannot be reached" in str(caught.value)


def test_a_pause_that_a_server_asks_for_is_limited() -> None:
    from urllib3 import HTTPResponse

    retries = web_files.WebReader()._session().adapters["http://"].max_retries
    assert retries.get_retry_after(HTTPResponse(headers={"Retry-After": "7200"})) == 60
    assert retries.get_retry_after(HTTPResponse(headers={"Retry-After": "7"})) == 7
    assert retries.get_retry_after(HTTPResponse()) is None
