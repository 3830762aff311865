"""The routes of the status, batches, likely wrong labels, skipped copies and training.

A change is stored on the disk before the response is sent.
"""

from __future__ import annotations

import hashlib
import json

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .browsing import MAX_ITEMS
from .json_messages import body_of, json_response, number_in
from .page_state import PageState

__all__ = ["reading_routes", "writing_routes"]


def reading_routes(state: PageState) -> list[Route]:
    """Return the routes of the status, batches, likely wrong labels and confused classes."""

    def status(request: Request) -> Response:
        found = state.status()
        etag = f'"{hashlib.sha256(json.dumps(found).encode()).hexdigest()[:24]}"'
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"etag": etag, "cache-control": "no-cache"})
        return json_response(found, etag=etag)

    def batch(request: Request) -> Response:
        n = number_in(request, "n", 24, MAX_ITEMS)
        model = state.session.model
        proposals = state.session.propose(n, model) if n else []
        return json_response(
            {"items": state.proposed(proposals), "model": None if model is None else model.name}
        )

    def doubted(request: Request) -> Response:
        n = number_in(request, "n", 60, MAX_ITEMS)
        found = state.session.label_doubts(n)
        counts = {"labelled": found.labelled, "judged": found.judged, "reason": found.reason}
        return json_response({"items": state.proposed(found.proposals), **counts})

    def confusion(request: Request) -> Response:
        return json_response(state.confusion())

    return [
        Route("/api/status", status),
        Route("/api/batch", batch),
        Route("/api/doubted", doubted),
        Route("/api/confusion", confusion),
    ]


def writing_routes(state: PageState) -> list[Route]:
    """Return the routes that train the model or skip copies; all use POST."""
    session = state.session

    async def skip_copies(request: Request) -> Response:
        await body_of(request)
        rows = await run_in_threadpool(state.overview.extra_copies)
        version = await run_in_threadpool(session.mark, rows, "skip")
        return json_response({"version": version, "skipped": len(rows)})

    async def retrain(request: Request) -> Response:
        await body_of(request)
        state.training.request()
        return json_response({"training": True})

    posts = {
        "/api/copies/skip": skip_copies,
        "/api/retrain": retrain,
    }
    return [Route(path, handler, methods=["POST"]) for path, handler in posts.items()]
