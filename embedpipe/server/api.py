"""The addresses that the page asks: what is shown, and what is changed.

A change is answered when it is on the disk.
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
from ..labelling import STATES
from .background_checks import LISTS, BackgroundChecks
from .item_map import ItemMap
from .json_messages import (
    Progress,
    body_of,
    json_response,
    number_asked,
    progress_response,
    rows_in,
    text_in,
)
from .label_export import EXPORTS, export
from .page_state import PageState

__all__ = ["reading_routes", "writing_routes"]

MAX_ITEMS = 500
"""Maximum items in one response."""


def reading_routes(state: PageState) -> list[Route]:
    """Return the addresses that change nothing."""
    item_map, checks = ItemMap(state), BackgroundChecks(state)

    def status(request: Request) -> Response:
        found = state.status()
        etag = f'"{hashlib.sha256(json.dumps(found).encode()).hexdigest()[:24]}"'
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"etag": etag, "cache-control": "no-cache"})
        return json_response(found, etag=etag)

    def batch(request: Request) -> Response:
        n = number_asked(request, "n", 24, MAX_ITEMS)
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
            raise HTTPException(400, "`state` is unlabelled, label, skip or unsure.")
        text, label = (request.query_params.get(name, "")[:500] for name in ("q", "label"))
        found = state.find(text, kind, label)
        offset = number_asked(request, "offset", 0, 10**9)
        limit = number_asked(request, "limit", 100, MAX_ITEMS)
        return json_response(
            {"total": len(found), "items": state.entries(found[offset : offset + limit])}
        )

    def doubted(request: Request) -> Response:
        n = number_asked(request, "n", 60, MAX_ITEMS)
        found = state.session.label_doubts(n)
        counts = {"labelled": found.labelled, "judged": found.judged, "reason": found.reason}
        return json_response({"items": state.proposed(found.proposals), **counts})

    def checked(request: Request) -> Response:
        name = request.query_params.get("list", "")
        if name not in LISTS:
            raise HTTPException(400, f"`list` is {', '.join(LISTS[:-1])} or {LISTS[-1]}.")
        n = number_asked(request, "n", 60, MAX_ITEMS)
        try:
            found = checks.listed(name, n)
        except RunError as error:
            raise HTTPException(500, str(error)) from None
        return progress_response(found) if isinstance(found, Progress) else json_response(found)

    def similar(request: Request) -> Response:
        row = number_asked(request, "row", 0, state.n - 1)
        n = number_asked(request, "n", 60, MAX_ITEMS)
        rows = state.session.similar(row, n) if n else []
        return json_response({"of": state.entries([row])[0], "items": state.entries(rows)})

    def points(request: Request) -> Response:
        by = request.query_params.get("by", "components")
        if by not in ("components", "neighbours"):
            raise HTTPException(400, "`by` is components or neighbours.")
        if by == "components":
            return _bytes(item_map.components())
        try:
            found = item_map.neighbourhoods()
        except RunError as error:
            raise HTTPException(500, str(error)) from None
        return progress_response(found) if isinstance(found, Progress) else _bytes(found)

    def colours(request: Request) -> Response:
        by = request.query_params.get("by", "label")
        if by not in ("label", "prediction", "confidence"):
            raise HTTPException(400, "`by` is label, prediction or confidence.")
        return _bytes(item_map.colours(by))

    return [
        Route("/api/status", status),
        Route("/api/batch", batch),
        Route("/api/items", items),
        Route("/api/doubted", doubted),
        Route("/api/checked", checked),
        Route("/api/similar", similar),
        Route("/api/map/points", points),
        Route("/api/map/colours", colours),
    ]


def _rows(text: str, n: int) -> list[int]:
    """Return the rows of a list with commas."""
    parts = text.split(",")
    valid = all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts)
    if not valid or len(parts) > MAX_ITEMS or any(int(part) >= n for part in parts):
        raise HTTPException(
            400, f"`rows` are at most {MAX_ITEMS} numbers from 0 to {n - 1}, with commas."
        )
    return [int(part) for part in parts]


def _bytes(array: np.ndarray) -> Response:
    return Response(
        np.ascontiguousarray(array).tobytes(),
        media_type="application/octet-stream",
        headers={"cache-control": "no-store"},
    )


def writing_routes(state: PageState) -> list[Route]:
    """Return the addresses that change something: POST alone."""
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
        # An act about classes has no rows, but is undone as well.
        undone = bool(rows) or version > before
        if undone and not rows:
            state.training.ask()
        return json_response({"version": version, "undone": undone, "rows": rows, "items": entries})

    async def new_class(request: Request) -> Response:
        name = text_in(await body_of(request), "name")
        await run_in_threadpool(session.add_class, name)
        return json_response({"version": session.version})

    async def rename(request: Request) -> Response:
        body = await body_of(request)
        old, new = text_in(body, "from"), text_in(body, "to")
        known = await run_in_threadpool(session.classes)
        if new in known and body.get("merge") is not True:
            raise HTTPException(409, f"there is a class {new!r} already: merge the two?")
        move = session.merge_class if new in known else session.rename_class
        await run_in_threadpool(move, old, new)
        state.training.ask()
        return json_response({"version": session.version})

    async def retrain(request: Request) -> Response:
        await body_of(request)
        state.training.ask()
        return json_response({"training": True})

    async def write_export(request: Request) -> Response:
        body = await body_of(request)
        name = text_in(body, "format")
        if name not in EXPORTS:
            raise HTTPException(400, f"`format` is one of {', '.join(EXPORTS)}.")
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
    """Return what was suggested for each row, if the request has it."""
    given = body.get("suggestions")
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != n:
        raise HTTPException(400, "`suggestions` has one for each of the distinct `rows`, or null.")
    return [
        None if each is None else text_in({"suggestions": each}, "suggestions") for each in given
    ]
