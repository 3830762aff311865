"""A session that begins with the names of classes."""

from __future__ import annotations

from pathlib import Path

import embedpipe as ep
from embedpipe.labelling import LabellingSession
from tests.colour_words import ColourWords
from tests.server.conftest import make_photos
from tests.server.tabs import kind_of


def test_suggestions_from_names_until_two_classes_have_labels(tmp_path: Path) -> None:
    folder, place = make_photos(tmp_path / "photos", 24), tmp_path / "workspace"
    embeddings = ep.embed(str(folder), backbone=ColourWords(), workspace=place)
    prior = ep.zero_shot_prior(embeddings, ["red", "green", "blue"], workspace=place)
    with ep.LabelLog(place / "labels.sqlite") as log:
        session = LabellingSession(embeddings, log, prior=prior, who="ann")
        model = session.model
        assert model is not None
        assert (model.name, model.labelled, model.accuracy) == ("zero-shot", 0, None)
        batch = session.propose(12)
        assert [each.group for each in batch] == [kind_of(each.path) for each in batch]
        assert [each.label for each in batch] == [each.group for each in batch]
        reds = [row for row, path in enumerate(session.ids) if kind_of(path) == "red"]
        session.label(reds[:3], "red")
        assert session.retrain() is model  # one class: still the names only
        greens = [row for row, path in enumerate(session.ids) if kind_of(path) == "green"]
        session.label(greens[:3], "green")
        fitted = session.retrain()
        assert fitted is not None
        assert fitted.labelled == 6
        assert "; the names of the classes help" in fitted.head.choice_
        predicted = [fitted.classes[code] for code in fitted.codes]
        assert predicted == [kind_of(path) for path in session.ids]  # also the class without labels
        session.undo()
        again = session.retrain()
        assert again is not None
        assert again.name == "zero-shot"
        other = session.for_embeddings(embeddings)
        assert other.model is not None
        assert other.model.name == "zero-shot"


def test_names_follow_the_classes(tmp_path: Path) -> None:
    folder, place = make_photos(tmp_path / "photos", 24), tmp_path / "workspace"
    embeddings = ep.embed(str(folder), backbone=ColourWords(), workspace=place)
    prior = ep.zero_shot_prior(embeddings, ["red", "green", "blue"], workspace=place)
    with ep.LabelLog(place / "labels.sqlite") as log:
        session = LabellingSession(embeddings, log, prior=prior, who="ann")
        for name in ("red", "green", "blue"):
            session.add_class(name)

        def suggested() -> list[str]:
            model = session.retrain()
            assert model is not None
            return [model.classes[code] for code in model.codes]

        kinds = [kind_of(path) for path in session.ids]
        session.rename_class("blue", "sea")
        expected = [{"blue": "sea"}.get(kind, kind) for kind in kinds]
        assert suggested() == expected
        version = session.model.version if session.model is not None else 0
        assert version == session.version  # the page loads the suggestions again
        for name in ("red", "green"):
            session.label([row for row, kind in enumerate(kinds) if kind == name][:3], name)
        assert suggested() == expected
        session.rename_class("sea", "water")  # no label changes
        assert suggested() == [{"blue": "water"}.get(kind, kind) for kind in kinds]
        session.undo()
        assert suggested() == expected
        assert session.for_embeddings(embeddings).prior is not None
        session.delete_class("sea")
        assert set(suggested()) == {"red", "green"}
        session.merge_class("green", "red")
        assert session.retrain() is None
        assert session.prior is None
