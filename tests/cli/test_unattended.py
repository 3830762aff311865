"""Commands that nobody watches: their errors, failures, signals and logs."""

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
from tests.processes import run, started

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
        (["embed", "x", "--workspace", "s3://b/w"], 2, "UsageError", "is an address"),
        (["embed", "x", "--max-failures", "few"], 2, "UsageError", "--max-failures few: give"),
        (["embed", "digits", "--backbone", "toi"], 2, "UnknownNameError", "Did you mean 'toy'?"),
    ],
)  # fmt: skip
def test_every_error_is_one_object(
    workspace: Path, words: list[str], status: int, kind: str, message: str
) -> None:
    found, told, err = invoke(*words)
    assert found == status
    assert list(told) == ["error", "kind", "status"]
    assert (told["kind"], told["status"]) == (kind, status)
    assert message in told["error"]
    assert "\n" not in told["error"]
    assert told["error"] in err.replace("\n", " ")


@pytest.mark.parametrize(
    ("raised", "status", "told"),
    [
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to continue."),
        (ZeroDivisionError("by\nzero"), 1,
         "unexpected ZeroDivisionError: by zero (--debug shows where)"),
        (MemoryError(), 1, "unexpected MemoryError: (--debug shows where)"),
    ],
)  # fmt: skip
def test_what_is_not_foreseen_is_one_object_too(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException, status: int, told: str
) -> None:
    from embedpipe import datasets

    def fail(*args: object, **options: object) -> None:
        raise raised

    monkeypatch.setattr(datasets, "load_dataset", fail)
    for more in ([], ["--debug"], ["--quiet"]):
        found, result, err = invoke("embed", "x", *more)
        assert (found, result["error"], result["status"]) == (status, told, status)
        assert err.splitlines()[-1] == f"embedpipe: {told}"


def test_an_error_after_the_result_is_in_the_same_object(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, photos: Callable[..., Path]
) -> None:
    strategies = "margin,combine(metadata(x))"
    status, told, _ = invoke(
        "compare", photos(20, 2), "--backbone", "toy", "--strategies", strategies, "--seeds",
        1, "--initial-size", 4, "--batch-size", 2, "--rounds", 1, "--workers", 0,
    )  # fmt: skip
    assert status == 1
    assert told["error"].startswith("1 task failed; ")
    assert len(told["failures"]) == 1
    assert told["summary"][0]["strategy"]


def test_what_libraries_print_is_not_in_the_output(
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


def test_numbers_that_json_has_not_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    from embedpipe.cli.output import Output

    output = Output(as_json=True)
    with output.reserved():
        output.result({"a": [float("nan"), 1.5], "b": {"c": float("-inf")}}, "", now=False)
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5], "b": {"c": None}}


# Partial failure


def remove(folder: Path, count: int) -> list[str]:
    gone = sorted(folder.rglob("*.jpg"))[:count]
    for path in gone:
        path.unlink()
    return [path.relative_to(folder).as_posix() for path in gone]


def test_vanished_files_are_failures_and_counted(
    workspace: Path, photos: Callable[..., Path]
) -> None:
    folder = photos(100, 2)
    assert invoke("embed", folder, "--backbone", "toy", "--max-failures", "0")[0] == 0
    gone = remove(folder, 5)
    status, told, err = invoke("embed", folder, "--backbone", "toy", "--max-failures", "1%")
    assert status == 3
    assert (told["items"], told["reused"], told["failed"]) == (95, 95, 5)
    assert told["failures"] == [
        {"path": path, "stage": "scan", "reason": "it is missing since the last scan"}
        for path in gone
    ]
    assert "5 of 100 images" in told["error"]
    assert f"5 vanished since the last scan: {', '.join(gone)}\n" in err
    assert invoke("embed", folder, "--backbone", "toy", "--max-failures", "1%")[0] == 0


def test_the_limit_is_what_may_fail(workspace: Path, photos: Callable[..., Path]) -> None:
    folder = photos(20, 2)
    for number in range(2):
        (folder / f"class{number}" / f"bad{number}.jpg").write_text("no image")
    (folder / "class0" / "gone.jpg").symlink_to("nowhere.jpg")
    for limit, status in (("2", 3), ("3", 0), ("13%", 3), ("14%", 0), ("0", 3), ("0%", 3)):
        found, told, _ = invoke("embed", folder, "--backbone", "toy", "--max-failures", limit)
        assert found == status, limit
        stages = {each["path"]: each["stage"] for each in told["failures"]}
        assert stages == {
            "class0/bad0.jpg": "decode", "class1/bad1.jpg": "decode", "class0/gone.jpg": "read",
        }  # fmt: skip
        assert ("error" in told) == bool(status)
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
def test_other_commands_name_what_failed(
    workspace: Path, photos: Callable[..., Path], command: list[object], key: str
) -> None:
    folder = photos(20, 2)
    (folder / "class0" / "bad.jpg").write_text("no image")
    words = [command[0], folder, *command[1:], "--backbone", "toy", "--max-failures", 0]
    status, told, _ = invoke(*words)
    assert status == 3
    assert [each["path"] for each in told[key]] == ["class0/bad.jpg"]
    assert told["status"] == 3


def test_a_moved_a_renamed_and_a_forgotten_file_have_not_vanished(
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


def test_another_command_that_scans_names_what_vanished(
    workspace: Path, photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(6, 2)
    invoke("embed", folder, "--backbone", "toy")
    (gone,) = remove(folder, 1)
    (tmp_path / "l.csv").write_text("path,label\nclass1/0001.jpg,b\n")
    result = CliRunner().invoke(
        app, ["labels", "import", str(folder), str(tmp_path / "l.csv"), "--format", "csv"]
    )
    assert f"1 vanished since the last scan: {gone}\n" in result.stderr


def test_a_copy_takes_the_place_of_a_file_that_vanishes_in_between(
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
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(UsageError, match="give a number of images, such as 10"):
        FailureLimit.parse(text)


@pytest.mark.parametrize(
    ("text", "failed", "images", "exceeded"),
    [("0", 0, 9, False), ("0", 1, 9, True), ("1%", 1, 100, False), ("1 %", 2, 199, True),
     (".5%", 1, 200, False), ("0.5%", 1, 199, True), ("100%", 7, 7, False)],
)  # fmt: skip
def test_a_limit(text: str, failed: int, images: int, exceeded: bool) -> None:
    assert FailureLimit.parse(text).is_exceeded(failed, images) == exceeded


# Signals


SLOW = """
import sys, time
from embedpipe.embedding import filling
filling.BATCH_SIZE = 4
from embedpipe.backbones import ToyBackbone, backbones
class Slow(ToyBackbone):
    def open(self, **given):
        encoder = super().open(**given)
        plain = encoder.encode
        def encode(pixels):
            time.sleep(0.1)
            return plain(pixels)
        encoder.encode = encode
        return encoder
backbones._entries["toy"] = Slow
from embedpipe.cli.main import main
main()
"""


def output_after(process: subprocess.Popen[str], number: int, wait: float) -> tuple[str, str]:
    """Send a signal after some seconds, and return the output until the end of the program."""
    time.sleep(wait)
    process.send_signal(number)
    return process.communicate(timeout=60)


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
        wait_for("cache/*/canary.json", workspace, process)
        out, err = output_after(process, getattr(signal, name), 0.7)
    assert process.returncode == 130
    told = "interrupted; run the same command again to continue."
    assert json.loads(out) == {"error": told, "kind": "Interrupted", "status": 130}
    assert err.splitlines()[-1] == f"embedpipe: {told}"
    (spec,) = list_specs(Workspace(workspace))
    assert 0 < spec["rows"] < 400  # what was finished is kept


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_worker_processes_end_with_a_study(workspace: Path, name: str) -> None:
    words = program(
        "compare", "digits", "--backbone", "toy", "--strategies", "badge", "--seeds", 50,
        "--rounds", 40, "--workers", 2, "--json", "--quiet",
    )  # fmt: skip
    with started(words) as process:
        wait_for("runs/*/rounds.parquet", workspace, process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        workers = children.read_text().split() if children.exists() else []
        out, _ = output_after(process, getattr(signal, name), 0.2)
    assert process.returncode == 130
    assert json.loads(out)["kind"] == "Interrupted"
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{each}").exists() for each in workers):
        assert time.monotonic() < deadline, workers
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_the_page_closes_in_order(workspace: Path, photos: Callable[..., Path], name: str) -> None:
    words = program("label", photos(6, 2), "--backbone", "toy", "--json")
    with started(words) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["url"].startswith("http://127.0.0.1:")
        out, err = output_after(process, getattr(signal, name), 1.0)
    assert (process.returncode, out) == (0, "")
    assert err.splitlines()[-1].startswith("0 labels are stored")


def test_under_nohup_the_end_of_the_terminal_is_ignored(
    workspace: Path, photos: Callable[..., Path]
) -> None:
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


def test_a_log_has_time_stamps_shares_and_times_left(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_log_of_long_work_has_a_line_a_minute_and_of_short_work_none(
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


def test_the_rounds_of_a_run_are_lines_of_a_log(
    workspace: Path, photos: Callable[..., Path]
) -> None:
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


def test_a_name_breaks_no_line(workspace: Path, awkward: Path) -> None:
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


def test_names_are_whole_in_json_and_escaped_in_the_checks(workspace: Path, awkward: Path) -> None:
    status, told, _ = invoke("select", awkward, "-n", 6, "--backbone", "toy")
    assert status == 0
    assert {pick["id"] for pick in told["picks"]} == set(NAMES)
    assert told["failures"][0]["path"] == "broken\nbad\x1b]0;x\x07.jpg"
    shown = CliRunner().invoke(app, ["check", str(awkward), "--backbone", "toy"])
    assert r"broken\nbad\x1b]0;x\x07.jpg: " in shown.stdout
    assert all(ord(each) >= 32 or each == "\n" for each in shown.stdout + shown.stderr)


def test_names_of_every_script_stay_as_they_are() -> None:
    from embedpipe._text import printable

    family, wish = "\U0001f469\u200d\U0001f467", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647"
    for name in ("größe", "写真", "שלום", "e\u0301", "a b", "a\u3000b", family, wish):
        assert printable(name) == name
    assert printable("\ud800\x85\u2066") == r"\ud800\x85\u2066"


def test_a_file_name_that_is_no_unicode_is_written(
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
