"""The report of a run: its numbers, escaping, and no external files."""

import json
import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

import embedpipe as ep
from embedpipe.errors import UsageError
from embedpipe.reports import (
    Curve,
    Pick,
    ReportData,
    Round,
    make_thumbnail,
    write_checks,
    write_report,
    write_selection,
)

EVIL = "<script>alert('1')</script>\"&.jpg"
VOID = {"meta", "link", "img", "br", "input"}


def picture(side, value):
    buffer = BytesIO()
    Image.fromarray(np.full((side, side, 3), value, dtype=np.uint8)).save(buffer, "PNG")
    return make_thumbnail(buffer.getvalue())


def rounds(strategy, first, n=4):
    return tuple(
        Round(
            number,
            20 * (number + 1),
            first + 0.0501 * number,
            first + 0.0402 * number,
            0.111 * (number + 1),
            123.4 * number,
            strategy,
            (
                Pick(f"{strategy}/{number}.jpg", 0.25 * number, "hat", picture(8, 40 * number)),
                Pick(EVIL, 1 / 3, "<b>&amp;", picture(100, 40 * number)),
                Pick("lost.jpg", 0.5, None, None),
            ),
        )
        for number in range(n)
    )


@pytest.fixture
def data():
    return ReportData(
        title="my <photos> & more",
        facts=(("images", "3,068"), ("<i>", "</dd><script>")),
        curves=(
            Curve("coreset, then margin", rounds("margin", 0.7)),
            Curve("random", rounds("random", 0.6, n=3), baseline=True),
        ),
        command="embedpipe run photos --labels '</pre><b>'",
        upper_baseline=0.9123,
        advice="Advice: stop labelling. 100 more labels should add about 0.1 points.",
        details=(("strategy", "coreset, then margin"),),
    )


class Page(HTMLParser):
    """The text and attributes of a page by tag, with a check of the nesting."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.attributes = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.text.append((self.open[-1] if self.open else "", data.strip()))

    def all(self, tag):
        return [attributes for name, attributes in self.attributes if name == tag]

    def cells(self, tag):
        return [text for name, text in self.text if name == tag]


@pytest.fixture
def path(data, tmp_path):
    return write_report(tmp_path / "deep" / "report.html", data)


@pytest.fixture
def page(path):
    return Page(path.read_text(encoding="utf-8"))


def test_the_headline_has_the_result_the_comparison_and_the_advice(page):
    assert page.cells("h1") == ["0.850 accuracy with 80 labels"]
    assert "Random selection needs 60 labels for 0.700; this strategy needed 20." in page.cells("p")
    assert any(text.startswith("Advice: stop labelling. ") for text in page.cells("p"))
    assert page.cells("title")[0] == "my <photos> & more: 0.850 accuracy with 80 labels"


def test_the_table_holds_every_number(page, data):
    expected = []
    for number in range(4):
        for curve in data.curves:
            if number < len(curve.rounds):
                entry = curve.rounds[number]
                fit = entry.fit_seconds
                expected += [
                    f"{entry.labelled}",
                    f"{entry.accuracy:.3f}",
                    f"{entry.macro_f1:.3f}",
                    "–",  # these rounds have no expected accuracy
                    f"{entry.select_seconds:.2f}",
                    f"{fit:.2f}" if fit < 100 else f"{fit:.0f}",
                ]
    assert page.cells("td")[: len(expected)] == expected


def test_the_figures_hold_every_point(page, data):
    figure = json.loads(page.cells("script")[0])
    for at, curve in enumerate(data.curves):
        assert figure["data"][at]["y"] == [entry.accuracy for entry in curve.rounds]
        assert figure["data"][at]["text"] == [
            f"{curve.name}: {entry.accuracy:.3f} with {entry.labelled} labels<br>"
            f"Round {entry.round}<br>Macro-F1 {entry.macro_f1:.3f}"
            for entry in curve.rounds
        ]
    assert page.cells("text").count("all labels 0.912") == 1


def test_all_picks_are_on_the_page_in_order(page, data):
    titles = [attributes["title"] for attributes in page.all("li") if "title" in attributes]
    assert titles[:6] == [
        "1 · hat · score 0\nmargin/0.jpg",
        f"2 · <b>&amp; · score 0.3333\n{EVIL}",
        "3 · score 0.5\nlost.jpg",
        "1 · hat · score 0\nrandom/0.jpg",
        f"2 · <b>&amp; · score 0.3333\n{EVIL}",
        "3 · score 0.5\nlost.jpg",
    ]
    assert len(titles) == sum(len(r.picks) for curve in data.curves for r in curve.rounds)
    assert "lost.jpg" in page.cells("span")
    assert "<b>&amp; ×1, hat ×1" in page.cells("p")


def test_every_image_is_stored_once(path, page):
    text = path.read_text(encoding="utf-8")
    stored = dict(
        re.findall(r"[.](i\d+) [{] background-image: url[(]data:image/(.+?)[)]; [}]", text)
    )
    assert len(stored) == 11  # three images were picked by both curves
    shown = [each for each in page.all("span") if each.get("role") == "img"]
    assert len(shown) == 14
    for attributes in shown:
        _, name, *tiny = attributes["class"].split()
        kind, content = stored[name].split(";base64,")
        image = Image.open(BytesIO(b64decode(content, validate=True)))
        image.load()
        assert image.format.lower() == kind
        assert (tiny == ["tiny"]) == (image.width == 8)
        assert attributes["aria-label"] == (EVIL if image.width == 96 else attributes["aria-label"])


def test_names_are_text_never_markup(path, page):
    text = path.read_text(encoding="utf-8")
    kinds = [attributes["type"] for attributes in page.all("script")]
    assert kinds == [*["application/json"] * 3, "text/plain", "module", "module"]
    assert "<b>" not in text[: text.index('<script type="module">')]
    assert page.cells("pre") == ["embedpipe run photos --labels '</pre><b>'"]
    assert ("p", "my <photos> & more") in page.text


def test_no_external_file_is_loaded(path, page):
    text = path.read_text(encoding="utf-8")
    shown = re.sub(r"base64,[\w+/=]*", "", text[: text.index('<script type="text/plain"')])
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#|data:)", shown)
    sources = [
        value
        for _, attributes in page.attributes
        for name, value in attributes.items()
        if name in {"src", "href", "srcset", "data", "action", "xlink:href"}
    ]
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert list(path.parent.iterdir()) == [path]


def test_only_the_first_round_is_open(page):
    details = ["open" in attributes for attributes in page.all("details")]
    assert details == [False, True, False, False, False]  # details of the run, then the rounds


def test_the_same_data_give_the_same_bytes(path, data, tmp_path):
    assert write_report(tmp_path / "again.html", data).read_bytes() == path.read_bytes()


def test_a_run_without_test_labels(tmp_path):
    entry = Round(1, 10, None, None, 0.1, 0.2, "coreset", (Pick("a.jpg", 1.0),))
    data = ReportData("folder", (), (Curve("coreset", (entry,)),))
    page = Page(write_report(tmp_path / "r.html", data).read_text(encoding="utf-8"))
    assert page.cells("h1") == ["1 image selected in 1 round"]
    assert page.cells("td") == ["10", "–", "–", "–", "0.10", "0.20"]
    assert page.all("figure") == []
    assert page.cells("h2") == ["Rounds", "Selected images"]


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ((), "a report needs at least one curve with a round."),
        ((Curve("a", ()),), "a report needs at least one curve with a round."),
        (
            (Curve("a", rounds("a", 0.5), baseline=True), Curve("b", (), baseline=True)),
            "a report has one baseline; got 2: a, b.",
        ),
        (
            tuple(Curve(str(i), rounds("a", 0.5, n=1)) for i in range(7)),
            "a report has at most 6 curves; got 7.",
        ),
        (
            (Curve("a", (Round(0, 1, 0.5, 0.5, 0.0, 0.0, "a", (Pick("a", 0.0, None, b"no"),)),)),),
            "a thumbnail must be an encoded PNG, JPEG, WebP or GIF image.",
        ),
    ],
)
def test_data_that_are_not_valid_raise_an_error(tmp_path, curves, message):
    with pytest.raises(UsageError) as error:
        write_report(tmp_path / "r.html", ReportData("t", (), curves))
    assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []


RESULTS = "give the results of an experiment"
LOOPS = "give a list of loops, or use `comparison_of` for the results of an experiment"
WRONG_ARGUMENTS = {
    "a report of results": (ep.report_of, "expected Sequence, got ndarray: " + LOOPS),
    "a report of arrays": (
        lambda array: ep.report_of([array]), "expected ActiveLoop, got ndarray: " + LOOPS,
    ),
    "a report of nothing": (
        lambda array: ep.report_of([]), "there is no loop for the report: give at least one",
    ),
    "a comparison": (ep.comparison_of, "expected Results, got ndarray: " + RESULTS),
    "a replay study": (
        ep.replay_of, "expected ReplayResults, got ndarray: give the results of a replay study",
    ),
    "a figure": (
        lambda array: ep.write_figure(array, "x.svg"),
        "expected Results, got ndarray: " + RESULTS,
    ),
    "a figure of a replay study": (
        lambda array: ep.write_replay_figure("x.svg", array),
        "expected ReplayData, got ndarray: give the result of `replay_of`",
    ),
    **{
        f"the page of {maker}": (
            lambda array, write=write: write("x.html", array),
            f"expected {kind}, got ndarray: give the result of `{maker}`",
        )
        for write, kind, maker in (
            (ep.write_report, "ReportData", "report_of"),
            (ep.write_comparison, "ComparisonData", "comparison_of"),
            (ep.write_replay, "ReplayData", "replay_of"),
            (write_checks, "ChecksData", "checks_of"),
            (write_selection, "SelectionData", "selection_of"),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_ARGUMENTS)
def test_an_argument_of_another_type_is_a_usage_error(case):
    call, message = WRONG_ARGUMENTS[case]
    with pytest.raises(UsageError) as caught:
        call(np.zeros((2, 2)))
    assert str(caught.value) == f"{message}."
