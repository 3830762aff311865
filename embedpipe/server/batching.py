"""Batches of concurrent requests for one model."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool

from ..models import Model

__all__ = ["Batcher"]


class Batcher:
    """Predict the images that wait, together in one batch, one batch at a time.

    An image never waits for others: while the model is idle, a batch has what is there.
    """

    def __init__(self, model: Model, batch_size: int) -> None:
        self._model, self._batch_size = model, batch_size
        self._waiting: deque[tuple[NDArray[np.uint8], asyncio.Future[NDArray[Any]]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (C,) probabilities of an image from `Model.decode`."""
        found: asyncio.Future[NDArray[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((pixels, found))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await found

    async def _run(self) -> None:
        while self._waiting:
            count = min(len(self._waiting), self._batch_size)
            batch = [self._waiting.popleft() for _ in range(count)]
            batch = [each for each in batch if not each[1].done()]  # the client may be gone
            if not batch:
                continue
            pixels = np.stack([each[0] for each in batch])
            try:
                rows = await run_in_threadpool(self._model.probabilities, pixels)
            # Each client receives the error; the next batch is another attempt.
            except Exception as error:  # noqa: BLE001
                for _, found in batch:
                    if not found.done():
                        found.set_exception(error)
                continue
            for (_, found), row in zip(batch, rows, strict=True):
                if not found.done():
                    found.set_result(row)
