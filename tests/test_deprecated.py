"""Old public names work with a deprecation warning."""

import importlib

import pytest

OLD = [
    ("embedpipe", "Labelling", "OracleOptions"),
    ("embedpipe", "PointPicks", "UniquePicks"),
    ("embedpipe", "head_spelling", "format_spec"),
    ("embedpipe.active", "Labelling", "OracleOptions"),
    ("embedpipe.continual", "Seen", "ExperienceBatch"),
    ("embedpipe.continual", "policy_spelling", "format_spec"),
    ("embedpipe.heads", "head_spelling", "format_spec"),
    ("embedpipe.index", "Balls", "RadiusNeighbors"),
    ("embedpipe.labels.exchange", "news", "new_events"),
    ("embedpipe.strategies", "PointPicks", "UniquePicks"),
    ("embedpipe.strategies.objectives", "Standing", "ObjectiveState"),
    ("embedpipe.strategies", "spelling_of", "format_spec"),
]


@pytest.mark.parametrize(("module", "old", "new"), OLD)
def test_an_old_name_returns_the_new_object(module, old, new):
    with pytest.warns(DeprecationWarning) as caught:
        found = getattr(importlib.import_module(module), old)
    assert found.__name__ == new
    assert str(caught[0].message) == f"`{old}` is now `{new}`."


def test_an_argument_cannot_have_its_old_and_its_new_name():
    from embedpipe._deprecated import old_parameters

    @old_parameters(size="batch_size")
    def select(batch_size=1):
        return batch_size

    with pytest.warns(DeprecationWarning, match="`size` is now `batch_size`."):
        assert select(size=3) == 3
    with pytest.raises(TypeError) as caught:
        select(size=3, batch_size=4)
    assert str(caught.value) == (
        "select() got `size` and `batch_size`, which are the same argument: give `batch_size` only."
    )


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="module 'embedpipe.index' has no attribute 'Bells'"):
        _ = importlib.import_module("embedpipe.index").Bells
