"""Unattended commands: errors, failed images, signals, logs and file names."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from embedpipe.cli import progress
from embedpipe.cli.main import app
from embedpipe.cli.options import FailureLimit
from embedpipe.errors import UsageError
from tests.conftest import make_image
from tests.processes import children_of, run, started, wait_for_end

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d "


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "w"))
    return tmp_path / "w"


def invoke(*words: object) -> tuple[int, dict[str, Any], str]:
    """Run a command with --json: its status, its one JSON object and its standard error."""
    result = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert result.stdout.count("\n") == 1, result.stdout
    return result.exit_code, json.loads(result.stdout), result.stderr


MAIN = "from embedpipe.cli.main import main; main()"


def program(*words: object, script: str = MAIN) -> list[str]:
    return [sys.executable, "-c", script, *map(str, words)]


# Errors in JSON


@pytest.mark.parametrize(
    ("words", "status", "kind", "message"),
    [
        (["embed", "./nowhere"], 1, "DatasetError",
         "No folder, archive or manifest at `./nowhere`."),
        (["embed"], 2, "WrongUsage", "Missing argument 'dataset'."),
        (["embed", "x", "--bckbone", "y"], 2, "WrongUsage", "No such option"),
        (["select", "x", "-n", "0"], 2, "WrongUsage", "Invalid value for '-n'"),
        (["embde"], 2, "WrongUsage", "No such command 'embde'."),
        (["cache", "lst"], 2, "WrongUsage", "No such command 'lst'."),
        (["embed", "x", "--workspace", "http://b/w"], 2, "UsageError", "is not on an object store"),
        (["embed", "x", "--max-failures", "few"], 2, "UsageError", "--max-failures few: give"),
        (["embed", "digits", "--backbone", "toi"], 2, "UnknownNameError", "Did you mean 'toy'?"),
    ],
)  # fmt: skip
def test_every_error_is_one_json_object(
    workspace: Path, words: list[str], status: int, kind: str, message: str
) -> None:
    found, result, err = invoke(*words)
    assert found == status
    assert list(result) == ["error", "kind", "status"]
    assert (result["kind"], result["status"]) == (kind, status)
    assert message in result["error"]
    assert "\n" not in result["error"]
    assert result["error"] in err.replace("\n", " ")


@pytest.mark.parametrize(
    ("raised", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to continue."),
        (ZeroDivisionError("by\nzero"), 1,
         "unexpected ZeroDivisionError: by zero (--debug shows the traceback)"),
        (MemoryError(), 1, "unexpected MemoryError: (--debug shows the traceback)"),
    ],
)  # fmt: skip
def test_unexpected_errors_and_interruptions(
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    status: int,
    message: str,
) -> None:
    from embedpipe import datasets

    def fail(*args: object, **options: object) -> None:
        raise raised

    monkeypatch.setattr(datasets, "load_dataset", fail)
    for more in ([], ["--debug"], ["--quiet"]):
        found, result, err = invoke("embed", "x", *more)
        assert (found, result["error"], result["status"]) == (status, message, status)
        assert err.splitlines()[-1] == f"embedpipe: {message}"
    plain = CliRunner().invoke(app, ["embed", "x"])
    assert (plain.exit_code, plain.stdout) == (status, "")
    assert plain.stderr == f"embedpipe: {message}\n"


def test_an_error_after_the_result_is_in_the_same_object(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, photos: Callable[..., Path]
) -> None:
    strategies = "margin,combine(metadata(x))"
    status, result, _ = invoke(
        "compare", photos(20, 2), "--backbone", "toy", "--strategies", strategies, "--seeds",
        1, "--initial-size", 4, "--batch-size", 2, "--rounds", 1, "--workers", 0,
    )  # fmt: skip
    assert status == 1
    assert result["error"].startswith("1 task failed; ")
    assert len(result["failures"]) == 1
    assert result["summary"][0]["strategy"]


def test_output_of_libraries_goes_to_standard_error(
    workspace: Path, photos: Callable[..., Path]
) -> None:
    script = """
import os, subprocess
from embedpipe.embedding import scan
plain = scan.scan
def noisy(*given, **options):
    print("from Python")
    os.write(1, b"from C\\n")
    subprocess.run(["echo", "from a process"])
    return plain(*given, **options)
from embedpipe.embedding import embed
import sys
sys.modules["embedpipe.embedding.embed"].scan = noisy
from embedpipe.cli.main import main
main()
"""
    words = program("embed", photos(4), "--backbone", "toy", "--json", script=script)
    done = run(words)
    assert json.loads(done.stdout)["embedded"] == 4
    for line in ("from Python", "from C", "from a process"):
        assert line in done.stderr.splitlines()


def test_nan_and_infinity_are_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    from embedpipe.cli.output import Output

    output = Output(as_json=True)
    with output.reserved():
        output.result({"a": [float("nan"), 1.5], "b": {"c": float("-inf")}}, "", now=False)
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5], "b": {"c": None}}


# Partial failure


def remove(folder: Path, count: int) -> list[str]:
    removed = sorted(folder.rglob("*.jpg"))[:count]
    for path in removed:
        path.unlink()
    return [path.relative_to(folder).as_posix() for path in removed]


def test_vanished_files_count_as_failures(workspace: Path, photos: Callable[..., Path]) -> None:
    folder = photos(100, 2)
    assert invoke("embed", folder, "--backbone", "toy", "--max-failures", "0")[0] == 0
    removed = remove(folder, 5)
    status, result, err = invoke("embed", folder, "--backbone", "toy", "--max-failures", "1%")
    assert status == 3
    assert (result["items"], result["reused"], result["failed"]) == (95, 95, 5)
    assert result["failures"] == [
        {"path": path, "stage": "scan", "reason": "it is missing since the last scan"}
        for path in removed
    ]
    assert "5 of 100 images" in result["error"]
    assert f"5 images missing since the last scan: {', '.join(removed)}\n" in err
    assert invoke("embed", folder, "--backbone", "toy", "--max-failures", "1%")[0] == 0


def test_max_failures(workspace: Path, photos: Callable[..., Path]) -> None:
    folder = photos(20, 2)
    for number in range(2):
        (folder / f"class{number}" / f"bad{number}.jpg").write_text("no image")
    (folder / "class0" / "missing.jpg").symlink_to("nowhere.jpg")
    for limit, status in (("2", 3), ("3", 0), ("13%", 3), ("14%", 0), ("0", 3), ("0%", 3)):
        found, result, _ = invoke("embed", folder, "--backbone", "toy", "--max-failures", limit)
        assert found == status, limit
        stages = {each["path"]: each["stage"] for each in result["failures"]}
        assert stages == {
            "class0/bad0.jpg": "decode", "class1/bad1.jpg": "decode", "class0/missing.jpg": "read",
        }  # fmt: skip
        assert ("error" in result) == bool(status)
    assert invoke("embed", folder, "--backbone", "toy")[0] == 0


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (["select", "-n", 3], "failures"),
        (["run", "--initial-size", 4, "--batch-size", 2, "--rounds", 1], "failures"),
        (["check"], "failures"),
        (["compare", "--strategies", "random", "--seeds", 1, "--initial-size", 4, "--batch-size",
          2, "--rounds", 1, "--workers", 0], "failed_images"),
    ],
)  # fmt: skip
def test_other_commands_list_failed_images(
    workspace: Path, photos: Callable[..., Path], command: list[object], key: str
) -> None:
    folder = photos(20, 2)
    (folder / "class0" / "bad.jpg").write_text("no image")
    words = [command[0], folder, *command[1:], "--backbone", "toy", "--max-failures", 0]
    status, result, _ = invoke(*words)
    assert status == 3
    assert [each["path"] for each in result[key]] == ["class0/bad.jpg"]
    assert result["status"] == 3


def test_moved_renamed_and_delisted_files_have_not_vanished(
    workspace: Path, photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(6, 2)
    manifest = tmp_path / "m.csv"
    paths = sorted(path.relative_to(tmp_path).as_posix() for path in folder.rglob("*.jpg"))
    manifest.write_text("\n".join(["path", *paths]))
    for dataset in (folder, manifest):
        invoke("embed", dataset, "--backbone", "toy")
    manifest.write_text("\n".join(["path", *paths[2:]]))  # two are no longer asked for
    assert invoke("embed", manifest, "--backbone", "toy")[1]["failures"] == []
    (folder / "class0" / "0000.jpg").rename(folder / "class1" / "moved.jpg")
    assert invoke("embed", folder, "--backbone", "toy")[1]["failures"] == []


def test_labels_import_names_vanished_files(
    workspace: Path, photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(6, 2)
    invoke("embed", folder, "--backbone", "toy")
    (removed,) = remove(folder, 1)
    (tmp_path / "l.csv").write_text("path,label\nclass1/0001.jpg,b\n")
    result = CliRunner().invoke(
        app, ["labels", "import", str(folder), str(tmp_path / "l.csv"), "--format", "csv"]
    )
    assert f"1 image missing since the last scan: {removed}\n" in result.stderr


def test_a_copy_replaces_a_file_that_vanishes_during_the_run(
    workspace: Path, photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    from embedpipe.datasets import load_dataset
    from embedpipe.embedding import embed

    folder = photos(6, 2)
    shutil.copy(folder / "class0" / "0000.jpg", folder / "class1" / "copy.jpg")

    def vanish(stage: str, done: int, total: int) -> None:
        if stage == "scan" and done == total:
            (folder / "class0" / "0000.jpg").unlink()
            (folder / "class0" / "0002.jpg").unlink()

    found = embed(load_dataset(str(folder)), backbone="toy", progress=vanish)
    assert [failure.path for failure in found.failures] == ["class0/0002.jpg"]
    assert found.failures[0].stage == "read"
    assert found.report.embedded == 5
    assert "class1/copy.jpg" in [item.id for item in found.items]


@pytest.mark.parametrize("text", ["-1", "101%", "1.5", "x%", "", "nan%", "1e3", "٣"])
def test_invalid_limits(text: str) -> None:
    with pytest.raises(UsageError, match="give a number of images, such as 10"):
        FailureLimit.parse(text)


@pytest.mark.parametrize(
    ("text", "failed", "images", "exceeded"),
    [("0", 0, 9, False), ("0", 1, 9, True), ("1%", 1, 100, False), ("1 %", 2, 199, True),
     (".5%", 1, 200, False), ("0.5%", 1, 199, True), ("100%", 7, 7, False)],
)  # fmt: skip
def test_limits(text: str, failed: int, images: int, exceeded: bool) -> None:
    assert FailureLimit.parse(text).is_exceeded(failed, images) == exceeded


# Signals


SLOW = """
import os, time
from pathlib import Path
from embedpipe._threads import available_cpus
from embedpipe.embedding import filling
filling.BATCH_SIZE = 4
from embedpipe.backbones import ToyBackbone, backbones
class Slow(ToyBackbone):
    def open(self, **given):
        encoder = super().open(**given)
        plain, calls = encoder.encode, []
        def encode(pixels):
            calls.append(len(pixels))
            if len(calls) == available_cpus() + 8:  # more than those that wait to be stored
                Path(os.environ["EMBEDPIPE_WORKSPACE"] + "-begun").touch()
            time.sleep(0.1)
            return plain(pixels)
        encoder.encode = encode
        return encoder
backbones._entries["toy"] = Slow
from embedpipe.cli.main import main
main()
"""


def output_after(process: subprocess.Popen[str], number: int, wait: float = 0) -> tuple[str, str]:
    """Send a signal after some seconds, and return the output until the end of the program."""
    time.sleep(wait)
    process.send_signal(number)
    return process.communicate(timeout=90)


def wait_for(pattern: str, folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a folder has a file of this pattern."""
    deadline = time.monotonic() + 120
    while not list(folder.glob(pattern)) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_ends_like_an_interruption(
    workspace: Path, photos: Callable[..., Path], name: str
) -> None:
    from embedpipe import Workspace
    from embedpipe.cache import list_specs

    folder = photos(400, 2)
    with started(program("embed", folder, "--backbone", "toy", "--json", script=SLOW)) as process:
        wait_for("w-begun", workspace.parent, process)
        out, err = output_after(process, getattr(signal, name))
    assert process.returncode == 130
    message = "interrupted; run the same command again to continue."
    assert json.loads(out) == {"error": message, "kind": "Interrupted", "status": 130}
    assert err.splitlines()[-1] == f"embedpipe: {message}"
    (spec,) = list_specs(Workspace(workspace))
    assert 0 < spec["rows"] < 400  # finished vectors are stored


@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGHUP", marks=pytest.mark.slow)])
def test_worker_processes_end_with_a_study(workspace: Path, name: str) -> None:
    words = program(
        "compare", "digits", "--backbone", "toy", "--strategies", "badge", "--seeds", 50,
        "--rounds", 40, "--workers", 2, "--json", "--quiet",
    )  # fmt: skip
    with started(words) as process:
        wait_for("runs/*/rounds.parquet", workspace, process)
        workers = children_of(process)
        out, _ = output_after(process, getattr(signal, name), 0.2)
    assert process.returncode == 130
    assert json.loads(out)["kind"] == "Interrupted"
    wait_for_end(workers)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_labelling_server(
    workspace: Path, photos: Callable[..., Path], name: str
) -> None:
    words = program("label", photos(6, 2), "--backbone", "toy", "--json")
    with started(words) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["url"].startswith("http://127.0.0.1:")
        out, err = output_after(process, getattr(signal, name), 1.0)
    assert (process.returncode, out) == (0, "")
    assert err.splitlines()[-1].startswith("0 labels are stored")


def test_an_ignored_sighup_stays_ignored(workspace: Path, photos: Callable[..., Path]) -> None:
    words = program("embed", photos(40, 2), "--backbone", "toy", "--json", script=SLOW)
    with started(
        words,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    ) as process:
        wait_for("cache/*/canary.json", workspace, process)
        out, _ = output_after(process, signal.SIGHUP, 0.2)
    assert process.returncode == 0
    assert json.loads(out)["embedded"] == 40


# Logs


def test_log_lines_have_a_time_stamp_a_percentage_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines: list[str] = []
    log = progress.Log(lines.append)
    for second in range(1, 1001):  # ten an item, 10,000 items
        now[0] = float(second)
        log.stage("embed", 10 * second, 10_000)
    assert all(re.fullmatch(STAMP + r"Embedding .*", line) for line in lines)
    texts = [re.sub(STAMP, "", line) for line in lines]
    assert texts[0] == "Embedding 100 of 10,000 (1 %), about 16 minutes left"
    assert texts[1] == "Embedding 600 of 10,000 (6 %), about 16 minutes left"
    assert texts[-1] == "Embedding 10,000 of 10,000 (100 %)"
    assert len(texts) == 21
    assert not any(character < " " for line in lines for character in line)


def test_the_log_has_a_line_per_minute_and_none_for_short_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines: list[str] = []
    log = progress.Log(lines.append)
    for second in range(1, 3601):
        now[0] = float(second)
        log.stage("embed", second, 10**6)
    assert 55 <= len(lines) <= 61
    lines.clear()
    log = progress.Log(lines.append)
    for done in range(100):
        log.stage("scan", done + 1, 100)
    assert lines == []
    log = progress.Log(lines.append)
    for step in range(30):
        now[0] += 1
        log.stage("download", 1000 * step, 0)  # nobody knows how much there is
    assert [re.sub(STAMP, "", line) for line in lines] == ["Downloading 9,000"]


def test_the_loading_of_a_backbone_is_not_part_of_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines: list[str] = []
    log = progress.Log(lines.append)
    for second in range(60, 100):  # 60 seconds before the first of 40 batches
        now[0] = float(second)
        log.stage("embed", 64 * (second - 59), 64 * 40)
    texts = [re.sub(STAMP, "", line) for line in lines]
    assert texts[0] == "Embedding 64 of 2,560 (2 %)"
    assert texts[1] == "Embedding 704 of 2,560 (27 %), about 30 seconds left"


def test_rounds_are_lines_of_the_log(workspace: Path, photos: Callable[..., Path]) -> None:
    _, _, err = invoke(
        "run", photos(20, 2), "--backbone", "toy", "--initial-size", 4, "--batch-size", 2,
        "--rounds", 1,
    )  # fmt: skip
    lines = [line for line in err.splitlines() if re.match(STAMP, line)]
    assert len(lines) == 4
    assert re.search(r"\(25 %\), about .* left$", lines[0])
    assert lines[-1].endswith("(100 %)")


# Names


NAMES = ["two\nlines.jpg", "red\x1b[31m.jpg", "left\u202egpj.exe.jpg", "tab\there.jpg",
         "line\u2028end.jpg", "back\rspace\x08.jpg"]  # fmt: skip


@pytest.fixture
def awkward(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        make_image(number).save(folder / name)
    (folder / "broken\nbad\x1b]0;x\x07.jpg").write_text("no image")
    return folder


def test_control_characters_in_names_are_escaped(workspace: Path, awkward: Path) -> None:
    result = CliRunner().invoke(
        app, ["select", str(awkward), "-n", str(len(NAMES)), "--backbone", "toy"]
    )
    assert result.exit_code == 0, result.stderr
    assert sorted(result.stdout.split("\n")) == sorted(
        ["", r"two\nlines.jpg", r"red\x1b[31m.jpg", r"left\u202egpj.exe.jpg", r"tab\there.jpg",
         r"line\u2028end.jpg", r"back\rspace\x08.jpg"]
    )  # fmt: skip
    assert r"`broken\nbad\x1b]0;x\x07.jpg` is " in result.stderr
    assert all(ord(each) >= 32 or each == "\n" for each in result.stdout + result.stderr)


def test_names_are_unchanged_in_json_and_escaped_in_text(workspace: Path, awkward: Path) -> None:
    status, result, _ = invoke("select", awkward, "-n", 6, "--backbone", "toy")
    assert status == 0
    assert {pick["id"] for pick in result["picks"]} == set(NAMES)
    assert result["failures"][0]["path"] == "broken\nbad\x1b]0;x\x07.jpg"
    shown = CliRunner().invoke(app, ["check", str(awkward), "--backbone", "toy"])
    assert r"broken\nbad\x1b]0;x\x07.jpg: " in shown.stdout
    assert all(ord(each) >= 32 or each == "\n" for each in shown.stdout + shown.stderr)


def test_names_of_every_script_are_unchanged() -> None:
    from embedpipe._text import printable

    family, wish = "\U0001f469\u200d\U0001f467", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647"
    for name in ("größe", "写真", "שלום", "e\u0301", "a b", "a\u3000b", family, wish):
        assert printable(name) == name
    assert printable("\ud800\x85\u2066") == r"\ud800\x85\u2066"


def test_a_file_name_that_is_not_unicode(
    workspace: Path, photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(4, 2)
    picks = os.fsencode(tmp_path) + b"/p\xff.csv"
    words = program("select", folder, "-n", 2, "--backbone", "toy", "--report")
    done = run(
        [*map(os.fsencode, words), picks], text=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1].endswith(rb"/p\udcff.csv")
