"""Pages in a browser: no request, no error, no horizontal scrolling, light and dark."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from embedpipe.reports import (
    Curve,
    Pick,
    ReportData,
    Represented,
    Round,
    SelectionData,
    make_thumbnail,
    write_report,
    write_selection,
)
from tests.conftest import quiet_page


def report(path):
    rng = np.random.default_rng(0)

    def pick(number):
        buffer = BytesIO()
        pixels = rng.integers(0, 256, (8 if number % 2 else 60,) * 2, dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, "PNG")
        name = f"<script>fail()</script>/{'long' * 30}/{number}.png"
        return Pick(name, 0.5, "t-shirt", make_thumbnail(buffer.getvalue()))

    def curve(name, baseline):
        rounds = tuple(
            Round(
                r,
                40 * r + 40,
                0.6 + 0.03 * r,
                0.5 + 0.04 * r,
                0.1,
                0.2,
                name,
                tuple(pick(i) for i in range(12)),
            )
            for r in range(6)
        )
        return Curve(name, rounds, baseline)

    facts = tuple((f"fact {i}", "a value of some length") for i in range(7))
    curves = (curve("margin <b>&amp;", False), curve("random", True))
    return write_report(
        path, ReportData("x" * 200, facts, curves, "embedpipe " + "y" * 300, 0.9, details=facts)
    )


def picks(path):
    buffer = BytesIO()
    Image.fromarray(np.full((60, 60), 99, dtype=np.uint8)).save(buffer, "PNG")
    thumbnail = make_thumbnail(buffer.getvalue())
    shown = tuple(Pick(f"{'long' * 30}/<b>{i}.png", 0.5, None, thumbnail) for i in range(9))
    groups = tuple(Represented(1000 * i, shown[:i]) for i in range(9))
    facts = (("a fact", "its value"),)
    data = SelectionData(
        "x" * 200, "coreset", facts, shown, groups, facts, "embedpipe " + "y" * 300
    )
    return write_selection(path, data)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    return report(tmp_path_factory.mktemp("report") / "report.html").as_uri()


def test_the_page_of_picks_fits_every_screen_without_requests(browser, tmp_path):
    url = picks(tmp_path / "picks.html").as_uri()
    for width in (1280, 390):
        with quiet_page(browser, url, width) as page:
            notes = page.locator(".groups .note").all_inner_texts()
            assert notes[0].startswith("represents only itself")
            assert notes[2].startswith("represents 2,000 more images")
            assert page.locator(".groups > li").nth(3).locator("li img").count() == 3


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def page(request, browser, url):
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.requests, page.problems = [], []
    page.on("request", lambda made: page.requests.append(made.url))
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(url)
    page.wait_for_selector("html.charts-ready")
    page.scheme = scheme
    yield page
    context.close()


CONTRASTS = """() => {
  const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const luminance = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(part => linear(Number(part) / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const page = luminance(getComputedStyle(document.body).backgroundColor);
  return ['h1', '.comparison', 'dt', 'td', 'thead .group.s0', 'thead .group.s1', '.note', '.label',
          'figcaption', '.plot .xtick text', '.plot .annotation-text'].map(selector => {
    const style = getComputedStyle(document.querySelector(selector));
    const ink = luminance(selector.match(/tick|annotation/) ? style.fill : style.color);
    return [selector, (Math.max(ink, page) + .05) / (Math.min(ink, page) + .05)];
  });
}"""


def test_no_request_and_no_error(page, url):
    assert [made for made in page.requests if not made.startswith("data:")] == [url]
    assert page.problems == []


def test_nothing_is_wider_than_the_screen(page):
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_every_thumbnail_is_shown(page):
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    widths = page.evaluate("""() => Promise.all(
      [...document.querySelectorAll('.picks .thumb')].map(async (thumb) => {
        const image = new Image();
        image.src = getComputedStyle(thumb).backgroundImage.slice(5, -2);
        await image.decode();
        return [image.naturalWidth, thumb.clientWidth];
      }))""")
    assert len(widths) == 144
    assert {natural for natural, _ in widths} == {8, 60}
    assert min(shown for _, shown in widths) >= 56


def test_text_has_enough_contrast(page):
    contrasts = dict(page.evaluate(CONTRASTS))
    assert {selector: ratio for selector, ratio in contrasts.items() if ratio < 4.5} == {}


def test_the_page_follows_the_colour_scheme(page):
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    bright = sum(int(part) for part in colour[4:-1].split(",")) / 3 > 128
    assert bright == (page.scheme == "light")


def test_the_arrow_keys_tell_the_text_of_a_point(page):
    page.locator(".plot").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    spoken = page.locator(".spoken").first.text_content()
    assert spoken.startswith("margin <b>&amp;: 0.630 with 80 labels")


def test_rounds_open_by_keyboard(page):
    second = page.locator("details").nth(2)
    assert second.get_attribute("open") is None
    second.locator("summary").focus()
    page.keyboard.press("Enter")
    assert second.get_attribute("open") is not None


def test_figures_fit_their_frame(page):
    outside = page.evaluate("""() => [...document.querySelectorAll('svg.panel')].flatMap(svg => {
      const frame = svg.getBoundingClientRect();
      return [...svg.querySelectorAll('text, circle')].filter(part => {
        const box = part.getBoundingClientRect();
        return box.left < frame.left - 1 || box.right > frame.right + 1
            || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
      }).map(part => part.textContent);
    })""")
    assert outside == []
