"""The contract of every registered strategy."""

import numpy as np
import pytest

from embedpipe.strategies import Selection, Strategy, strategies
from embedpipe.testing import ContractError, check_strategy, strategy_checks


@pytest.mark.parametrize("name", list(strategies))
@pytest.mark.parametrize("check", strategy_checks, ids=lambda check: check.__name__)
def test_contract(name, check):
    check(name)


class Forgetful(Strategy):
    """Ignores the given generator."""

    name, needs_labels = "forgetful", False
    rng = np.random.default_rng(0)

    def choose(self, pool, n, rng):
        rows = self.rng.permutation(pool.unlabelled)[:n]
        return Selection(rows, np.zeros(n, dtype=np.float32))


def test_a_strategy_that_breaks_the_contract_fails_it(monkeypatch):
    monkeypatch.setitem(strategies._entries, "forgetful", Forgetful)
    with pytest.raises(ContractError) as caught:
        check_strategy("forgetful")
    first, *failed = str(caught.value).splitlines()
    assert (
        first == f"strategy forgetful: {len(failed)} of {len(list(strategy_checks))} checks failed"
    )
    assert "- same_seed_gives_the_same_selection: AssertionError: the rows differ" in failed
    assert not any("selects_exactly_n" in line for line in failed)
