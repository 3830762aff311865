"""Work on background threads of the server: training of the model, and checks of the images."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..checks import CheckResult, check
from ..errors import RunError
from ..labelling import LabellingSession, Snapshot
from .json_messages import Progress, problem_of

__all__ = ["BackgroundChecks", "BackgroundTraining", "ClosedError"]

EVERY, EVERY_SHARE = 10, 0.01
"""Minimum number of new labels before the next training, and their minimum share of all labels."""


class ClosedError(Exception):
    """Ends work in the background when the server is closed."""


class BackgroundTraining:
    """Train a session's model on its own thread, one training at a time.

    A request during a training starts another training afterwards, with all labels stored by then.
    `after` is called on the same thread after each training, also if no model could be trained.
    """

    def __init__(self, session: LabellingSession, after: Callable[[], None] = lambda: None) -> None:
        self._session, self._after = session, after
        self._changed = threading.Condition()
        self._requested, self._working, self._closed = False, False, False
        self._trained = (-1, 0)  # version and number of labels of the last training
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="embedpipe-training", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a training runs or is requested."""
        return self._requested or self._working

    def request(self) -> None:
        """Train the model soon."""
        with self._changed:
            self._requested = True
            self._changed.notify_all()

    def request_if_due(self, snapshot: Snapshot) -> None:
        """Train the model if no training runs and there are enough new labels."""
        if not self.busy and self.is_due(snapshot):
            self.request()

    def is_due(self, snapshot: Snapshot) -> bool:
        """Return whether there are enough labels since the last training that has ended."""
        counts = snapshot.counts().values()
        if sum(count > 0 for count in counts) < 2:
            return False
        version, labels = self._trained
        # After the last item is labelled, one new label is enough.
        enough = max(EVERY, EVERY_SHARE * labels) if self._session.left() else 1
        return snapshot.version > version and abs(sum(counts) - labels) >= enough

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for all requested trainings; return whether they ended."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.busy, timeout)

    def close(self) -> None:
        """Stop after the current training."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._requested or self._closed)
                if self._closed:
                    return
                self._requested, self._working = False, True
            try:
                self._train()
                self._after()
            finally:
                with self._changed:
                    self._working = False
                    self._changed.notify_all()

    def _train(self) -> None:
        snapshot = self._session.snapshot()
        try:
            if self._session.retrain() is None:  # one class: no model was trained
                return
            self.problem = None
        # The page shows the error, which must not end the thread.
        except Exception as error:  # noqa: BLE001
            self.problem = problem_of(error)
        self._trained = (snapshot.version, sum(snapshot.counts().values()))


class BackgroundChecks:
    """Check a dataset's images on a thread, once in a run of the server, without the labels."""

    def __init__(self, session: LabellingSession) -> None:
        self._embeddings = session.embeddings
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._result: CheckResult | str | None = None  # a text is the reason of a failure
        self._progress = Progress("starting", 0.0)
        self._closed = False

    def result(self) -> CheckResult | Progress:
        """Return the result, or the progress; the first call starts the checks.

        After a failure, one call raises `RunError`, and the next call starts the checks again.
        """
        with self._lock:
            result = self._result
            if isinstance(result, str):
                self._thread = self._result = None
                raise RunError(result)
            if result is not None:
                return result
            if self._thread is None:
                self._progress = Progress("starting", 0.0)
                self._thread = threading.Thread(
                    target=self._run, name="embedpipe-checks", daemon=True
                )
                self._thread.start()
            return self._progress

    @property
    def finished(self) -> CheckResult | None:
        """The result, or None before the checks are finished. This does not start the checks."""
        result = self._result
        return result if isinstance(result, CheckResult) else None

    def close(self) -> None:
        """Stop the checks at their next report of progress."""
        self._closed = True

    def _run(self) -> None:
        result: CheckResult | str
        try:
            result = check(self._embeddings, labels={}, progress=self._update)
        except ClosedError:
            return
        # The page shows the error, which must not end the thread without a result.
        except Exception as error:  # noqa: BLE001
            result = problem_of(error)
        with self._lock:
            self._result = result

    def _update(self, step: str, done: int, total: int) -> None:
        if self._closed:
            raise ClosedError
        self._progress = Progress(step, round(done / max(1, total), 3))
