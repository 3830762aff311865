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


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="module 'embedpipe.index' has no attribute 'Bells'"):
        _ = importlib.import_module("embedpipe.index").Bells
