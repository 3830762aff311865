"""Labels follow the photos: moved and copied folders, links, other working directories."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedpipe.cli.known_workspaces import list_file
from embedpipe.cli.session import Session
from embedpipe.labels import LabelLog
from embedpipe.server import LabellingServer
from tests.cli.conftest import Outcome, read_csv
from tests.processes import run

PHOTOS = [f"class{n % 3}/{n:04d}.jpg" for n in range(12)]
LABELS = {path: "abc"[n % 3] for n, path in enumerate(PHOTOS[:6])}


class Places:
    """A home folder without a workspace, in which commands run; photos and their labels."""

    def __init__(self, home: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.photos, self._patch = home, photos, monkeypatch
        monkeypatch.delenv("EMBEDPIPE_WORKSPACE", raising=False)
        self.go(home)

    def go(self, folder: Path) -> None:
        """Make a folder the working directory."""
        folder.mkdir(exist_ok=True)
        self._patch.chdir(folder)

    def call(self, *words: object) -> Outcome:
        return Outcome([str(word) for word in words])

    def label(self, *words: object) -> None:
        """Import the labels of six photos, as `label` stores them."""
        table = self.home / "labels.csv"
        lines = ["path,label", *(f"{path},{label}" for path, label in LABELS.items())]
        table.write_text("\n".join(lines))
        outcome = self.call("labels", "import", self.photos, table, "--format", "csv", *words)
        assert outcome.status == 0, outcome.err

    def export(self, folder: Path, *words: object) -> dict[str, str]:
        """Return the labels of a folder, by path."""
        table = self.home / "exported.csv"
        outcome = self.call(
            "labels", "export", folder, "--format", "csv", "--output", table, *words
        )
        assert outcome.status == 0, outcome.err
        return {row["path"]: row["label"] for row in read_csv(table)}

    def refused(self, folder: Path, *words: object) -> dict[str, Any]:
        """Return the JSON of an export that fails because the folder has no labels."""
        outcome = self.call(
            "labels", "export", folder, "--format", "csv", "--output", "none.csv", "--json", *words
        )
        assert outcome.status == 1
        found: dict[str, Any] = json.loads(outcome.out)
        return found


@pytest.fixture
def places(tmp_path: Path, photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Places:
    return Places(tmp_path / "home", photos(), monkeypatch)


def name_of(folder: Path) -> str:
    from embedpipe.datasets import load_dataset

    return load_dataset(folder).name


def kinds(workspace: Path) -> list[str]:
    with LabelLog(workspace / "labels.sqlite") as log:
        return [event.kind for event in log.events()]


def test_without_a_terminal_the_labels_of_a_moved_folder_are_reported(places: Places) -> None:
    places.label()
    old = name_of(places.photos)
    new = shutil.move(places.photos, places.home / "new place")
    result = places.refused(new)
    assert result["labels_found"] == [
        {
            "dataset": old,
            "root": str(places.photos),
            "workspace": str(places.home / ".embedpipe"),
            "labels": 6,
        }
    ]
    outcome = places.call("labels", "export", new, "--format", "csv", "--output", "none.csv")
    assert outcome.err.splitlines()[:2] == [
        f"6 labels found for these images (from `{places.photos}`). Use them with --labels-from "
        "auto.",
        f"workspace: {places.home / '.embedpipe'}",
    ]
    assert kinds(places.home / ".embedpipe") == ["label"] * 6  # nothing was decided


@pytest.mark.parametrize("choice", ["auto", "the name", "the former path"])
def test_a_moved_folder_shares_the_labels_of_its_former_path(places: Places, choice: str) -> None:
    places.label()
    name, former = name_of(places.photos), places.photos
    new = shutil.move(places.photos, places.home / "new place")
    words = {"auto": "auto", "the name": name, "the former path": former}
    assert places.export(new, "--labels-from", words[choice]) == LABELS
    assert places.export(new) == LABELS  # the choice is remembered
    assert kinds(places.home / ".embedpipe") == [*["label"] * 6, "link"]
    with LabelLog(places.home / ".embedpipe" / "labels.sqlite") as log:
        assert log.current(name_of(new)) == log.current(name)
    shutil.move(new, former)
    assert places.export(former) == LABELS


def test_a_moved_and_renamed_file_keeps_its_label(places: Places) -> None:
    places.label()
    new = Path(shutil.move(places.photos, places.home / "new place"))
    (new / PHOTOS[0]).rename(new / "first.jpg")
    expected = {**LABELS, "first.jpg": LABELS[PHOTOS[0]]}
    del expected[PHOTOS[0]]
    assert places.export(new, "--labels-from", "auto") == expected


def test_the_workspace_is_found_from_another_working_directory(places: Places) -> None:
    places.label()
    places.go(places.home / "elsewhere")
    assert places.export(places.photos) == LABELS
    outcome = places.call("embed", places.photos, "--backbone", "toy")
    assert outcome.err.splitlines() == [f"workspace: {places.home / '.embedpipe'}"]
    assert list((places.home / "elsewhere").iterdir()) == []


def test_a_folder_moved_to_another_working_directory(places: Places) -> None:
    places.label()
    other = places.home / "elsewhere"
    places.go(other)
    new = shutil.move(places.photos, other / "photos")
    assert places.refused(new)["labels_found"][0]["labels"] == 6
    assert not (other / ".embedpipe").exists()
    assert places.export(new, "--labels-from", "auto") == LABELS
    assert places.export(new) == LABELS
    assert not (other / ".embedpipe").exists()


def test_a_workspace_in_the_folder_moves_with_it(places: Places, data_home: Path) -> None:
    places.go(places.photos)
    places.label()
    shutil.rmtree(data_home)  # as on another computer
    places.go(places.home)
    new = Path(shutil.move(places.photos, places.home / "new place"))
    assert places.refused(new)["labels_found"][0]["root"] is None
    assert places.export(new, "--labels-from", "auto") == LABELS
    places.go(new)
    assert places.export(Path()) == LABELS


def test_a_symbolic_link_is_the_same_dataset(places: Places) -> None:
    places.label()
    link = places.home / "link"
    link.symlink_to(places.photos)
    assert name_of(link) == name_of(places.photos)
    assert places.export(link) == LABELS
    places.go(link)
    assert places.export(Path()) == LABELS


def test_a_copy_of_a_folder_has_its_own_labels_after_the_choice(places: Places) -> None:
    places.label()
    copy = Path(shutil.copytree(places.photos, places.home / "copy"))
    assert places.export(copy, "--labels-from", "auto") == LABELS
    table = places.home / "more.csv"
    table.write_text(f"path,label\n{PHOTOS[0]},other\n")
    assert places.call("labels", "import", copy, table, "--format", "csv").status == 0
    assert places.export(copy) == {**LABELS, PHOTOS[0]: "other"}
    assert places.export(places.photos) == LABELS


def test_a_part_of_a_folder_gets_copies_of_its_labels(places: Places) -> None:
    places.label()
    part = places.photos / "class0"
    assert places.export(part, "--labels-from", "auto") == {"0000.jpg": "a", "0003.jpg": "a"}
    assert kinds(places.home / ".embedpipe") == ["label"] * 8
    with LabelLog(places.home / ".embedpipe" / "labels.sqlite") as log:
        before, after = list(log.events())[0:6:3], list(log.events())[6:]
    assert [(each.who, each.at) for each in before] == [(each.who, each.at) for each in after]


def test_a_shared_image_does_not_join_two_datasets(places: Places, tmp_path: Path) -> None:
    places.label()
    other = tmp_path / "other"
    shutil.move(places.photos / "class0" / "0009.jpg", tmp_path / "0009.jpg")
    (other / "class0").mkdir(parents=True)
    shutil.copy(places.photos / PHOTOS[0], other / PHOTOS[0])
    shutil.copy(tmp_path / "0009.jpg", other / "mine.jpg")
    shutil.rmtree(places.photos)
    assert places.export(other, "--labels-from", "auto") == {PHOTOS[0]: "a"}
    assert kinds(places.home / ".embedpipe") == ["label"] * 7


def test_with_a_given_workspace_the_labels_are_copied_to_it(places: Places) -> None:
    places.label()
    given = places.home / "given"
    words = ("--workspace", given)
    assert "labels_found" not in places.refused(places.photos, *words, "--labels-from", "none")
    new = shutil.move(places.photos, places.home / "new place")
    assert places.refused(new, *words)["labels_found"][0]["labels"] == 6
    assert not given.exists()
    assert places.export(new, *words, "--labels-from", "auto") == LABELS
    assert kinds(given) == ["label"] * 6


def test_none_ends_the_sharing_of_labels(places: Places) -> None:
    places.label()
    new = shutil.move(places.photos, places.home / "new place")
    assert places.export(new, "--labels-from", "auto") == LABELS
    places.refused(new, "--labels-from", "none")
    assert "labels_found" not in places.refused(new)
    assert places.export(new, "--labels-from", "auto") == LABELS


def test_labels_from_another_dataset_are_refused_if_the_folder_has_labels(places: Places) -> None:
    places.label()
    outcome = places.call(
        "labels", "export", places.photos, "--format", "csv", "--output", "x.csv", "--labels-from",
        "old",
    )  # fmt: skip
    assert outcome.status == 2
    assert outcome.err == (
        f"embedpipe: --labels-from old: {name_of(places.photos)!r} has labels already. Export the "
        "labels of the other dataset with `embedpipe labels export`, and import them here.\n"
    )


def test_an_unknown_name_after_labels_from_is_an_error(places: Places) -> None:
    places.label()
    old = name_of(places.photos)
    new = shutil.move(places.photos, places.home / "new place")
    result = places.refused(new, "--labels-from", "nothing")
    assert result["error"] == (
        "--labels-from nothing: no labels of these images under that name. Labels are under: "
        f"{old}."
    )


@pytest.mark.parametrize("content", [b"", b"\xff\0{", b'{"dataset": 3}\n[]\n{"a": 1}\nnull\n'])
def test_a_damaged_list_of_workspaces_is_replaced(
    places: Places, data_home: Path, content: bytes
) -> None:
    path = data_home / "embedpipe" / "workspaces.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    places.label()
    assert path == list_file()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {
            "dataset": name_of(places.photos),
            "root": str(places.photos),
            "workspace": str(places.home / ".embedpipe"),
        }
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_data_folder_that_cannot_be_written_stops_no_command(
    places: Places, data_home: Path
) -> None:
    data_home.parent.mkdir(parents=True, exist_ok=True)
    data_home.write_text("a file, not a folder")
    places.label()
    assert places.export(places.photos) == LABELS


def test_a_workspace_that_was_deleted_is_ignored(places: Places) -> None:
    places.label()
    shutil.rmtree(places.home / ".embedpipe")
    places.go(places.home / "elsewhere")
    assert "labels_found" not in places.refused(places.photos)


def test_a_damaged_log_of_another_workspace_is_ignored(places: Places) -> None:
    places.label()
    (places.home / ".embedpipe" / "labels.sqlite").write_bytes(b"damaged" * 1000)
    places.go(places.home / "elsewhere")
    new = shutil.move(places.photos, places.home / "new place")
    assert "labels_found" not in places.refused(new)


def answered(terminal: tuple[int, int], answer: str, words: list[Any], home: Path) -> str:
    """Run a command in a terminal, answer its question, and return the terminal's content."""
    from tests.processes import started

    ours, theirs = terminal
    command = [sys.executable, "-m", "embedpipe", *words]
    with started(
        command, text=False, stdin=theirs, stdout=theirs, stderr=theirs, cwd=home,
        start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = b""
        while b"Use them? [Y/n]: " not in shown:
            chunk = os.read(ours, 65536)
            assert chunk, shown
            shown += chunk
        os.write(ours, f"{answer}\n".encode())
        process.wait(timeout=60)
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:
                break
            if not chunk:
                break
            shown += chunk
    return shown.decode()


@pytest.fixture
def terminal() -> Any:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


@pytest.mark.parametrize(("answer", "labels"), [("", LABELS), ("n", None)])
def test_in_a_terminal_the_question_is_asked_once(
    places: Places, terminal: tuple[int, int], answer: str, labels: dict[str, str] | None
) -> None:
    places.label()
    places.photos.rename(places.home / "old")  # a short path for the question
    old = places.home / "old"
    assert places.export(old, "--labels-from", "auto") == LABELS
    new = old.rename(places.home / "new")
    table = places.home / "out.csv"
    words = ["labels", "export", "new", "--format", "csv", "--output", table]
    shown = answered(terminal, answer, words, places.home)
    assert "6 labels found for these images (from `old`). Use them? [Y/n]: " in shown
    if labels is None:
        assert not table.exists()
        assert "labels_found" not in places.refused(new)
    else:
        assert {row["path"]: row["label"] for row in read_csv(table)} == labels
        assert places.export(new) == labels


def test_a_refusal_is_remembered_in_a_new_workspace(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(self: LabellingServer) -> None:
        raise KeyboardInterrupt

    questions: list[str] = []

    def refuse(self: Session, question: str) -> bool:
        questions.append(question)
        return False

    monkeypatch.setattr(LabellingServer, "run", ended)
    places.label()
    new = shutil.move(places.photos, places.home / "new place")
    places.go(places.home / "elsewhere")
    with monkeypatch.context() as patch:
        patch.setattr(Session, "ask", refuse)
        for _ in range(2):
            assert places.call("label", new, "--backbone", "toy").status == 0
    assert questions == [f"6 labels found for these images (from `{places.photos}`). Use them?"]
    assert kinds(places.home / "elsewhere" / ".embedpipe") == ["link"]


def test_the_real_command_line_after_mv(places: Places) -> None:
    places.label()
    new, other = places.home / "new place", places.home / "elsewhere"
    assert run(["mv", places.photos, new]).returncode == 0
    other.mkdir()
    train = [sys.executable, "-m", "embedpipe", "train", "../new place", "--backbone", "toy"]
    train += ["--output", "model", "--json"]
    refused = run(train, cwd=other)
    assert refused.returncode == 1, refused.stderr
    assert json.loads(refused.stdout)["labels_found"][0]["labels"] == 6
    done = run([*train, "--labels-from", "auto"], cwd=other)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["labelled"] == 6
    assert sorted(path.name for path in other.iterdir()) == ["model"]
    assert run(["mv", new, places.photos]).returncode == 0
    again = run([*train[:4], places.photos, *train[5:]], cwd=other)
    assert json.loads(again.stdout)["labelled"] == 6
