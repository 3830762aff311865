"""Erasing an image: no file of the workspace contains its path, digest or vector afterwards."""

from __future__ import annotations

import hashlib
import html
import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import embedpipe as ep
from embedpipe.cache import Store, verify
from embedpipe.cli.main import app
from embedpipe.erasure import find_image, forget
from embedpipe.errors import UsageError
from embedpipe.labels import Event
from embedpipe.server.images import ItemImages

VICTIM = "class1/0001.jpg"


def call(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(each) for each in words])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: Callable[..., Path]) -> Path:
    """24 photos; the victim occurs twice, and once more in another folder."""
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "workspace"))
    folder = photos(24, 3)
    for copy in (folder / "class0" / "copy.jpg", tmp_path / "other" / "ann.jpg"):
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / VICTIM, copy)
    shutil.copyfile(folder / "class0" / "0003.jpg", tmp_path / "other" / "0001.jpg")
    return folder


@pytest.fixture
def lived_in(shop: Path, tmp_path: Path) -> ep.Embeddings:
    """A workspace with all kinds of files that contain the victim."""
    workspace = tmp_path / "workspace"
    embeddings = ep.embed(shop, backbone="toy")
    ep.embed(tmp_path / "other", backbone="toy")
    ep.embed(shop, backbone="toy", scaled_decode=True)  # a second spec
    quick = ("--backbone", "toy", "--quiet", "--rounds", 1)
    sizes = ("--initial-size", 8, "--batch-size", 8)
    assert call("run", shop, *quick, *sizes)[0] == 0
    grid = ("--strategies", "random,coreset", "--seeds", 1)
    assert call("compare", shop, *quick, *sizes, *grid)[0] == 0
    assert call("check", shop, "--backbone", "toy", "--quiet")[0] == 0
    with ep.LabelLog(workspace / "labels.sqlite") as log:
        name = embeddings.dataset.name
        events = [
            Event("label", name, item.id, content, label=item.label, suggestion="hat", model="m-1")
            for item, content in zip(embeddings.items, embeddings.content_ids, strict=True)
        ]
        first = log.append(events)
        log.append([Event("skip", name, VICTIM), Event("clear", name, VICTIM)])
        log.append([Event("undo", name, undoes=first[3])])
        log.append([Event("label", name, VICTIM, label="only-here")])
    pictures = ItemImages(embeddings, ep.Workspace(workspace))
    for row in range(len(embeddings)):
        pictures.thumbnail(row)
    exports = workspace / "exports"
    for form, suffix in (("csv", ".csv"), ("cvat", ".zip"), ("label-studio", ".json")):
        words = ("--format", form, "--output", exports / f"{name}-{form}{suffix}")
        exports.mkdir(exist_ok=True)
        assert call("labels", "export", shop, *words, "--quiet")[0] == 0
    other = exports / "notes.csv"
    other.write_text(f"path\nmy-{VICTIM}\n")  # a file name that ends like that of the victim
    (workspace / "cache" / ".tmp-1-ab").mkdir()
    half = workspace / "matrices" / embeddings.spec.id / ".tmp-1-cd"
    half.mkdir()
    np.save(half / "embeddings.npy", embeddings.matrix[:5])
    return embeddings


def traces(workspace: Path, content: bytes, ids: list[str], vector: np.ndarray) -> list[str]:
    """Return the files that contain an image, searched without the code under test."""
    digest = hashlib.sha256(content).digest()
    needles = [digest, digest.hex().encode(), vector.astype("<f4").tobytes(), content]
    for each in ids:
        needles += [each.encode(), html.escape(each).encode(), json.dumps(each)[1:-1].encode()]
    found = []
    for path in sorted(workspace.rglob("*")):
        if not path.is_file() or path.name == "notes.csv":
            continue
        blobs = [path.name.encode(), path.read_bytes()]
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            blobs += [str(table.to_pydict()).encode()]
            for column in table.columns:
                for chunk in column.chunks:
                    blobs += list(map(bytes, filter(None, chunk.buffers())))
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                blobs += [archive.read(name) for name in archive.namelist()]
        if path.suffix == ".npy":
            blobs += [np.load(path).tobytes()]
        if any(needle in blob for needle in needles for blob in blobs):
            found.append(str(path.relative_to(workspace)))
    return found


def test_only_the_image_is_erased_from_all_files(lived_in, shop, tmp_path):
    workspace = tmp_path / "workspace"
    content = (shop / VICTIM).read_bytes()
    row = next(row for row, item in enumerate(lived_in.items) if item.id == VICTIM)
    vector = np.array(lived_in.matrix[row])
    rest = [n for n, each in enumerate(lived_in.content_ids) if each != lived_in.content_ids[row]]
    kept = {lived_in.items[n].id: np.array(lived_in.matrix[n]) for n in rest}
    ids = [VICTIM, "class0/copy.jpg", "ann.jpg"]
    before = traces(workspace, content, ids, vector)
    kinds = {path.split("/")[0] for path in before}
    assert kinds >= {"cache", "datasets", "exports", "labels.sqlite", "matrices", "runs",
                     "thumbnails"}  # fmt: skip

    status, out, _ = call("cache", "forget", shop / VICTIM, "--dry-run", "--json")
    assert status == 0
    planned = json.loads(out)
    assert traces(workspace, content, ids, vector) == before  # nothing was changed
    del lived_in
    status, out, _ = call("cache", "forget", shop / VICTIM, "--yes", "--json")
    assert status == 0
    done = json.loads(out)
    assert {k: v for k, v in done.items() if k != "dry_run"} == {
        k: v for k, v in planned.items() if k != "dry_run"
    }
    assert [each["id"] for each in done["items"]] != []
    assert {each["id"] for each in done["items"]} == set(ids)
    assert traces(workspace, content, ids, vector) == []
    assert done["remaining"][0]["path"] == str(shop / VICTIM)
    assert done["label_events"] == 5  # two labels of the photo and its copy, a skip, a clear, one
    assert (workspace / "exports" / "notes.csv").exists()
    assert verify(ep.Workspace(workspace)) == []

    # All other data are unchanged.
    for path in (shop / VICTIM, shop / "class0" / "copy.jpg"):
        path.unlink()
    again = ep.embed(shop, backbone="toy", require_cached=True)
    assert {item.id for item in again.items} == set(kept)
    for item, found in zip(again.items, again.matrix, strict=True):
        assert (found == kept[item.id]).all()
    other = ep.embed(tmp_path / "other" / "0001.jpg", backbone="toy", require_cached=True)
    assert len(other) == 1
    with ep.LabelLog(workspace / "labels.sqlite") as log:
        current = log.current(again.dataset.name)
        assert set(current) == set(kept) - {again.items[3].id}
        assert "only-here" in log.classes(again.dataset.name)  # the class is kept
        assert [event.id for event in log.events()] == list(range(1, len(kept) + 7))
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            log._connection.execute("UPDATE events SET who = 'x'")  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="^.* does not contain "):
        find_image(ep.Workspace(workspace), str(shop / VICTIM))


def test_runs_keep_all_rows_of_their_picks(lived_in, shop, tmp_path):
    del lived_in
    picked = {
        path: pq.read_table(path).to_pydict()
        for path in (tmp_path / "workspace" / "runs").glob("*/picks.parquet")
    }
    victims = {VICTIM, "class0/copy.jpg"}
    assert any(victims & set(table["id"]) for table in picked.values())
    assert call("cache", "forget", VICTIM, "--yes")[0] == 0
    for path, before in picked.items():
        after = pq.read_table(path).to_pydict()
        assert after["id"] == [None if each in victims else each for each in before["id"]]
        assert {k: v for k, v in after.items() if k != "id"} == {
            k: v for k, v in before.items() if k != "id"
        }


@pytest.mark.parametrize("how", ["absolute", "relative", "id", "digest", "copy", "deleted"])
def test_the_image_is_found_by_each_kind_of_name(shop, tmp_path, monkeypatch, how):
    embeddings = ep.embed(shop, backbone="toy")
    ep.embed(tmp_path / "other", backbone="toy")
    content = (shop / VICTIM).read_bytes()
    monkeypatch.chdir(tmp_path)
    if how in ("id", "deleted"):
        for path in (shop / VICTIM, shop / "class0" / "copy.jpg", tmp_path / "other" / "ann.jpg"):
            path.unlink()
    image = {
        "absolute": str(shop / VICTIM),
        "relative": f"photos/{VICTIM}",
        "id": VICTIM,
        "digest": hashlib.sha256(content).hexdigest(),
        "copy": str(tmp_path / "other" / "ann.jpg"),
        "deleted": str(shop / VICTIM),
    }[how]
    found = find_image(ep.Workspace(tmp_path / "workspace"), image)
    assert found.content_ids == (hashlib.sha256(content).digest(),)
    name = embeddings.dataset.name
    assert {item for item in found.items if item[0] == name} == {
        (name, VICTIM),
        (name, "class0/copy.jpg"),
    }
    assert len(found.items) == 3


def test_a_name_that_matches_two_images_is_refused(shop, tmp_path):
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copyfile(shop / "class0" / f"000{3 * len(name) - 9 + (name == 'two') * 3}.jpg",
                        folder / "me.jpg")  # fmt: skip
        ep.embed(folder, backbone="toy")
    with pytest.raises(UsageError, match=r"^'me\.jpg' matches 2 images: .*Give the absolute path"):
        find_image(ep.Workspace(tmp_path / "workspace"), "me.jpg")
    found = find_image(ep.Workspace(tmp_path / "workspace"), str(tmp_path / "one" / "me.jpg"))
    assert len(found.items) == 1  # the other one has other bytes
    status, out, err = call("cache", "forget", tmp_path / "one" / "me.jpg")
    assert (status, out) == (2, "")
    assert "Give --yes to confirm" in err
    assert call("cache", "forget", "nobody.jpg", "--yes")[0] == 2


def test_after_a_kill_the_same_command_finishes(lived_in, shop, tmp_path, monkeypatch):
    workspace, content = ep.Workspace(tmp_path / "workspace"), (shop / VICTIM).read_bytes()
    row = next(row for row, item in enumerate(lived_in.items) if item.id == VICTIM)
    vector, spec = np.array(lived_in.matrix[row]), lived_in.spec
    others = len(set(lived_in.content_ids)) - 1
    del lived_in
    from embedpipe.erasure import eraser

    steps = ("remove", "write_parquet", "write_fragment", "write_memory")
    for name in steps:
        real, calls = getattr(eraser, name), []

        def dies(*words: object, real=real, calls=calls, **more: object) -> object:
            calls.append(words)
            if len(calls) > 1:
                raise KeyboardInterrupt
            return real(*words, **more)

        monkeypatch.setattr(eraser, name, dies)
        with pytest.raises(KeyboardInterrupt):
            forget(workspace, find_image(workspace, str(shop / VICTIM)))
        monkeypatch.setattr(eraser, name, real)
        assert len(set(Store(workspace, spec).content_ids().to_pylist())) >= others
    forget(workspace, find_image(workspace, str(shop / VICTIM)))
    assert traces(workspace.root, content, [VICTIM, "class0/copy.jpg", "ann.jpg"], vector) == []
    assert len(set(Store(workspace, spec).content_ids().to_pylist())) == others
