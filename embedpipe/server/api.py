"""The routes of the page's HTTP interface.

A change is stored on the disk before the response is sent.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import RunError
from ..labelling import STATES, LabellingSession
from .json_messages import (
    Progress,
    body_of,
    json_response,
    number_in,
    progress_response,
    rows_in,
    text_in,
)
from .label_export import EXPORTS, MODEL, export
from .page_state import LISTS, PageState

__all__ = ["reading_routes", "writing_routes"]

MAX_ITEMS = 500
"""Maximum number of items in one response."""


def reading_routes(state: PageState) -> list[Route]:
    """Return the routes that change nothing."""

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

    def items(request: Request) -> Response:
        if "rows" in request.query_params:
            rows = _rows(request.query_params["rows"], state.n)
            return json_response({"items": state.entries(rows)})
        kind = request.query_params.get("state", "")
        if kind not in (*STATES, "unlabelled"):
            raise HTTPException(400, "`state` must be unlabelled, label, skip or unsure.")
        text, label = (request.query_params.get(name, "")[:500] for name in ("q", "label"))
        found = state.find(text, kind, label)
        offset = number_in(request, "offset", 0, 10**9)
        limit = number_in(request, "limit", 100, MAX_ITEMS)
        return json_response(
            {"total": len(found), "items": state.entries(found[offset : offset + limit])}
        )

    def doubted(request: Request) -> Response:
        n = number_in(request, "n", 60, MAX_ITEMS)
        found = state.session.label_doubts(n)
        counts = {"labelled": found.labelled, "judged": found.judged, "reason": found.reason}
        return json_response({"items": state.proposed(found.proposals), **counts})

    def checked(request: Request) -> Response:
        name = request.query_params.get("list", "")
        if name not in LISTS:
            raise HTTPException(400, f"`list` must be {', '.join(LISTS[:-1])} or {LISTS[-1]}.")
        n = number_in(request, "n", 60, MAX_ITEMS)
        try:
            found = state.checked(name, n)
        except RunError as error:
            raise HTTPException(500, str(error)) from None
        return progress_response(found) if isinstance(found, Progress) else json_response(found)

    def similar(request: Request) -> Response:
        row = number_in(request, "row", 0, state.n - 1)
        n = number_in(request, "n", 60, MAX_ITEMS)
        rows = state.session.similar(row, n) if n else []
        return json_response({"of": state.entries([row])[0], "items": state.entries(rows)})

    def confusion(request: Request) -> Response:
        return json_response(state.confusion())

    def points(request: Request) -> Response:
        by = request.query_params.get("by", "components")
        if by not in ("components", "neighbours"):
            raise HTTPException(400, "`by` must be components or neighbours.")
        if by == "components":
            return _bytes(state.item_map.components())
        try:
            found = state.item_map.umap.points()
        except RunError as error:
            raise HTTPException(500, str(error)) from None
        return progress_response(found) if isinstance(found, Progress) else _bytes(found)

    def colours(request: Request) -> Response:
        by = request.query_params.get("by", "label")
        if by not in ("label", "prediction", "confidence"):
            raise HTTPException(400, "`by` must be label, prediction or confidence.")
        return _bytes(state.item_map.colours(by))

    return [
        Route("/api/status", status),
        Route("/api/batch", batch),
        Route("/api/items", items),
        Route("/api/doubted", doubted),
        Route("/api/checked", checked),
        Route("/api/similar", similar),
        Route("/api/confusion", confusion),
        Route("/api/map/points", points),
        Route("/api/map/colours", colours),
    ]


def _rows(text: str, n: int) -> list[int]:
    """Return the rows of a comma-separated list."""
    parts = text.split(",")
    valid = all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts)
    if not valid or len(parts) > MAX_ITEMS or any(int(part) >= n for part in parts):
        raise HTTPException(
            400,
            f"`rows` must be at most {MAX_ITEMS} numbers from 0 to {n - 1}, separated by commas.",
        )
    return [int(part) for part in parts]


def _bytes(array: np.ndarray) -> Response:
    return Response(
        np.ascontiguousarray(array).tobytes(),
        media_type="application/octet-stream",
        headers={"cache-control": "no-store"},
    )


def writing_routes(state: PageState) -> list[Route]:
    """Return the routes that change labels, classes or the model, or export; all use POST."""
    session = state.session

    async def label(request: Request) -> Response:
        body = await body_of(request)
        rows, name = rows_in(body, state.n), text_in(body, "label")
        suggestions = _suggestions(body, len(rows))
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
        name = text_in(await body_of(request), "name")
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
        change = session.merge_class if new in classes else session.rename_class
        await run_in_threadpool(change, old, new)
        state.training.request()
        return json_response({"version": session.version})

    async def retrain(request: Request) -> Response:
        await body_of(request)
        state.training.request()
        return json_response({"training": True})

    async def write_export(request: Request) -> Response:
        body = await body_of(request)
        name = text_in(body, "format")
        name = MODEL if name == "head" else name  # the name in the previous version
        if name not in EXPORTS:
            raise HTTPException(400, f"`format` must be one of {', '.join(EXPORTS)}.")
        return json_response(await run_in_threadpool(export, state, name))

    posts = {
        "/api/label": label,
        "/api/mark": mark,
        "/api/undo": undo,
        "/api/classes": new_class,
        "/api/classes/rename": rename,
        "/api/retrain": retrain,
        "/api/export": write_export,
    }
    return [Route(path, handler, methods=["POST"]) for path, handler in posts.items()]


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
