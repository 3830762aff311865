"""The page of a run in a browser: hover, pins, slider, map, keyboard, names, and no script."""

from __future__ import annotations

import base64
import csv
import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

import embedpipe as ep
from embedpipe.reports import make_thumbnail
from tests.conftest import make_image
from tests.paper import too_wide_for_paper

CLASSES = ("</script><script>fail('class')</script>", 'wide "hat" & <b>scarf</b>', "חולצה (קיץ)")
FILES = ("\"><img src=x onerror=fail('file')>{}.jpg", "shoe {}.jpg", "תמונה {}.jpg")
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}


class Run(NamedTuple):
    loop: ep.ActiveLoop
    random: ep.ActiveLoop
    url: str


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The page of a run on 90 photos, whose names contain markup and right-to-left letters."""
    folder = tmp_path_factory.mktemp("photos")
    rows = []
    for number in range(90):
        kind = number % 3
        name = FILES[kind].format(number)
        tint = Image.new("RGB", (80, 64), tuple(60 + 90 * (kind == at) for at in range(3)))
        Image.blend(make_image(number, (80, 64)), tint, 0.35).save(folder / name, "JPEG")
        rows.append((name, CLASSES[kind], "test" if number >= 60 else "train"))
    with (folder / "list.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label", "split"), *rows])
    embeddings = ep.embed(
        ep.load_dataset(str(folder / "list.csv")), backbone="toy", workspace=folder / "workspace"
    )
    loops = []
    for strategy, initial in (("margin", "coreset"), ("random", "random")):
        loop = ep.ActiveLoop(
            embeddings, strategy=strategy, initial=initial, initial_size=8, head="logistic"
        )
        loops.append(loop)
        list(loop.run(rounds=4, batch_size=7))
    data = ep.report_of(loops[:1], baseline=loops[1], upper_baseline=loops[0].upper_baseline())
    return Run(*loops, ep.write_report(folder / "run.html", data).as_uri())


@contextmanager
def opened(browser: Any, url: str, width: int = 1280, **more: Any) -> Iterator[Any]:
    """Open the page; it must send no request and log no error."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **more)
    page = context.new_page()
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda made: asked.append(made.url))
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(url)
    if more.get("java_script_enabled", True):
        page.wait_for_selector("html.charts-ready")
    yield page
    assert [made for made in asked if not made.startswith(("data:", "blob:"))] == [url]
    assert problems == []
    context.close()


@pytest.fixture
def page(browser: Any, run: Run) -> Iterator[Any]:
    with opened(browser, run.url) as page:
        yield page


PLACE = """([id, line, point]) => {
  const place = document.querySelector(`#${id} .plot`);
  place.scrollIntoView({ block: 'center' });
  const drawn = place._fullData.filter((each) => each.mode.includes('markers'));
  const trace = drawn.at(line);
  const { xaxis, yaxis } = place._fullLayout, box = place.getBoundingClientRect();
  const x = xaxis._offset + xaxis.d2p(trace.x[point]);
  const y = yaxis._offset + yaxis.d2p(trace.y[point]);
  return [box.x + x, box.y + y];
}"""


def point(page: Any, number: int, line: int = 0, chart: str = "curve") -> tuple[float, float]:
    """Return the place of a point of a chart in the window."""
    x, y = page.evaluate(PLACE, [chart, line, number])
    return x, y


def scroll_to_map(page: Any) -> None:
    """Show the map, which is drawn when it is near the window."""
    page.locator("#map").scroll_into_view_if_needed()
    page.wait_for_selector("#map.live .scatterlayer .trace")


def hover(page: Any, number: int, line: int = 0) -> Any:
    """Point at a point of the learning curve, and return its tooltip."""
    name = ("suggested", "random")[line]
    shown = page.locator("#curve .hovertext", has_text=re.compile(f"{name}.*Round {number}"))
    page.mouse.move(5, 5)
    page.mouse.move(*point(page, number, line))
    shown.wait_for()
    return shown


def pin(page: Any, number: int, line: int = 0) -> Any:
    """Click a point of the learning curve, and return its card."""
    hover(page, number, line)
    page.mouse.down()
    page.mouse.up()
    card = page.locator(f'.card[data-key="{line} {number}"]')
    card.wait_for()
    return card


def test_a_point_has_all_measures_of_its_round(page: Any, run: Run) -> None:
    for number in (1, 4):
        record = run.loop.records[number]
        lines = hover(page, number).locator("tspan").all_text_contents()
        low, high = record.expected_accuracy_ci
        assert lines == [
            f"suggested images: {record.accuracy:.3f} with {record.labelled} labels",
            f"Round {number}",
            f"Macro-F1 {record.macro_f1:.3f}",
            f"Balanced accuracy {record.balanced_accuracy:.3f}",
            f"Expected accuracy {record.expected_accuracy:.3f} ({low:.3f} to {high:.3f})",
            f"Accuracy on images without a label {record.rest_accuracy:.3f}",
        ]


def test_two_cards_are_pinned_moved_and_closed(page: Any) -> None:
    first, second = pin(page, 1), pin(page, 4)
    pin(page, 4)  # a pinned round is not pinned again
    assert page.locator(".card h3").all_text_contents() == [
        "Round 1 suggested images, 7 images",
        "Round 4 suggested images, 7 images",
    ]
    still, before = first.bounding_box(), second.bounding_box()
    x, y = before["x"] + 150, before["y"] + 8
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 30)
    page.mouse.move(x + 90, y + 60)
    page.mouse.up()
    page.mouse.move(x + 300, y + 300)
    after = second.bounding_box()
    assert (after["x"] - before["x"], after["y"] - before["y"]) == (90, 60)
    assert first.bounding_box() == still
    second.locator(".move").focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    keyed = second.bounding_box()
    assert (keyed["x"] - after["x"], keyed["y"] - after["y"]) == (-48, -24)
    first.locator(".close").click()
    assert page.locator(".card").count() == 1
    second.locator(".body").focus()
    page.keyboard.press("Escape")
    assert page.locator(".card").count() == 0


def test_a_card_is_pinned_by_keyboard(page: Any, run: Run) -> None:
    page.locator("#curve .plot").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    assert page.locator(".card").get_attribute("aria-label") == "Round 1, random images"
    assert page.locator("#cards-state").text_content() == "Round 1, random images: pinned"
    page.locator("#chosen-round").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator(".card").count() == 2
    shown = page.locator(".card").nth(1).locator("dd").all_inner_texts()
    assert shown[:2] == ["8", f"{run.loop.records[0].accuracy:.3f}"]


def thumbnail(loop: ep.ActiveLoop, row: int) -> str:
    dataset = loop.embeddings.dataset
    ((_, content),) = dataset.source.read([loop.problem.ids[row]])
    return base64.b64encode(make_thumbnail(content, 96, "WEBP")).decode()


def stored_image(part: Any) -> str:
    """Return the base64 text of the image that an element shows."""
    found = part.evaluate("each => getComputedStyle(each).backgroundImage")
    return re.fullmatch(r'url\("data:image/webp;base64,(.+)"\)', found)[1]


def test_a_card_shows_images_predictions_and_neighbours(page: Any, run: Run) -> None:
    loop, number = run.loop, 2
    items = pin(page, number).locator("li")
    record, matrix = loop.records[number], loop.problem.matrix
    assert items.count() == len(record.rows)
    before, after = loop.head_after(number - 1), loop.head_after(number)
    labelled = np.concatenate([each.rows for each in loop.records[:number]])
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    for rank, row in enumerate(record.rows.tolist()):
        item, label = items.nth(rank), str(record.labels[rank])
        assert stored_image(item.locator(":scope > .thumb")) == thumbnail(loop, row)
        expected = [f"{label} · score {record.scores[rank]:.4g}"]
        for when, head in (("before", before), ("after", after)):
            (found,) = head.predict_proba(matrix[[row]])
            best = str(head.classes_[found.argmax()])
            mark, word = ("✓", "right") if best == label else ("✗", "wrong")
            percent = int(np.floor(100 * round(float(found.max()), 4) + 0.5))
            expected.append(f"{when}: {best}, {percent} % {mark} {word}")
        shown = item.locator(":scope > div").first.locator(":scope > div").all_text_contents()
        assert shown == [*expected, loop.problem.ids[row]]
        nearest = labelled[np.argsort(-(unit[labelled] @ unit[row]), kind="stable")[:3]]
        near = item.locator(".near .thumb")
        assert [stored_image(near.nth(at)) for at in range(3)] == [
            thumbnail(loop, each) for each in nearest
        ]
        labels = [str(loop.problem.oracle.every_label(np.array([each]))[0]) for each in nearest]
        assert [near.nth(at).get_attribute("title") for at in range(3)] == [
            f"{text}: {loop.problem.ids[each]}" for text, each in zip(labels, nearest, strict=True)
        ]


@pytest.mark.parametrize("line", [0, 1])
def test_the_slider_shows_the_classes_and_the_matrix_of_a_round(
    page: Any, run: Run, line: int
) -> None:
    loop = (run.loop, run.random)[line]
    if line:
        page.select_option("#chosen-curve", label="random images")
    page.locator("#chosen-round").focus()
    page.keyboard.press("Home")
    scroll_to_map(page)
    truth, names = np.asarray(loop.problem.test_labels), sorted(CLASSES)
    labels: list[str] = []
    for number, record in enumerate(loop.records):
        if number:
            page.keyboard.press("ArrowRight")
        labels += record.labels.tolist()
        state = f"Round {number}: {record.labelled} labels, accuracy {record.accuracy:.3f}"
        assert page.inner_text("#round-state") == state
        assert page.get_attribute("#chosen-round", "aria-valuetext") == state
        predicted = loop.head_after(number).predict(loop.problem.matrix[loop.problem.test_rows])
        matrix = [
            [int(((truth == true) & (predicted == guess)).sum()) for guess in names]
            for true in names
        ]
        shown = page.evaluate(
            """() => [...document.querySelectorAll('.confusion tbody tr')].map((row) =>
                 [...row.querySelectorAll('td')].map((cell) => Number(cell.textContent)))"""
        )
        assert shown == matrix
        assert np.trace(matrix) / np.sum(matrix) == record.accuracy
        rows = page.locator(".classes tbody tr")
        for at, name in enumerate(names):
            recall = matrix[at][at] / sum(matrix[at])
            assert rows.nth(at).locator("th").inner_text() == name
            assert rows.nth(at).locator(".count").inner_text() == str(labels.count(name))
            assert rows.nth(at).locator(".recall").inner_text() == f"{recall:.3f}"
        points = page.evaluate(
            """() => document.querySelector('#map .plot').data.map(
                 (trace) => (trace.customdata ?? []).map((pick) => pick.round))"""
        )
        earlier = [each.round for each in loop.records[:number] for _ in each.rows]
        assert points == [[], earlier, [number] * len(record.rows)]


def test_a_point_of_the_map_shows_its_image(page: Any, run: Run) -> None:
    scroll_to_map(page)
    x, y = point(page, 0, -1, "map")
    page.mouse.move(x, y)
    peek = page.locator(".peek")
    peek.wait_for()
    names = {run.loop.problem.ids[row]: row for row in run.loop.records[-1].rows.tolist()}
    name = peek.locator(".name").text_content()
    assert stored_image(peek.locator(".thumb")) == thumbnail(run.loop, names[name])
    page.mouse.click(x, y)
    page.locator('.card[data-key="0 4"]').wait_for()


def test_names_with_markup_and_right_to_left_letters_are_text(page: Any) -> None:
    for number in range(5):
        page.locator("#chosen-round").fill(str(number))
        page.locator("#pin").click()
    assert page.locator(".card").count() == 5
    assert page.evaluate("typeof fail") == "undefined"
    assert page.locator("main img, main b b, main bdi script").count() == 0
    assert page.locator(".classes tbody th").all_inner_texts() == sorted(CLASSES)
    titles = page.locator(".confusion thead span")
    assert titles.all_text_contents() == sorted(CLASSES)
    hebrew = sorted(CLASSES).index(CLASSES[2])
    assert titles.nth(hebrew).evaluate("each => getComputedStyle(each).direction") == "rtl"
    names = page.locator(".card .name").all_text_contents()
    assert {FILES[0][:12], FILES[2][:5]} <= {name[:12] for name in names} | {n[:5] for n in names}


def test_the_page_is_readable_without_script(browser: Any, run: Run) -> None:
    with opened(browser, run.url, java_script_enabled=False) as page:
        assert page.locator("#curve svg.static").is_visible()
        last = run.loop.records[-1]
        assert f"{last.accuracy:.3f}" in page.locator("#rounds ~ .scroll tbody").inner_text()
        assert page.locator("details[open] .picks .thumb").count() == 16
        first = page.locator(".picks .thumb").first
        assert stored_image(first) == thumbnail(run.loop, int(run.loop.records[0].rows[0]))
        assert page.inner_text("#round-state").startswith("Round 4: 36 labels, accuracy")
        diagonal = [int(text) for text in page.locator(".confusion .own").all_inner_texts()]
        assert sum(diagonal) / 30 == last.accuracy
        for part in ("#chosen-round", "#pin", "#curve .plot", ".scripted"):
            assert not page.locator(part).first.is_visible()


def test_the_chart_of_the_expected_accuracy_pins_too(page: Any) -> None:
    page.locator("#expected .plot").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert page.locator(".card").get_attribute("aria-label") == "Round 2, suggested images"


@pytest.fixture(scope="module")
def axe() -> str:
    """The text of axe-core, from a package that contains it."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("axe-core is not installed: `pip install axe-playwright-python`")
    return (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_violation_and_no_horizontal_scrolling(
    browser: Any, run: Run, axe: str, width: int, scheme: str
) -> None:
    with opened(browser, run.url, width, color_scheme=scheme) as page:
        pin(page, 1), pin(page, 2, 1)
        page.locator("details").nth(2).evaluate("each => { each.open = true }")
        page.evaluate(axe + ";undefined")
        found = page.evaluate("rules => axe.run(document, rules)", RULES)["violations"]
        assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_run_without_stored_predictions_says_so(browser: Any, run: Run, tmp_path: Path) -> None:
    loop = ep.ActiveLoop(
        run.loop.embeddings, head="logistic", initial_size=8, keep_predictions=False
    )
    list(loop.run(rounds=1, batch_size=7))
    url = ep.write_report(tmp_path / "run.html", ep.report_of([loop])).as_uri()
    with opened(browser, url) as page:
        assert page.locator(".lost").is_visible()
        assert set(page.locator(".confusion td:not(:empty)").all_inner_texts()) == {"–"}
        assert page.locator(".classes .count").last.inner_text() == "15"
        card = pin(page, 1)
        assert "before" not in card.inner_text()
        assert card.locator(".near .thumb").count() == 21


def test_a_run_without_any_measure_has_a_map_and_cards(browser: Any, tmp_path: Path) -> None:
    picks = tuple(ep.reports.Pick(f"{at}.jpg", 1.0, "hat", place=(at / 4, 0.5)) for at in range(4))
    entry = ep.reports.Round(0, 4, None, None, 0.1, 0.1, "coreset", picks)
    data = ep.reports.ReportData(
        "hats", (), (ep.reports.Curve("suggested images", (entry,)),),
        others=np.zeros((0, 2), np.float32),
    )  # fmt: skip
    with opened(browser, ep.write_report(tmp_path / "run.html", data).as_uri()) as page:
        page.locator("#pin").click()
        assert page.locator(".card li .name").all_inner_texts() == [pick.id for pick in picks]
        page.locator(".card .close").click()
        assert page.locator("#pin").evaluate("each => each === document.activeElement")


@pytest.mark.slow
def test_the_page_of_2000_photos_is_small_and_opens(browser: Any, tmp_path: Path) -> None:
    """Two curves with 20 rounds of 100 photos, as `run` writes with its baseline."""
    rng = np.random.default_rng(0)
    scene = np.zeros((1200, 1200, 3))
    for octave in range(2, 9):  # noise with a natural spectrum
        side = 2**octave
        coarse = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        scene += np.asarray(coarse.resize((1200, 1200), Image.Resampling.BICUBIC)) / 2**octave
    scene = (255 * (scene - scene.min()) / np.ptp(scene)).astype(np.uint8)
    picture = Image.fromarray(scene)
    from embedpipe.reports.loop_picks import LARGE, MAX_LARGE, SMALL

    def photo(number: int, size: int) -> bytes | None:
        left, top = rng.integers(0, 900, 2).tolist()
        buffer = BytesIO()
        picture.crop((left, top, left + 300, top + 300)).save(buffer, "JPEG", quality=90)
        return make_thumbnail(buffer.getvalue(), size, "WEBP")

    def curve(name: str, first: int, size: int, *, baseline: bool = False) -> ep.reports.Curve:
        names = [f"2024-05/IMG_{first + at}.jpg" for at in range(2000)]
        guess = ep.reports.Guess("t-shirt", 0.5)
        rounds = []
        for number in range(20):
            near = tuple(ep.reports.Neighbour(names[at], "hat", 0.1) for at in range(3))
            picks = tuple(
                ep.reports.Pick(
                    names[at], 0.5, "hat", photo(at, size), guess, guess, near if number else (),
                    (0.5, 0.5),
                )
                for at in range(100 * number, 100 * number + 100)
            )  # fmt: skip
            accuracy = 0.5 + 0.02 * number - 0.1 * baseline
            rounds.append(
                ep.reports.Round(
                    number, 100 * number + 100, accuracy, accuracy, 0.1, 0.1, name, picks
                )
            )
        return ep.reports.Curve(name, tuple(rounds), baseline)

    for second in (False, True):
        size = SMALL if second and MAX_LARGE < 4000 else LARGE
        curves = [curve("suggested images", 0, size)]
        if second:
            curves.append(curve("random images", 2000, size, baseline=True))
        path = ep.write_report(
            tmp_path / "run.html",
            ep.reports.ReportData(
                "photos", (), tuple(curves), others=np.zeros((3000, 2), np.float32)
            ),
        )
        assert path.stat().st_size < 10_000_000
        with opened(browser, path.as_uri()) as page:
            assert pin(page, 19).locator("li").count() == 100


def test_a_sheet_of_paper_has_all_columns(page: Any) -> None:
    assert too_wide_for_paper(page) == []
