"""The accuracy curve continues in the next session."""

from contextlib import ExitStack

import embedpipe as ep
from embedpipe.active.stopping import Evidence
from embedpipe.labelling import LabellingSession
from embedpipe.labelling.fit_history import Fit, FitHistory
from embedpipe.labels import LabelLog

KEY = {"dataset": "shop", "spec_id": "5f", "head": "logistic"}
FIRST = Fit(20, Evidence(20, 0.7, 19, None), (0.8, 0.6, 0.9))
SECOND = Fit(41, Evidence(40, None, 0, 0.875))


def test_only_fits_of_the_same_head_and_dataset_are_read(tmp_path):
    path = tmp_path / "fits.jsonl"
    one = FitHistory(path, KEY)
    one.add(FIRST)
    one.add(SECOND)
    one.add(Fit(41, Evidence(40, 0.5, 40, None)))  # the same labels again
    FitHistory(path, KEY | {"dataset": "other"}).add(SECOND)
    assert one.fits == FitHistory(path, KEY).fits == [FIRST, SECOND]
    assert one.evidence == [FIRST.evidence, SECOND.evidence]
    assert FitHistory(path, KEY | {"spec_id": "60"}).evidence == []


def test_damaged_and_foreign_lines_are_ignored(tmp_path):
    path = tmp_path / "fits.jsonl"
    FitHistory(path, KEY).add(FIRST)
    whole = path.read_text()
    odd = ['{"dataset": "shop"}', "[1]", "7", "\ufffd", whole.replace("0.7", "7"), '"']
    odd += [whole.replace("0.9]", "9]").strip(), whole.replace("0.9]", "null]").strip()]
    path.write_text(whole + "\n".join(odd) + "\n" + whole[:-30])
    assert FitHistory(path, KEY).fits == [FIRST]


def test_a_line_of_an_earlier_version_has_no_expected_accuracy(tmp_path):
    path = tmp_path / "fits.jsonl"
    FitHistory(path, KEY).add(FIRST)
    path.write_text(path.read_text().replace(', "expected": [0.8, 0.6, 0.9]', ""))
    assert FitHistory(path, KEY).fits == [Fit(20, FIRST.evidence)]


def test_a_folder_that_cannot_be_written_does_not_stop_labelling(tmp_path):
    fits = FitHistory(tmp_path / "not there" / "fits.jsonl", KEY)
    fits.add(FIRST)
    assert fits.fits == [FIRST]


def test_the_next_session_has_the_curve(tmp_path):
    digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp_path)

    with ExitStack() as opened:

        def session(**options):
            log = opened.enter_context(LabelLog(tmp_path / "labels.sqlite"))
            return LabellingSession(digits, log, who="ann", **options)

        one = session()
        for _ in range(3):
            for each in one.propose(20):
                one.label([each.row], digits.items[each.row].label)
            one.retrain()
        assert [point[0] for point in one.curve()] == [20, 40, 60]
        assert one.curve()[-1][1:] == one.model.expected.bounds
        other = session()
        assert other.curve() == one.curve()
        model = other.retrain()  # no new labels: the same fit
        assert other.curve() == one.curve()
        assert model.advice == one.model.advice
        assert model.advice["agreement"] is not None
        assert session(head="ridge").curve() == []


def test_the_curve_does_not_run_backwards_after_an_undo(tmp_path):
    digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp_path)
    with LabelLog(tmp_path / "labels.sqlite") as log:
        session = LabellingSession(digits, log, who="ann")
        for n in (30, 10, 10):
            for each in session.propose(n):
                session.label([each.row], digits.items[each.row].label)
            session.retrain()
        before = session.curve()
        assert [point[0] for point in before] == [30, 40, 50]
        for _ in range(12):
            session.undo()
        session.retrain()
        after = session.curve()
        assert [point[0] for point in after] == [30, 38]
        assert after[0] == before[0]
