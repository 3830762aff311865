"""The routes of the page's HTTP interface.

A change is stored on the disk before the response is sent.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..labelling import LabellingSession
from ..labelling.class_names import similar_class
from .browsing import MAX_ITEMS
from .json_messages import body_of, json_response, number_in, rows_in, text_in
from .page_state import PageState

__all__ = ["reading_routes", "writing_routes"]


def reading_routes(state: PageState) -> list[Route]:
    """Return the routes of the session that change nothing."""

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
    """Return the routes that change labels, classes or the model, or export; all use POST."""
    session = state.session

    async def label(request: Request) -> Response:
        body = await body_of(request)
        rows, name = rows_in(body, state.n), text_in(body, "label")
        suggestions = _suggestions(body, len(rows))
        await run_in_threadpool(_check_new_class, session, name, body)
        model = text_in(body, "model") if body.get("model") is not None else None
        return json_response(
            {
                "version": await run_in_threadpool(
                    session.label, rows, name, suggestions=suggestions, model=model
                )
            }
        )

    async def mark(request: Request) -> Response:
        body = await body_of(request)
        rows, kind = rows_in(body, state.n), text_in(body, "kind")
        return json_response({"version": await run_in_threadpool(session.mark, rows, kind)})

    async def skip_copies(request: Request) -> Response:
        await body_of(request)
        rows = await run_in_threadpool(state.overview.extra_copies)
        version = await run_in_threadpool(session.mark, rows, "skip")
        return json_response({"version": version, "skipped": len(rows)})

    async def undo(request: Request) -> Response:
        await body_of(request)
        before = session.version
        rows = await run_in_threadpool(session.undo)
        entries = await run_in_threadpool(state.entries, rows[:MAX_ITEMS])
        version = session.version
        action = await run_in_threadpool(_undone_action, session, before)
        if action is not None and not rows:  # a change of classes was undone
            state.training.request()
        return json_response(
            {
                "version": version,
                "undone": action is not None,
                "act": action,
                "rows": rows,
                "items": entries,
            }
        )

    async def new_class(request: Request) -> Response:
        body = await body_of(request)
        name = text_in(body, "name")
        await run_in_threadpool(_check_new_class, session, name, body)
        await run_in_threadpool(session.add_class, name)
        return json_response({"version": session.version})

    async def rename(request: Request) -> Response:
        body = await body_of(request)
        old, new = text_in(body, "from"), text_in(body, "to")
        classes = await run_in_threadpool(session.classes)
        if new in classes and body.get("merge") is not True:
            raise HTTPException(
                409, f"class {new!r} exists already: choose another name, or merge them."
            )
        await run_in_threadpool(_check_new_class, session, new, body, old)
        change = session.merge_class if new in classes else session.rename_class
        await run_in_threadpool(change, old, new)
        state.training.request()
        return json_response({"version": session.version})

    async def retrain(request: Request) -> Response:
        await body_of(request)
        state.training.request()
        return json_response({"training": True})

    posts = {
        "/api/label": label,
        "/api/mark": mark,
        "/api/copies/skip": skip_copies,
        "/api/undo": undo,
        "/api/classes": new_class,
        "/api/classes/rename": rename,
        "/api/retrain": retrain,
    }
    return [Route(path, handler, methods=["POST"]) for path, handler in posts.items()]


def _check_new_class(
    session: LabellingSession, name: str, body: dict[str, Any], old: str | None = None
) -> None:
    """Refuse a new class whose name is similar to that of another, unless the body confirms it."""
    classes = session.classes()
    if name in classes or body.get("confirm") is True:
        return
    similar = similar_class(name, [each for each in classes if each != old])
    if similar is not None:
        raise HTTPException(
            409,
            f"there is no class {name!r}. Did you mean {similar!r}? Send `confirm: true` for a new "
            "class.",
        )


def _suggestions(body: dict[str, Any], n: int) -> list[str | None] | None:
    """Return the suggested class of each row, or None if the request has no suggestions."""
    suggestions = body.get("suggestions")
    if suggestions is None:
        return None
    if not isinstance(suggestions, list) or len(suggestions) != n:
        raise HTTPException(
            400,
            f"`suggestions` must be null or a list of {n} entries, one for each distinct row.",
        )
    return [
        None if each is None else text_in({"suggestions": each}, "suggestions")
        for each in suggestions
    ]


def _undone_action(session: LabellingSession, version: int) -> dict[str, str | None] | None:
    """Return the kind and the classes of the action undone after a version of the log, or None."""
    undone = [
        next(session.log.events(after=event.undoes - 1))
        for event in session.log.events(after=version)
        if event.undoes is not None and event.dataset == session.dataset
    ]
    if not undone:
        return None
    labels = {event.label for event in undone}
    return {
        "kind": undone[0].kind,
        "label": labels.pop() if len(labels) == 1 else None,
        "previous": undone[0].previous,
    }
