"""What the page asks for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..errors import RunError
from ..labelling import STATES
from .answers import answer, number_asked
from .checking import LISTS, BackgroundChecks
from .desk import Desk
from .projection import Projection
from .stage import Stage

__all__ = ["reading_routes"]

MOST_ITEMS = 500
"""As many items are told of at once."""


def reading_routes(desk: Desk) -> list[Route]:
    """Return the addresses that change nothing."""
    projection, checks = Projection(desk), BackgroundChecks(desk)

    def status(request: Request) -> Response:
        found = desk.status()
        etag = f'"{hashlib.sha256(json.dumps(found).encode()).hexdigest()[:24]}"'
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"etag": etag, "cache-control": "no-cache"})
        return answer(found, etag=etag)

    def batch(request: Request) -> Response:
        n = number_asked(request, "n", 24, MOST_ITEMS)
        model = desk.session.model
        proposals = desk.session.propose(n, model) if n else []
        return answer(
            {"items": desk.proposed(proposals), "model": None if model is None else model.name}
        )

    def items(request: Request) -> Response:
        if "rows" in request.query_params:
            return answer({"items": desk.entries(_rows(request.query_params["rows"], desk.n))})
        state = request.query_params.get("state", "")
        if state not in (*STATES, "unlabelled"):
            raise HTTPException(400, "`state` is unlabelled, label, skip or unsure.")
        text, label = (request.query_params.get(name, "")[:500] for name in ("q", "label"))
        found = desk.find(text, state, label)
        offset = number_asked(request, "offset", 0, 10**9)
        limit = number_asked(request, "limit", 100, MOST_ITEMS)
        return answer({"total": len(found), "items": desk.entries(found[offset : offset + limit])})

    def doubted(request: Request) -> Response:
        n = number_asked(request, "n", 60, MOST_ITEMS)
        found = desk.session.label_doubts(n)
        counts = {"labelled": found.labelled, "judged": found.judged, "reason": found.reason}
        return answer({"items": desk.proposed(found.proposals), **counts})

    def checked(request: Request) -> Response:
        name = request.query_params.get("list", "")
        if name not in LISTS:
            raise HTTPException(400, f"`list` is {', '.join(LISTS[:-1])} or {LISTS[-1]}.")
        n = number_asked(request, "n", 60, MOST_ITEMS)
        try:
            found = checks.listed(name, n)
        except RunError as error:
            raise HTTPException(500, str(error)) from None
        return _stage(found) if isinstance(found, Stage) else answer(found)

    def similar(request: Request) -> Response:
        row = number_asked(request, "row", 0, desk.n - 1)
        n = number_asked(request, "n", 60, MOST_ITEMS)
        rows = desk.session.similar(row, n) if n else []
        return answer({"of": desk.entries([row])[0], "items": desk.entries(rows)})

    def points(request: Request) -> Response:
        by = request.query_params.get("by", "components")
        if by not in ("components", "neighbours"):
            raise HTTPException(400, "`by` is components or neighbours.")
        if by == "components":
            return _bytes(projection.components())
        try:
            found = projection.neighbourhoods()
        except RunError as error:
            raise HTTPException(500, str(error)) from None
        return _stage(found) if isinstance(found, Stage) else _bytes(found)

    def colours(request: Request) -> Response:
        by = request.query_params.get("by", "label")
        if by not in ("label", "prediction", "confidence"):
            raise HTTPException(400, "`by` is label, prediction or confidence.")
        return _bytes(projection.colours(by))

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
    if not valid or len(parts) > MOST_ITEMS or any(int(part) >= n for part in parts):
        raise HTTPException(
            400, f"`rows` are at most {MOST_ITEMS} numbers from 0 to {n - 1}, with commas."
        )
    return [int(part) for part in parts]


def _bytes(array: np.ndarray) -> Response:
    return Response(
        np.ascontiguousarray(array).tobytes(),
        media_type="application/octet-stream",
        headers={"cache-control": "no-store"},
    )


def _stage(stage: Stage) -> Response:
    """Return how far it is: it is being worked out, and to be asked for again."""
    return JSONResponse(asdict(stage), status_code=202, headers={"cache-control": "no-store"})
