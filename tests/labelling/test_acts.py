"""Acts and undos of a session: n acts and n undos give the empty state, for any acts."""

from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.errors import EmbedpipeError
from embedpipe.labelling import LabellingSession
from embedpipe.labels import LabelLog, State, rebuild_states

ITEMS = 6

rows = st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=ITEMS, unique=True)
names = st.sampled_from(["hat", "cap", "shoe"])
acts = st.one_of(
    st.tuples(st.just("label"), st.integers(0, ITEMS - 1).map(lambda row: [row]), names),
    st.tuples(st.just("label"), rows, names),
    st.tuples(st.just("label_each"), rows, st.lists(names, min_size=ITEMS, max_size=ITEMS)),
    st.tuples(st.just("accept"), rows, st.lists(names, min_size=ITEMS, max_size=ITEMS)),
    st.tuples(st.just("mark"), rows, st.sampled_from(["skip", "unsure", "clear"])),
    st.tuples(st.sampled_from(["add_class", "delete_class"]), names),
    st.tuples(st.sampled_from(["rename_class", "merge_class"]), names, names),
    st.tuples(st.just("withdraw_accepted")),
)


def embeddings():
    """Return as much of the embeddings of six photos as acts need."""
    return SimpleNamespace(
        dataset=SimpleNamespace(name="shop"),
        items=[SimpleNamespace(id=f"{row}.jpg", split=None) for row in range(ITEMS)],
        content_ids=[bytes([row]) * 32 for row in range(ITEMS)],
        spec=SimpleNamespace(id="toy"),
    )


def perform(session, act):
    """Perform an act; return whether it wrote events."""
    before = session.version
    match act:
        case ("label_each", rows, classes):
            session.label(rows, classes[: len(rows)])
        case ("accept", rows, classes):
            session.accept(rows, classes[: len(rows)], "model")
        case (name, *arguments):
            getattr(session, name)(*arguments)
    return session.version > before


def check(session, before):
    """Check that the session equals the log, and that no act changed a label to a suggestion."""
    state = rebuild_states(session.log.events()).get("shop", State())
    rebuilt = LabellingSession(embeddings(), session.log, who="ann")
    snapshot, other = session.snapshot(), rebuilt.snapshot()
    assert snapshot.classes == other.classes == tuple(state.classes)
    for name in ("codes", "accepted", "states"):
        assert getattr(snapshot, name).tolist() == getattr(other, name).tolist()
    assert session.current() == rebuilt.current()
    assert {session.ids[row]: now for row, now in session.current().items()} == state.current
    for row, path in enumerate(session.ids):
        now = state.current.get(path)
        kind = None if now is None else now.kind
        assert (snapshot.codes[row] >= 0) == (kind == "label")
        assert (snapshot.accepted[row] >= 0) == (kind == "accept")
        if before is not None and before.codes[row] >= 0:
            assert kind != "accept"
    return snapshot


@settings(max_examples=150, deadline=None)
@given(acts=st.lists(acts, max_size=14))
def test_each_act_has_one_undo(tmp_path_factory, acts):
    with LabelLog(tmp_path_factory.mktemp("log") / "labels.sqlite") as log:
        session = LabellingSession(embeddings(), log, who="ann")
        states = [rebuild_states(log.events()).get("shop", State())]
        snapshot = None
        for act in acts:
            try:
                wrote = perform(session, act)
            except EmbedpipeError:  # for example an unknown class: no event was appended
                wrote = False
            snapshot = check(session, snapshot)
            if wrote:
                states.append(rebuild_states(log.events())["shop"])
        again = LabellingSession(embeddings(), log, who="ann")  # after a restart
        for number, before in enumerate(reversed(states[:-1])):
            (session, again)[number % 2].undo()
            found = rebuild_states(log.events()).get("shop", State())
            assert (found.current, found.classes) == (before.current, before.classes)
            check(session, None)
        assert session.undo() == again.undo() == []
        assert (session.current(), session.classes()) == ({}, [])
