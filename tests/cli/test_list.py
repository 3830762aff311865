"""The command `list`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.conftest import Outcome


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        ("datasets", {"digits", "clothing", "cifar10"}),
        ("backbones", {"efficientnet_lite0"}),
        ("strategies", {"random", "coreset", "margin", "coral"}),
        ("heads", {"logistic"}),
        ("policies", {"random", "el2n", "entropy", "margin"}),
        ("formats", {"csv", "cvat", "label-studio"}),
    ],
)
def test_list(call: Callable[..., Outcome], kind: str, some: set[str]) -> None:
    rows = call("list", kind, "--json").json()[kind]
    assert isinstance(rows, list)
    assert some <= {row["name"] for row in rows}
    assert all(row["description"].endswith(".") for row in rows)
    text = call("list", kind).out
    assert all(f"{row['name']} " in text for row in rows)
