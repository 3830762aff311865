"""Results in notebooks: static HTML with the numbers of the result; all names are text."""

from __future__ import annotations

import re
from base64 import b64encode
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import embedpipe as ep
from embedpipe._html import result_html
from embedpipe.checks import check
from embedpipe.continual import Stream
from embedpipe.errors import UsageError
from embedpipe.reports import make_thumbnail

HOSTILE = '<script>"x"</script> שלום'


class Parsed(HTMLParser):
    """The texts of a representation: the title and facts, and the rows of its tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.rest = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        assert tag in {"div", "strong", "bdi", "table", "thead", "tbody", "tr", "th", "td", "img",
                       "figure", "figcaption"}  # fmt: skip
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "table" in self.open:
            self.rows[-1][-1] += data
        else:
            self.rest += data


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ep.Embeddings:
    workspace = tmp_path_factory.mktemp("digits")
    return ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=workspace)


def test_texts_are_escaped_and_long_tables_are_cut() -> None:
    rows = [(HOSTILE, number, number / 7, None) for number in range(30)]
    html = result_html(HOSTILE, [(HOSTILE, HOSTILE), ("left out", None)], "abcd", rows, n_rows=1030)
    assert "<script" not in html and "style=" in html
    parsed = Parsed(html)
    assert parsed.rest.startswith(f"{HOSTILE}{HOSTILE}: {HOSTILE}")
    assert parsed.rest.endswith("… 1,010 more rows")
    assert parsed.rows[:3:2] == [[*"abcd"], [HOSTILE, "1", "0.143", "–"]]
    assert len(parsed.rows) == 21


def test_a_selection(digits: ep.Embeddings) -> None:
    picks = ep.select(digits, n=25, strategy="coreset")
    parsed = Parsed(picks._repr_html_())
    assert parsed.rows[0] == ["rank", "row", "score", "radius"]
    radius = picks.diagnostics["radius"]
    assert isinstance(radius, np.ndarray)
    assert parsed.rows[3] == [
        "3", f"{picks.rows[2]:,}", f"{picks.scores[2]:.3f}", f"{radius[2]:.3f}",
    ]  # fmt: skip
    assert parsed.rest.endswith("… 5 more rows")


def test_a_loop_and_its_rounds(digits: ep.Embeddings) -> None:
    loop = ep.ActiveLoop(
        digits, strategy="margin", initial="random", initial_size=30, batch_size=10
    )
    assert Parsed(loop._repr_html_()).rows == []
    for _ in loop.run(rounds=2, batch_size=10):
        pass
    parsed = Parsed(loop._repr_html_())
    assert "random, then margin" in parsed.rest
    assert [row[:4] for row in parsed.rows[1:]] == [
        [str(each.round), str(each.labelled), f"{each.accuracy:.3f}", f"{each.macro_f1:.3f}"]
        for each in loop.records
    ]
    record = loop.records[1]
    picks = Parsed(record._repr_html_()).rows
    assert picks[1] == ["1", f"{record.rows[0]:,}", record.labels[0], f"{record.scores[0]:.3f}"]
    assert len(picks) == 11


def test_a_dataset_and_its_embeddings(digits: ep.Embeddings) -> None:
    for shown in (digits._repr_html_(), digits.dataset._repr_html_()):
        rows = Parsed(shown).rows
        assert rows[0] == ["class", "images", "train", "test"]
        labels = [(item.label, item.split) for item in digits.items]
        assert rows[1] == [
            "0",
            str(sum(label == "0" for label, _ in labels)),
            *(str(labels.count(("0", split))) for split in ("train", "test")),
        ]
    assert "vectors: 1,797 · dimensions: 48" in Parsed(digits._repr_html_()).rest


def test_checks_and_predictions(digits: ep.Embeddings, tmp_path: Path) -> None:
    found = check(digits, pixels=False)
    rows = {row[0]: row[1] for row in Parsed(found._repr_html_()).rows}
    assert rows["unusual images"] == str(len(found.outliers.rows))
    assert rows["labels that are likely wrong"] == str(len(found.label_errors.rows))
    labels = {item.id: str(item.label) for item in digits.items[:200]}
    ep.train(digits, labels, head="nearest_mean", output=tmp_path / "model.safetensors")
    predicted = ep.predict(digits, tmp_path / "model.safetensors")
    first = Parsed(predicted._repr_html_()).rows[1]
    assert first == [predicted.ids[0], predicted.labels[0], f"{predicted.confidences[0]:.3f}"]


def test_studies(digits: ep.Embeddings, tmp_path: Path) -> None:
    results = ep.Experiment(
        digits, strategies=["margin"], initials=["random"], heads=["nearest_mean"],
        seeds=2, rounds=1, initial_size=10, batch_size=10, workspace=tmp_path,
    ).run(workers=0)  # fmt: skip
    rows = Parsed(results._repr_html_()).rows
    last = results.to_pandas().query("strategy == 'margin' and round == 1").accuracy.mean()
    margin = next(row for row in rows if row[1] == "random, then margin")
    assert margin[2:] == ["2", "10 to 20", f"{last:.3f}"]
    summary = results.summary()
    (table, *_) = summary.tables()
    assert Parsed(summary._repr_html_()).rows[1][0] == table.rows[0][0]


def test_streams(digits: ep.Embeddings, tmp_path: Path) -> None:
    stream = Stream.of(digits, "order", n=3)
    rows = Parsed(stream._repr_html_()).rows
    assert rows[1][:4] == [
        "0", "0", str(stream.experiences[0].train.size), str(stream.experiences[0].test.size),
    ]  # fmt: skip
    loop = ep.ContinualLoop(stream, head="nearest_mean", policy="random", retain=0.05).fit()
    parsed = Parsed(loop._repr_html_())
    assert parsed.rows[2][1:4] == [f"{value:.3f}" for value in loop.matrix[1]]
    assert f"gem_accuracy: {loop.metrics['gem_accuracy']:.3f}" in parsed.rest
    study = ep.ReplayStudy(
        stream, policies=["random"], retains=[0.05], heads=["logistic"], seeds=2,
        workspace=tmp_path,
    ).run(workers=0)  # fmt: skip
    rows = Parsed(study._repr_html_()).rows
    final = study.metrics.to_pandas().query("policy == 'random'").gem_accuracy.mean()
    assert next(row for row in rows if row[1] == "random, 5 %")[3] == f"{final:.3f}"
    text = unescape(re.sub(r"<[^>]*>", "", study.summary()._repr_html_()))
    assert "random, 5 %" in text


def test_images_of_picks(digits: ep.Embeddings) -> None:
    picks = ep.select(digits, n=3, strategy="random")
    grid = ep.show_images(digits, picks)
    items = [digits.items[row] for row in picks.rows]
    assert grid.names == tuple(item.id for item in items)
    assert grid.captions == tuple(item.label for item in items)
    html = grid._repr_html_()
    Parsed(html)
    for content in (digits.dataset.source.read_one(item.id) for item in items):
        thumbnail = make_thumbnail(content)
        assert thumbnail is not None
        assert b64encode(thumbnail).decode() in html
    named = ep.show_images(digits.dataset, picks.rows[:1], captions=[HOSTILE])._repr_html_()
    assert "<script" not in named
    assert HOSTILE in unescape(named)
    everything = ep.show_images(digits)
    assert (len(everything.names), everything.n_images) == (100, 1797)
    assert "… 1,697 more images" in everything._repr_html_()


def test_images_that_cannot_be_shown(digits: ep.Embeddings) -> None:
    with pytest.raises(UsageError, match="there is no row 1797: the dataset has 1,797 images."):
        ep.show_images(digits, [1797])
    with pytest.raises(UsageError, match="there are 1 captions for 2 rows: give one for each row."):
        ep.show_images(digits, [0, 1], captions=["a"])
    with pytest.raises(UsageError, match="a ndarray has no images: give a dataset, embeddings"):
        ep.show_images(np.zeros((2, 2)))
