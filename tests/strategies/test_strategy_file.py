import pytest

from embedpipe import format_spec
from embedpipe.errors import UnknownNameError, UsageError
from embedpipe.strategies import get_strategy
from embedpipe.strategies.objectives import Balance, Diversity, MarginObjective, Metadata, Threshold


def refused(error, path):
    with pytest.raises(error) as caught:
        get_strategy(path)
    return str(caught.value)


def test_a_strategy_in_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("strategy: coral\noptions:\n  uncertainty: entropy\n")
    made = get_strategy(str(path), block_size=5)
    assert format_spec(made) == "coral(uncertainty=entropy, block_size=5)"
    path.write_text("strategy: coreset\n")
    assert format_spec(get_strategy(str(path))) == "coreset"


def test_a_combination_in_a_file(tmp_path):
    path = tmp_path / "mix.yml"
    path.write_text(
        """
strategy: combine
objectives:
  - margin
  - diversity(min_distance=0.1)^2
  - objective: balance
    strength: 0.5
    options: {hat: 0.3, 2: 0.25}
  - objective: metadata
    options: {column: sharpness}
  - threshold(sharpness > 10)
"""
    )
    assert get_strategy(str(path)).objectives == (
        MarginObjective(),
        Diversity(0.1, strength=2),
        Balance({"hat": 0.3, "2": 0.25}, strength=0.5),
        Metadata("sharpness"),
        Threshold("sharpness", ">", 10),
    )


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (
            "- margin\n",
            UsageError,
            "{path} has no strategy: write `strategy: NAME` and, if needed, `options:` with one "
            "`name: value` per line.",
        ),
        ("strategy: [", UsageError, "{path} is not valid YAML: while parsing a flow node"),
        (
            "strategy: coral\noption: {}\n",
            UnknownNameError,
            "unknown key in {path} 'option'. Did you mean 'options'? "
            "Known: objectives, options, strategy.",
        ),
        (
            "strategy: coral\noptions: entropy\n",
            UsageError,
            "`options` in {path} must have one `name: value` per line.",
        ),
        (
            "strategy: coral\nobjectives: [margin]\n",
            UnknownNameError,
            "unknown option of strategy 'coral' 'objectives'. Known: block_size, metric, "
            "uncertainty.",
        ),
        (
            "strategy: combine\nobjectives: [{strength: 2}]\n",
            UsageError,
            "{{'strength': 2}} is not an objective: give `objective: NAME` and, if needed, "
            "`strength: NUMBER` and `options:` with one `name: value` per line.",
        ),
        (
            "strategy: combine\nobjectives: [{objective: margin, power: 2}]\n",
            UnknownNameError,
            "unknown key of an objective 'power'. Known: objective, options, strength.",
        ),
        (
            "strategy: combine\nobjectives: [{objective: margin, strength: high}]\n",
            UsageError,
            "the strength of margin is 'high': give a number.",
        ),
        (
            "strategy: combine\nobjectives: [{objective: balance, options: {no: 0.5}}]\n",
            UsageError,
            "an option name of objective 'balance' is False: put the name in quotes.",
        ),
        (
            "strategy: combine\nobjectives: [{objective: diversity, options: {min_distance: x}}]\n",
            UsageError,
            "option 'min_distance' of objective 'diversity' is 'x': give a number or none.",
        ),
    ],
)
def test_a_wrong_file_is_refused(content, error, message, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(content)
    found = refused(error, str(path))
    assert found.startswith(message.format(path=repr(str(path))))


def test_a_missing_file_is_named():
    assert refused(UsageError, "nowhere.yaml").startswith(
        "no file 'nowhere.yaml': give the path of a YAML file, or the name of a strategy: "
    )
