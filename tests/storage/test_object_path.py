"""Places on an object store: names, listings, writes, errors."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from embedpipe._files import read_parquet, write_atomically, write_parquet
from embedpipe._storage import ObjectPath, entries, map_parallel
from embedpipe.errors import CacheError, RefusedError, StorageError, UsageError
from tests.object_store import Faults, S3Server


def test_names_are_those_of_paths() -> None:
    path = ObjectPath("s3://bucket/ws/cache/") / "a.tar.gz"
    same = Path("/bucket/ws/cache/a.tar.gz")
    assert str(path) == "s3://bucket/ws/cache/a.tar.gz"
    assert (path.name, path.suffix, path.stem) == (same.name, same.suffix, same.stem)
    assert path.parent == ObjectPath("s3:/bucket/ws/cache")
    assert [str(each) for each in path.parents] == [
        "s3://bucket/ws/cache", "s3://bucket/ws", "s3://bucket",
    ]  # fmt: skip
    assert pickle.loads(pickle.dumps(path)) == path


def test_an_object_is_written_read_and_removed(s3: S3Server, bucket: str) -> None:
    path = ObjectPath(f"s3://{bucket}/ws/a b%20?#ü.bin")
    assert (path.exists(), path.is_file(), path.is_dir()) == (False, False, False)
    s3.requests.clear()
    assert write_atomically(path, b"0123456789")
    assert [method for method, _ in s3.requests] == ["PUT"]  # one request, no temporary name
    assert (path.exists(), path.is_file(), path.is_dir()) == (True, True, False)
    assert path.read_bytes() == b"0123456789"
    assert path.read_range(2, 5) == b"234"
    assert path.entry().size == 10
    assert path.parent.is_dir()
    assert s3.keys(bucket) == ["ws/a b%20?#ü.bin"]
    with path.open("rb") as file:
        file.seek(-3, 2)
        assert (file.tell(), file.read(2), file.read(), file.read(4)) == (7, b"78", b"9", b"")
    path.unlink()
    path.unlink(missing_ok=True)
    assert entries(path.parent) == []


def test_an_existing_object_is_kept(s3: S3Server, bucket: str) -> None:
    path = ObjectPath(f"s3://{bucket}/spec.json")
    assert write_atomically(path, b"first", overwrite=False)
    assert not write_atomically(path, b"second", overwrite=False)
    assert path.read_bytes() == b"first"
    write_atomically(path, b"third")
    assert path.read_bytes() == b"third"


def test_an_existing_object_is_kept_without_conditional_writes() -> None:
    path = ObjectPath("memory://kept/spec.json")
    assert path.write(b"first", overwrite=False)
    assert not path.write(b"second", overwrite=False)
    assert path.read_bytes() == b"first"
    path.unlink()


def test_listings_are_paged_and_sorted(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")
    names = [f"{number:04d}.bin" for number in range(45)]
    backend = s3.client
    for name in names:
        backend.put_object(Bucket=bucket, Key=f"many/{name}", Body=name.encode())
    folder = ObjectPath(f"s3://{bucket}/many")
    s3.requests.clear()
    found = entries(folder)
    assert [each.name for each in found] == names
    assert sum("list-type=2" in path for _, path in s3.requests) == 5
    assert list(map_parallel(lambda each: each.read_bytes(), found)) == [
        name.encode() for name in names
    ]
    assert len(list(ObjectPath(f"s3://{bucket}").files())) == 45
    folder.remove_tree()
    assert s3.keys(bucket) == []


def test_only_the_columns_asked_for_are_read(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    import numpy as np
    import pyarrow as pa

    table = pa.table({"id": np.arange(100_000), "large": np.random.default_rng(0).random(100_000)})
    path = ObjectPath(f"s3://{bucket}/table.parquet")
    write_parquet(path, table, compression="none")
    assert read_parquet(path).equals(table)
    s3.requests.clear()
    assert read_parquet(path, ["id"]).equals(table.select(["id"]))
    assert [method for method, _ in s3.requests].count("GET") <= 3


def test_errors_are_those_of_paths(s3: S3Server, bucket: str) -> None:
    path = ObjectPath(f"s3://{bucket}/absent")
    with pytest.raises(FileNotFoundError) as caught:
        path.read_bytes()
    assert (caught.value.strerror, caught.value.filename) == (
        "No such file or directory",
        str(path),
    )
    with pytest.raises(FileNotFoundError):
        path.entry()
    absent = "s3://no-such-bucket-at-all/x"
    for action in (
        lambda: ObjectPath(absent).write(b""),
        ObjectPath(absent).read_bytes,
        lambda: entries(ObjectPath(absent)),
    ):
        with pytest.raises(StorageError) as other:
            action()
        assert isinstance(other.value, OSError)
        assert isinstance(other.value, CacheError)
        assert not isinstance(other.value, FileNotFoundError)
        assert str(other.value) == (
            f"{absent} cannot be used (The specified bucket does not exist). Check the address, "
            "the credentials and the connection."
        )


def test_refused_requests_are_permission_errors(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ObjectPath(f"s3://{bucket}/ws")
    with monkeypatch.context() as patch:
        patch.setattr(s3, "_application", _deny)
        with pytest.raises(PermissionError) as caught:
            entries(folder)
    error = pickle.loads(pickle.dumps(caught.value))
    assert type(error) is RefusedError
    assert str(error) == (
        f"{folder} cannot be used (Access Denied). Check the address, the credentials and the "
        "connection."
    )


def _deny(environ: dict[str, object], start: Callable[..., object]) -> list[bytes]:
    start("403 Forbidden", [("Content-Type", "application/xml")])
    return [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]


def test_an_address_has_a_bucket() -> None:
    with pytest.raises(UsageError, match="'s3://' has no bucket: give an address such as s3://b"):
        entries(ObjectPath("s3://") / "cache")


def test_throttled_and_failed_requests_are_repeated(s3: S3Server, bucket: str) -> None:
    folder = ObjectPath(f"s3://{bucket}/ws")
    with s3.failing(Faults(throttled=0.2, lost=0.2)):
        for number in range(12):
            (folder / f"{number:02d}").write(b"%d" % number, overwrite=number % 2 == 0)
        assert s3.injected >= 3
    assert [each.read_bytes() for each in entries(folder)] == [b"%d" % n for n in range(12)]
    with s3.failing(Faults("GET", throttled=0.2)):
        assert [each.read_bytes() for each in entries(folder)] == [b"%d" % n for n in range(12)]


def test_credentials_in_an_address_are_refused() -> None:
    with pytest.raises(UsageError) as caught:
        ObjectPath("s3://AKIA:secret@bucket/photos").exists()
    assert "secret" not in str(caught.value)
