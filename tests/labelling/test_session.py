"""A labelling session: labels, models and proposals, compared with the log and by hand."""

import threading
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

import embedpipe as ep
from embedpipe.errors import LabelError, SelectionError, UsageError
from embedpipe.labelling import LabellingSession
from embedpipe.labels import LabelLog


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    workspace = tmp_path_factory.mktemp("workspace")
    return ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=workspace)


@pytest.fixture
def start(digits, tmp_path):
    """Yield a function that starts a session on one log: another person, another tab."""

    with ExitStack() as opened:

        def session(who="ann", **options):
            log = opened.enter_context(LabelLog(tmp_path / "labels.sqlite"))
            return LabellingSession(digits, log, who=who, **options)

        yield session


def answer(session, proposals):
    for each in proposals:
        session.label([each.row], session.embeddings.items[each.row].label)


def test_labels_are_in_the_log_and_in_every_session(start, digits):
    one, other = start(), start("bob")
    last = one.label([3, 5], "hat", suggestions=["shoe", None], model="m1")
    one.mark([7], "skip")
    assert {row: (each.label, each.kind, each.by) for row, each in other.current().items()} == {
        3: ("hat", "label", "ann"),
        5: ("hat", "label", "ann"),
        7: (None, "skip", "ann"),
    }
    assert other.counts() == {"hat": 2}
    assert (one.version, other.version) == (last + 1, last + 1)
    events = list(one.log.events())
    assert [event.suggestion for event in events] == ["shoe", None, None]
    assert [event.model for event in events] == ["m1", "m1", None]
    assert events[0].at == events[1].at != events[2].at
    assert events[0].content_id == digits.content_ids[3]
    assert start("cy").current() == one.current()


def test_an_act_is_undone_as_a_whole_by_its_annotator_only(start):
    one, other = start(), start("bob")
    one.label([1], "hat")
    one.label([2, 3, 1], "shoe")
    other.label([3], "skirt")
    assert one.undo() == [2, 3, 1]
    assert {row: each.label for row, each in one.current().items()} == {1: "hat", 3: "skirt"}
    assert start().undo() == [1]  # in another tab, after a reload
    assert one.undo() == []
    assert one.classes() == ["skirt"]
    assert other.undo() == [3]
    assert one.current() == {}


def test_classes_are_added_renamed_and_merged(start):
    one, other = start(), start("bob")
    for name in ("boot", "shoe", "hat"):
        one.add_class(name)
    one.label([1], "boot")
    one.label([2], "shoe")
    one.rename_class("hat", "cap")
    one.merge_class("boot", "shoe")
    assert other.counts() == {"shoe": 2, "cap": 0}
    other.label([4], "cap")
    assert one.counts() == {"shoe": 2, "cap": 1}
    assert one.undo() == []  # of no items
    assert one.counts() == {"boot": 1, "shoe": 1, "cap": 1}


def test_a_class_for_each_row_is_one_act(start):
    session = start()
    session.label([3, 5], ["hat", "shoe"], suggestions=["hat", None], model="m1")
    assert {row: each.label for row, each in session.current().items()} == {3: "hat", 5: "shoe"}
    with pytest.raises(LabelError, match="^row 9999 does not exist"):
        session.label([1, 9999], ["hat", "shoe"])
    with pytest.raises(
        UsageError, match="^`label` must have one class for each of the 2 rows; got 1.$"
    ):
        session.label([1, 2], ["hat"])
    assert len(session.current()) == 2
    assert session.undo() == [3, 5]
    assert session.current() == {}


def test_accepted_suggestions_are_no_labels(start, digits):
    session = start()
    answer(session, session.propose(30))
    model = session.retrain()
    labelled, counts = session.labelled(), session.counts()
    before = session.current()
    free = [row for row in session.candidates.tolist() if row not in before][:400]
    mine = int(labelled.rows[0])
    names = [model.classes[model.codes[row]] for row in (*free, mine)]
    assert session.accept([*free, mine], names, model.name) == free  # a label stays
    assert len(session.current()) == 430
    assert (session.counts(), session.labels().keys()) == (
        counts, {session.ids[row] for row in labelled.rows}
    )  # fmt: skip
    snapshot = session.snapshot()
    assert snapshot.accepted_counts() == {name: names[:-1].count(name) for name in counts}
    assert snapshot.declined().tolist() == sorted(free)
    assert session.retrain() is model  # no new label
    assert {each.row for each in session.label_doubts(500).proposals} <= {*labelled.rows.tolist()}
    assert not {each.row for each in session.propose(2000)} & {*free}
    assert session.left() == len(session.candidates) - 430
    row = free[0]
    session.label([row], "mine")  # a person's label replaces a suggestion
    assert session.snapshot().label(row) == "mine"
    assert session.accept([row], ["0"], model.name) == []
    session.undo()
    assert session.current_of(row).kind == "accept"
    assert session.withdraw_accepted() == sorted(free)
    assert session.current_of(row).kind == "clear"
    assert session.undo() == sorted(free)
    assert session.undo() == free
    assert session.current() == before
    assert session.withdraw_accepted() == []


def test_a_class_is_deleted_with_its_labels_and_comes_back(start):
    one, other = start(), start("bob")
    one.label([1, 2], ["boot", "shoe"])
    other.label([3], "boot")
    other.accept([4], ["boot"], "m")
    one.delete_class("boot")
    assert {row: each.kind for row, each in other.current().items()} == {
        1: "clear", 2: "label", 3: "clear", 4: "clear"
    }  # fmt: skip
    assert other.counts() == {"shoe": 1}
    assert one.undo() == []  # of no items
    assert (one.counts(), one.snapshot().accepted_counts()) == (
        {"boot": 2, "shoe": 1}, {"boot": 1, "shoe": 0}
    )  # fmt: skip


def test_a_moved_file_keeps_its_label_and_an_edited_one_loses_it(digits, tmp_path, start):
    session = start()
    row, path = 3, session.ids[3]
    event = ep.labels.Event  # an event of another program, with the previous path of the file
    log = session.log
    log.append(
        [
            event("label", "digits", "old/place.png", digits.content_ids[row], "hat"),
            event("label", "digits", session.ids[4], b"x" * 32, "hat"),
            event("label", "elsewhere", path, digits.content_ids[row], "shoe"),
        ]
    )
    assert {row: each.label for row, each in session.current().items()} == {3: "hat"}


def test_a_linked_dataset_has_the_labels_and_the_curve_of_the_other_name(digits, start, tmp_path):
    former = start()
    answer(former, former.propose(30))
    former.retrain()
    name = digits.dataset.name
    moved = replace(digits, dataset=replace(digits.dataset, name="new-place"))
    with LabelLog(tmp_path / "labels.sqlite") as log:
        log.link("new-place", name)
        session = LabellingSession(moved, log, who="ann")
        assert session.dataset == name
        assert session.current() == former.current()
        assert session.curve() == former.curve() != []
        session.label([0], "hat")
        assert former.current_of(0).label == "hat"
        assert session.undo()
        assert session.current() == former.current()


def test_the_model_is_fitted_to_new_labels(start):
    session = start()
    assert session.retrain() is None
    assert session.model is None
    batch = session.propose(30)
    assert all(each.label is None and each.confidence is None for each in batch)
    groups = [each.group for each in batch]
    assert groups == sorted(groups, key=groups.index)
    assert len(set(groups)) == 5
    answer(session, batch)
    first = session.retrain()
    assert session.retrain() is first  # no new labels
    assert (first.labelled, first.name, len(first.codes)) == (30, "auto-30", 1797)
    probabilities = first.head.predict_proba(session.embeddings.matrix)
    assert (first.codes == probabilities.argmax(axis=1)).all()
    np.testing.assert_allclose(first.confidence, probabilities.max(axis=1), rtol=1e-6)
    assert first.advice["advice"] == "unknown"
    batch = session.propose(20)
    assert all(each.group == each.label for each in batch)
    for each in batch:
        assert each.label == first.classes[first.codes[each.row]]
    answer(session, batch)
    second = session.retrain()
    agreed = np.mean(np.array(first.classes)[first.codes] == np.array(second.classes)[second.codes])
    assert second.advice["agreement"] == pytest.approx(agreed)
    low, high = second.interval
    assert low < second.accuracy < high
    assert [each[0] for each in session.curve()] == [30, 50]
    assert [event.round for event in session.log.events()] == [0] * 30 + [1] * 20
    assert start().round == 1


def test_the_same_labels_give_the_same_proposals(start):
    one = start()
    answer(one, one.propose(30))
    one.retrain()
    other = start("bob")
    other.retrain()
    assert one.propose(25) == other.propose(25)


def test_labelled_declined_and_test_items_are_not_proposed(start):
    session = start()
    first = [each.row for each in session.propose(40)]
    session.label(first[:10], "hat")
    session.mark(first[10:20], "skip")
    session.mark(first[20:30], "unsure")
    session.mark(first[:2], "clear")
    batch = {each.row for each in session.propose(10_000)}
    assert not batch & set(first[2:30])
    assert set(first[:2]) <= batch
    splits = {session.embeddings.items[row].split for row in batch}
    assert "test" not in splits
    session.mark(sorted(batch), "skip")
    assert session.propose(5) == []


def test_doubtful_labels_are_mostly_wrong(start, digits):
    session = start()
    rows = list(range(0, 600, 2))
    for row in rows:
        session.label([row], digits.items[row].label)
    wrong = rows[10:310:20]
    for row in wrong:
        session.label([row], str((int(digits.items[row].label) + 3) % 10))
    doubted = session.doubted(15)
    assert len({each.row for each in doubted} & set(wrong)) >= 8  # by chance, less than one
    assert all(each.group != each.label for each in doubted)
    current = session.current()
    assert all(current[each.row].label == each.group for each in doubted)


def test_similar_items_are_the_nearest_by_angle(start, digits):
    session = start()
    unit = digits.matrix / np.linalg.norm(digits.matrix, axis=1, keepdims=True)
    order = np.argsort(-(unit @ unit[17]), kind="stable")
    assert session.similar(17, 12) == [row for row in order.tolist() if row != 17][:12]


def test_labelling_goes_on_while_a_head_is_fitted(start, monkeypatch):
    session = start()
    answer(session, session.propose(30))
    fitting, go_on = threading.Event(), threading.Event()
    fit = session._learner._trainer.fit

    def slow_fit(head, batch):
        fitting.set()
        assert go_on.wait(60)
        return fit(head, batch)

    monkeypatch.setattr(session._learner._trainer, "fit", slow_fit)
    worker = threading.Thread(target=session.retrain)
    worker.start()
    assert fitting.wait(60)
    session.label([900], "new")
    assert session.counts()["new"] == 1
    go_on.set()
    worker.join()
    assert (session.model.labelled, "new" in session.model.classes) == (30, False)


def test_messages_of_errors(start):
    session = start()
    with pytest.raises(LabelError, match="^row 1797 does not exist; the rows are 0 to 1796.$"):
        session.label([0, 1797], "hat")
    with pytest.raises(LabelError, match="^row -1 does not exist; the rows are 0 to 1796.$"):
        session.similar(-1, 3)
    assert session.current() == {}
    with pytest.raises(LabelError, match="^'digits' has no item 'nothing.jpg' with an embedding.$"):
        session.row_of("nothing.jpg")
    with pytest.raises(UsageError, match="^unknown mark 'hat'; expected skip, unsure, clear.$"):
        session.mark([0], "hat")
    with pytest.raises(UsageError, match="Choose one that needs none.$"):
        start(initial="margin")
    with pytest.raises(LabelError, match="begins or ends with a space"):
        session.label([0], " hat")


def test_proposals_represent_the_target(start, digits):
    target = digits.matrix[digits.rows("test")[:50]]
    session = start(target=target)
    batch = session.propose(20)
    chosen = ep.select(digits, 20, "auto", target=target)
    assert {each.row for each in batch} == set(chosen.rows.tolist())
    answer(session, batch)
    model = session.retrain()
    rows, labels = session.labelled().rows, session.labelled().labels
    later = ep.select(digits, 5, "auto", labelled=rows, labels=labels, target=target)
    assert {each.row for each in session.propose(5, model)} == set(later.rows.tolist())
    by_split = start(target="test")
    assert (by_split.target.name, len(by_split.target)) == ("test", 397)
    assert by_split.for_embeddings(digits).target == by_split.target
    with pytest.raises(SelectionError, match="^strategy 'margin' does not use a target: use one"):
        start(strategy="margin", target=target)
