"""The accuracy curve continues in the next session."""

from contextlib import ExitStack

import embedpipe as ep
from embedpipe.active.stopping import Evidence
from embedpipe.labelling import LabellingSession
from embedpipe.labelling.fit_history import FitHistory
from embedpipe.labels import LabelLog

KEY = {"dataset": "shop", "spec_id": "5f", "head": "logistic"}
FIRST, SECOND = Evidence(20, 0.7, 19, None), Evidence(40, None, 0, 0.875)


def test_only_fits_of_the_same_head_and_dataset_are_read(tmp_path):
    path = tmp_path / "fits.jsonl"
    one = FitHistory(path, KEY)
    one.add(20, FIRST)
    one.add(41, SECOND)
    one.add(41, Evidence(40, 0.5, 40, None))  # the same labels again
    FitHistory(path, KEY | {"dataset": "other"}).add(50, SECOND)
    assert one.evidence == FitHistory(path, KEY).evidence == [FIRST, SECOND]
    assert FitHistory(path, KEY | {"spec_id": "60"}).evidence == []


def test_damaged_and_foreign_lines_are_ignored(tmp_path):
    path = tmp_path / "fits.jsonl"
    FitHistory(path, KEY).add(20, FIRST)
    whole = path.read_text()
    odd = ['{"dataset": "shop"}', "[1]", "7", "\ufffd", whole.replace("0.7", "7"), '"']
    path.write_text(whole + "\n".join(odd) + "\n" + whole[:-30])
    assert FitHistory(path, KEY).evidence == [FIRST]


def test_a_folder_that_cannot_be_written_does_not_stop_labelling(tmp_path):
    fits = FitHistory(tmp_path / "not there" / "fits.jsonl", KEY)
    fits.add(20, FIRST)
    assert fits.evidence == [FIRST]


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
        other = session()
        assert other.curve() == one.curve()
        model = other.retrain()  # no new labels: the same fit
        assert other.curve() == one.curve()
        assert model.advice == one.model.advice
        assert model.advice["agreement"] is not None
        assert session(head="ridge").curve() == []
