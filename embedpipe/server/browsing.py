"""Routes for browsing the dataset: search, overview, similar images, checks and the map."""

from __future__ import annotations

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import RunError
from .item_search import SEARCH_STATES, SORTS, ItemQuery
from .json_messages import (
    Progress,
    day_in,
    json_response,
    number_in,
    progress_response,
    share_in,
)
from .page_state import LISTS, PageState

__all__ = ["MAX_ITEMS", "browsing_routes"]

MAX_ITEMS = 500
"""Maximum number of items in one response."""


def browsing_routes(state: PageState) -> list[Route]:
    """Return the routes that show the dataset and change nothing."""

    def items(request: Request) -> Response:
        if "rows" in request.query_params:
            rows = _rows(request.query_params["rows"], state.n)
            version = state.session.version  # the items are of this or a later version
            return json_response({"version": version, "items": state.entries(rows)})
        found = state.search.find(_query(request))
        offset = number_in(request, "offset", 0, 10**9)
        limit = number_in(request, "limit", 100, MAX_ITEMS)
        return json_response(
            {"total": len(found), "items": state.entries(found[offset : offset + limit])}
        )

    def choices(request: Request) -> Response:
        return json_response(state.search.choices())

    def overview(request: Request) -> Response:
        return json_response(state.overview.summary())

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
        Route("/api/items", items),
        Route("/api/choices", choices),
        Route("/api/overview", overview),
        Route("/api/checked", checked),
        Route("/api/similar", similar),
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


def _query(request: Request) -> ItemQuery:
    """Return the conditions and the order of a request for items."""
    texts = {
        field: request.query_params.get(name, "")[:500]
        for name, field in (
            ("q", "text"),
            ("label", "label"),
            ("predicted", "predicted"),
            ("annotator", "annotator"),
            ("folder", "folder"),
            ("likely", "likely"),
            ("words", "words"),
            ("image", "image"),
        )
    }
    kind = request.query_params.get("state", "")
    if kind and kind not in SEARCH_STATES:
        names = f"{', '.join(SEARCH_STATES[:-1])} or {SEARCH_STATES[-1]}"
        raise HTTPException(400, f"`state` must be {names}.")
    sort = request.query_params.get("sort") or "path"
    if sort.removeprefix("-") not in SORTS:
        raise HTTPException(
            400, f"`sort` must be {', '.join(SORTS[:-1])} or {SORTS[-1]}, or one of them after `-`."
        )
    return ItemQuery(
        **texts,
        state=kind,
        min_confidence=share_in(request, "min_confidence"),
        max_confidence=share_in(request, "max_confidence"),
        min_side=_side(request, "min_side"),
        max_side=_side(request, "max_side"),
        after=day_in(request, "after"),
        before=day_in(request, "before"),
        sort=sort.removeprefix("-"),
        descending=sort.startswith("-"),
    )


def _side(request: Request, name: str) -> int | None:
    return number_in(request, name, 0, 10**6) if request.query_params.get(name) else None


def _bytes(array: np.ndarray) -> Response:
    return Response(
        np.ascontiguousarray(array).tobytes(),
        media_type="application/octet-stream",
        headers={"cache-control": "no-store"},
    )
