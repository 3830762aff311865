"""Training in the background: the head is fitted again while labelling goes on."""

from __future__ import annotations

import threading

from ..errors import EmbedpipeError
from ..labelling import LabellingSession, Snapshot

__all__ = ["BackgroundTraining"]

EVERY, EVERY_SHARE = 10, 0.01
"""New labels after which the head is fitted again: their number, or their share of all labels."""


class BackgroundTraining:
    """Fit a session's head on a thread of its own, one fit at a time.

    Asked during a fit, it fits once more afterwards, with all labels until then.
    """

    def __init__(self, session: LabellingSession) -> None:
        self._session = session
        self._changed = threading.Condition()
        self._asked, self._working, self._closed = False, False, False
        self._fitted = (-1, 0)  # version and labels of the last fit
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="embedpipe-training", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a head is being fitted, or is about to be."""
        return self._asked or self._working

    def ask(self) -> None:
        """Fit the head soon."""
        with self._changed:
            self._asked = True
            self._changed.notify_all()

    def consider(self, known: Snapshot) -> None:
        """Fit the head if enough was said by now since the last fit."""
        counts = known.counts().values()
        if self.busy or sum(count > 0 for count in counts) < 2:
            return
        before, had = self._fitted
        # The last labels are worth a fit, however few they are.
        enough = max(EVERY, EVERY_SHARE * had) if self._session.left() else 1
        if known.version > before and abs(sum(counts) - had) >= enough:
            self.ask()

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is to be fitted; return whether that came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.busy, timeout)

    def close(self) -> None:
        """Stop after what is being fitted."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked or self._closed)
                if self._closed:
                    return
                self._asked, self._working = False, True
            try:
                self._fit()
            finally:
                with self._changed:
                    self._working = False
                    self._changed.notify_all()

    def _fit(self) -> None:
        known = self._session.snapshot()
        try:
            if self._session.retrain() is None:  # one class: the second is worth a fit at once
                return
            self.problem = None
        except EmbedpipeError as error:
            self.problem = str(error)
        # What nobody foresaw must not end the thread in silence: the page shows it.
        except Exception as error:  # noqa: BLE001
            self.problem = f"unexpected {type(error).__name__}: {error}"
        self._fitted = (known.version, sum(known.counts().values()))
