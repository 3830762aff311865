"""Annotation in a terminal: questions, answers, stored labels and displayed images."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import embedpipe as ep
from embedpipe.errors import LabelError, RunError, UsageError
from embedpipe.labelling import Annotation, LabellingSession, Question, Terminal
from embedpipe.labelling.terminal import (
    HELP,
    Answer,
    hide_classes,
    inline_image,
    parse_answer,
    printable,
    protocol_of,
)
from embedpipe.labels import LabelLog
from tests.conftest import make_image

CLASSES = ["hat", "t-shirt", "s", "?"]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("1\n", Answer("label", "hat")),
        (" t-shirt \n", Answer("label", "t-shirt")),
        ("\n", Answer("label", "shoe")),
        ("s\n", Answer("skip")),
        ("S", Answer("skip")),
        ("u", Answer("undo")),
        ("q", Answer("stop")),
        ("?", Answer("help")),
        ("=s", Answer("label", "s")),
        ("= 7 ", Answer("label", "7")),
        ("=?", Answer("label", "?")),
        ("==", Answer("label", "=")),
        ("=hats", Answer("label", "hats")),
        ("帽子", Answer("label", "帽子")),
    ],
)
def test_valid_answers(line: str, answer: Answer) -> None:
    assert parse_answer(line, CLASSES, "shoe") == answer


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "there is no suggestion. Type a number or a name, or ? for help."),
        ("= ", "the name of a class is missing after =."),
        ("7", "there is no class number 7; expected 1 to 4. Type =7 if it is a class name."),
        ("0", "there is no class number 0; expected 1 to 4. Type =0 if it is a class name."),
        (
            "T-shirts",
            "there is no class 'T-shirts'. Did you mean 2 't-shirt'? Type =T-shirts for a new "
            "class.",
        ),
        ("HAT", "there is no class 'HAT'. Did you mean 1 'hat'? Type =HAT for a new class."),
    ],
)
def test_invalid_answers(line: str, message: str) -> None:
    with pytest.raises(LabelError) as caught:
        parse_answer(line, CLASSES, None)
    assert str(caught.value) == message


def test_classes_whose_names_are_numbers_have_no_list_numbers() -> None:
    digits = ("0", "1", "2")
    assert [parse_answer(text, digits, None).label for text in ("2", "0", "7")] == ["2", "0", "7"]
    assert parse_answer("2", ("hat", "shoe"), None).label == "shoe"
    with pytest.raises(LabelError) as caught:
        parse_answer("Hat", ("hat", "7"), None)
    assert str(caught.value) == (
        "there is no class 'Hat'. Did you mean 'hat'? Type =Hat for a new class."
    )


def test_a_number_without_classes() -> None:
    with pytest.raises(LabelError) as caught:
        parse_answer("1", [], None)
    assert str(caught.value) == (
        "there is no class number 1; there are no classes yet. Type =1 if it is a class name."
    )


def test_text_cannot_contain_terminal_commands() -> None:
    assert printable("a\x1b]0;title\x07\r\n\u202eb") == r"a\x1b]0;title\x07\r\n\u202eb"
    assert printable("größe 帽.jpg") == "größe 帽.jpg"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("train/airplane/0001.png", "train/…/0001.png"),
        ("train/Air Plane/x.png", "train/Air Plane/x.png"),
        ("0001_airplane.png", "0001_….png"),
        ("TRAFFIC-LIGHT/1.png", "…/1.png"),
        ("traffic_lights/1.png", "traffic_lights/1.png"),
        ("traffic/light/1.png", "…/1.png"),
        ("帽子/1.jpg", "…/1.jpg"),
        ("c++/1.jpg", "…++/1.jpg"),
    ],
)
def test_a_path_does_not_reveal_its_class(path: str, shown: str) -> None:
    assert hide_classes(path, ["airplane", "traffic light", "light", "帽子", "c++", "!?"]) == shown
    assert hide_classes(path, []) == path


def test_which_terminals_can_show_images() -> None:
    able = {
        "kitty": [{"TERM": "xterm-kitty"}, {"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}],
        "iterm2": [
            {"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"},
            {"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"},
            {"TERM_PROGRAM": "WezTerm"},
        ],
    }
    for protocol, environments in able.items():
        for environment in environments:
            assert protocol_of(environment) == protocol
            assert protocol_of({**environment, "TMUX": "/tmp/tmux-0/default,1,0"}) is None
            assert protocol_of({**environment, "TERM": "screen-256color"}) is None
    for environment in ({}, {"TERM": "dumb"}, {"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}):
        assert protocol_of(environment) is None


def jpeg(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    make_image(3, size).save(file, "JPEG")
    return file.getvalue()


def shown_image(text: str) -> Image.Image:
    """Return the image in the commands to a terminal, which contain only the image."""
    if text.startswith("\x1b]1337;"):
        (header, encoded) = text.removeprefix("\x1b]1337;File=").removesuffix("\a").split(":")
        content = base64.b64decode(encoded, validate=True)
        assert f"size={len(content)};" in header
        assert "inline=1;" in header
    else:
        commands = re.findall("\x1b_G([^;]*);([^\x1b]*)\x1b\\\\", text)
        assert sum(len(a) + len(b) + 6 for a, b in commands) == len(text)
        more = [settings.rpartition("m=")[2] for settings, _ in commands]
        assert more == ["1"] * (len(commands) - 1) + ["0"]
        assert all(len(chunk) <= 4096 for _, chunk in commands)
        content = base64.b64decode("".join(chunk for _, chunk in commands), validate=True)
    return Image.open(io.BytesIO(content), formats=["PNG"])


@pytest.mark.parametrize("protocol", ["iterm2", "kitty"])
@pytest.mark.parametrize(
    ("size", "expected"),
    [((32, 32), (192, 192)), ((300, 200), (300, 200)), ((1600, 1200), (480, 360))],
)
def test_an_image_in_the_terminal(protocol, size, expected) -> None:
    text = inline_image(jpeg(size), protocol)
    assert text is not None
    image = shown_image(text)
    assert image.size == expected
    with Image.open(io.BytesIO(jpeg(size))) as original:
        wanted = np.asarray(original.resize(expected, Image.Resampling.BICUBIC), dtype=float)
    assert np.abs(np.asarray(image.convert("RGB")) - wanted).max() <= 1
    assert inline_image(b"no image", protocol) is None


class Scripted:
    """An annotator whose answers are those of a function; it stores questions and messages."""

    def __init__(self, answer: Callable[[Question], str]) -> None:
        self._answer = answer
        self.asked: list[Question] = []
        self.messages: list[str] = []

    def ask(self, question: Question) -> str:
        self.asked.append(question)
        return self._answer(question)

    def tell(self, text: str) -> None:
        self.messages.append(text)


def colour_of(question: Question) -> str:
    """Return the class of the image, as a person would see it."""
    red, _, blue = np.asarray(Image.open(io.BytesIO(question.image()))).mean(axis=(0, 1))
    return "reddish" if red > blue else "bluish"


@pytest.fixture
def embeddings(tmp_path: Path, photos: Callable[..., Path]) -> ep.Embeddings:
    return ep.embed(photos(40), backbone="toy", workspace=tmp_path / "workspace")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LabelLog]:
    with LabelLog(tmp_path / "labels.sqlite") as opened:
        yield opened


def session_of(embeddings: ep.Embeddings, log: LabelLog, who: str = "ann") -> LabellingSession:
    return LabellingSession(
        embeddings, log, strategy="least_confidence", initial="coreset", who=who
    )


def test_the_least_certain_are_asked_and_true_labels_are_not_shown(
    embeddings: ep.Embeddings, log: LabelLog, tmp_path: Path
) -> None:
    session, person = session_of(embeddings, log), Scripted(colour_of)
    rounds = Annotation(session, person, tmp_path / "plan", 4, 3, 8).run()
    first = next(rounds)
    chosen = ep.select(embeddings, n=8, strategy="coreset")
    assert {each.path for each in person.asked} == {session.ids[row] for row in chosen.rows}
    assert (first.round, first.labelled, first.stopped) == (0, 8, False)
    assert all(each.suggestion is None for each in person.asked)
    model = first.model
    assert model is not None
    for number in (1, 2, 3):
        free = [row for row in range(40) if row not in session.current()]
        expected = sorted(free, key=lambda row: (model.confidence[row], row))[:4]
        each = next(rounds)
        asked = person.asked[-4:]
        assert {question.path for question in asked} == {session.ids[row] for row in expected}
        for question in asked:
            row = session.row_of(question.path)
            assert question.suggestion == model.classes[model.codes[row]]
            assert question.confidence == float(model.confidence[row])
        assert [(question.number, question.of) for question in asked] == [
            (place, 4) for place in (1, 2, 3, 4)
        ]
        assert (each.round, each.labelled) == (number, 8 + 4 * number)
        model = each.model
        assert model is not None
    assert next(rounds, None) is None
    assert not (tmp_path / "plan").exists()
    for question in person.asked:
        assert re.fullmatch(r"…/\d{4}\.jpg", question.shown)
        assert not set(question.classes) & {"class0", "class1", "class2"}
    kept = list(log.events())
    assert [(event.path, event.model is not None) for event in kept] == [
        (question.path, place >= 8) for place, question in enumerate(person.asked)
    ]
    assert [event.suggestion for event in kept] == [each.suggestion for each in person.asked]


def answers(*lines: str | type[BaseException]) -> Scripted:
    """Return an annotator with these answers, and then the class of each image."""
    left = list(lines)

    def answer(question: Question) -> str:
        line = left.pop(0) if left else colour_of(question)
        if isinstance(line, str):
            return line
        raise line

    return Scripted(answer)


def test_undo_skip_help_and_typing_errors(
    embeddings: ep.Embeddings, log: LabelLog, tmp_path: Path
) -> None:
    person = answers("u", "hat", "Hat", "?", "shoe", "u", "s", "u", "shoes", "7", "\ud800", "q")
    session = session_of(embeddings, log)
    (only,) = Annotation(session, person, tmp_path / "plan", 4, 1, 6).run()
    assert (only.labelled, only.classes, only.stopped) == (2, 2, True)
    first, second, third = dict.fromkeys(question.path for question in person.asked)
    assert [question.path for question in person.asked] == [
        first, first, second, second, second, third, second, third, second, third, third, third,
    ]  # fmt: skip
    shown = hide_classes(second, ["class0", "class1", "class2"])
    assert person.messages == [
        "  nothing to undo",
        "  new class: hat (u to undo)",
        "  there is no class 'Hat'. Did you mean 1 'hat'? Type =Hat for a new class.",
        HELP + "\n    1 hat",
        "  new class: shoe (u to undo)",
        f"  undone: {shown}",
        f"  undone: {shown}",
        "  new class: shoes (u to undo)",
        "  there is no class number 7; expected 1 to 2. Type =7 if it is a class name.",
        r"  new class: \ud800 (u to undo)",
        r"  the label '\ud800' is not valid Unicode. Rename it.",
    ]
    current = {session.ids[row]: now for row, now in session.current().items()}
    assert (current[first].label, current[second].label) == ("hat", "shoes")
    assert [event.kind for event in log.events()] == [
        "label", "label", "undo", "skip", "undo", "label",
    ]  # fmt: skip


def test_undo_goes_back_into_the_round_before(
    embeddings: ep.Embeddings, log: LabelLog, tmp_path: Path
) -> None:
    person = answers("a", "b", "u", "a", "q")
    session = session_of(embeddings, log)
    session_of(embeddings, log, "bob").label([0], "before")
    list(Annotation(session, person, tmp_path / "plan", 4, 1, 2).run())
    paths = [question.path for question in person.asked]
    assert paths[1] == paths[3]
    assert paths[2] == paths[4] not in paths[:2]
    assert session.counts() == {"before": 1, "a": 2}


def test_earlier_labels_are_not_undone(
    embeddings: ep.Embeddings, log: LabelLog, tmp_path: Path
) -> None:
    session = session_of(embeddings, log)
    session.label([0, 1, 2], "hat")
    person = answers("u", "q")
    list(Annotation(session, person, tmp_path / "plan", 4, 1, 2).run())
    assert person.messages == ["  nothing to undo"]
    assert session.counts() == {"hat": 3}


@pytest.mark.parametrize("questions", [1, 7, 8, 9, 11, 12, 15])
def test_an_interrupted_annotation_asks_the_same_questions(
    questions: int, embeddings: ep.Embeddings, tmp_path: Path
) -> None:
    asked = []
    for name, lines in {"whole": 0, "broken": questions}.items():
        seen: list[str] = []

        def answer(question: Question, at: int = lines, seen: list[str] = seen) -> str:
            seen.append(question.path)
            if len(seen) == at:
                seen.pop()
                raise KeyboardInterrupt
            return colour_of(question)

        with LabelLog(tmp_path / f"{name}.sqlite") as log:
            plan = tmp_path / f"{name}.json"
            try:
                list(Annotation(session_of(embeddings, log), Scripted(answer), plan, 4, 2, 8).run())
            except KeyboardInterrupt:
                person = Scripted(colour_of)
                list(Annotation(session_of(embeddings, log), person, plan, 4, 2, 8).run())
                seen += [question.path for question in person.asked]
                assert person.messages[0].startswith("going on with round ")
        asked.append(seen)
    assert asked[0] == asked[1]
    assert len(asked[0]) == 16


def test_other_annotators_may_label_meanwhile(
    embeddings: ep.Embeddings, log: LabelLog, tmp_path: Path
) -> None:
    other = session_of(embeddings, log, "bob")
    asked: list[str] = []

    def answer(question: Question) -> str:
        asked.append(question.path)
        if len(asked) == 1:  # bob answers all of the round but the last, and renames a class
            plan = json.loads((tmp_path / "plan").read_text())
            other.label([other.row_of(pick["path"]) for pick in plan["picks"][1:-1]], "bluish")
            other.rename_class("bluish", "blue")
        return "red"

    session = session_of(embeddings, log)
    (first, *_) = Annotation(session, Scripted(answer), tmp_path / "plan", 4, 1, 8).run()
    assert first.labelled == 8
    assert session.counts()["blue"] == 6


def test_the_pool_ends(embeddings: ep.Embeddings, log: LabelLog, tmp_path: Path) -> None:
    person = Scripted(lambda question: "hat")  # no second class, ever
    rounds = list(
        Annotation(session_of(embeddings, log), person, tmp_path / "plan", 4, 1, 30).run()
    )
    assert [(each.round, each.labelled, each.model) for each in rounds] == [
        (0, 30, None), (0, 40, None),
    ]  # fmt: skip
    assert person.messages[-1] == "no images are left to label"
    assert str(rounds[0]) == "round 0: 30 labels, classes: 1"
    assert rounds[0].summary() == {
        "round": 0, "labelled": 30, "classes": 1, "accuracy": None, "interval": None,
        "expected_accuracy": None, "expected_accuracy_ci": None,
    }  # fmt: skip


def test_deleted_files_are_not_asked(
    embeddings: ep.Embeddings, log: LabelLog, tmp_path: Path
) -> None:
    person = answers("q")
    list(Annotation(session_of(embeddings, log), person, tmp_path / "plan", 4, 1, 8).run())
    deleted = person.asked[0].path
    (tmp_path / "photos" / deleted).unlink()
    fewer = ep.embed(tmp_path / "photos", backbone="toy", workspace=tmp_path / "workspace")
    person = Scripted(colour_of)
    list(Annotation(session_of(fewer, log), person, tmp_path / "plan", 4, 1, 8).run())
    assert len(person.asked) == 7 + 4
    assert deleted not in {question.path for question in person.asked}


def test_a_damaged_plan_and_invalid_numbers(
    embeddings: ep.Embeddings, log: LabelLog, tmp_path: Path
) -> None:
    session, plan = session_of(embeddings, log), tmp_path / "plan"
    plan.write_text('{"round": 1')
    with pytest.raises(RunError) as caught:
        list(Annotation(session, answers(), plan).run())
    assert str(caught.value) == (
        f"{plan} is damaged and cannot be resumed. Remove it; no labels are lost."
    )
    with pytest.raises(UsageError, match="^`rounds` must be at least 1; got 0.$"):
        Annotation(session, answers(), plan, 1, 0)


class Screen(io.StringIO):
    """A stream whose `isatty` is true."""

    def isatty(self) -> bool:
        return True


def question_of(image: Callable[[], bytes], suggestion: str | None = "hat") -> Question:
    return Question(
        1, 2, 10, "a/1\x1b.jpg", "…/1\x1b.jpg", suggestion, 0.4149, ("hat", "a\nb"), image
    )


def test_the_output_of_the_terminal(tmp_path: Path) -> None:
    screen = Screen()
    terminal = Terminal(io.BytesIO("\nschön\n\xff\n".encode("latin-1")), screen, {"TERM": "xterm"})
    question = question_of(lambda: jpeg((8, 8)))
    assert terminal.ask(question) == "\n"
    with pytest.raises(LabelError, match="^the answer is not UTF-8. Type it again.$"):
        terminal.ask(question)
    with pytest.raises(LabelError):
        terminal.ask(question)
    with pytest.raises(EOFError):
        terminal.ask(question)
    prompt = "label [hat, 0.41]: "
    assert screen.getvalue() == (
        "\nround 1, 2 of 10: …/1\\x1b.jpg\n  1 hat  2 a\\nb\n" + 4 * prompt + "\n"
    )


def test_the_image_is_shown_where_it_can_be_and_copied_elsewhere(tmp_path: Path) -> None:
    def third_line(
        screen: io.StringIO, environment: dict[str, str], image: Callable[[], bytes]
    ) -> str:
        terminal = Terminal(io.BytesIO(b"x\n"), screen, environment, tmp_path / "asked")
        terminal.ask(question_of(image, None))
        lines = screen.getvalue().split("\n")
        assert lines[-1] == "label: "
        return lines[2]

    kitty, photo = {"TERM": "xterm-kitty"}, jpeg((200, 100))
    assert shown_image(third_line(Screen(), kitty, lambda: photo)).size == (200, 100)
    assert not (tmp_path / "asked.jpg").exists()
    assert third_line(Screen(), kitty, lambda: b"nothing") == "  the image cannot be decoded"
    for screen, environment in ((io.StringIO(), kitty), (Screen(), {"TERM": "xterm"})):
        line = third_line(screen, environment, lambda: photo)
        assert line == f"  image: {tmp_path / 'asked.jpg'}"
        assert (tmp_path / "asked.jpg").read_bytes() == photo
        (tmp_path / "asked.jpg").unlink()

    def missing() -> bytes:
        raise FileNotFoundError(2, "No such file or directory")

    assert (
        third_line(Screen(), kitty, missing)
        == "  the image cannot be read: No such file or directory"
    )
