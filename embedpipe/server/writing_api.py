"""What the page says: all of it through the session, and answered when it is on the disk."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .answers import answer, body_of, rows_in, text_in
from .desk import Desk
from .exporting import EXPORTS, export

__all__ = ["writing_routes"]

MOST_TOLD = 500
"""Of as many items that were undone the state is told at once."""


def writing_routes(desk: Desk) -> list[Route]:
    """Return the addresses that change something: POST alone."""
    session = desk.session

    async def label(request: Request) -> Response:
        body = await body_of(request)
        rows, name = rows_in(body, desk.n), text_in(body, "label")
        suggestions = _suggestions(body, len(rows))
        model = text_in(body, "model") if body.get("model") is not None else None
        return answer(
            {
                "version": await run_in_threadpool(
                    session.label, rows, name, suggestions=suggestions, model=model
                )
            }
        )

    async def mark(request: Request) -> Response:
        body = await body_of(request)
        rows, kind = rows_in(body, desk.n), text_in(body, "kind")
        return answer({"version": await run_in_threadpool(session.mark, rows, kind)})

    async def undo(request: Request) -> Response:
        await body_of(request)
        before = session.version
        rows = await run_in_threadpool(session.undo)
        entries = await run_in_threadpool(desk.entries, rows[:MOST_TOLD])
        version = session.version
        # An act about classes has no rows, but is undone as well.
        undone = bool(rows) or version > before
        if undone and not rows:
            desk.training.ask()
        return answer({"version": version, "undone": undone, "rows": rows, "items": entries})

    async def new_class(request: Request) -> Response:
        name = text_in(await body_of(request), "name")
        await run_in_threadpool(session.add_class, name)
        return answer({"version": session.version})

    async def rename(request: Request) -> Response:
        body = await body_of(request)
        old, new = text_in(body, "from"), text_in(body, "to")
        known = await run_in_threadpool(session.classes)
        if new in known and body.get("merge") is not True:
            raise HTTPException(409, f"there is a class {new!r} already: merge the two?")
        move = session.merge_class if new in known else session.rename_class
        await run_in_threadpool(move, old, new)
        desk.training.ask()
        return answer({"version": session.version})

    async def retrain(request: Request) -> Response:
        await body_of(request)
        desk.training.ask()
        return answer({"training": True})

    async def write_export(request: Request) -> Response:
        body = await body_of(request)
        name = text_in(body, "format")
        if name not in EXPORTS:
            raise HTTPException(400, f"`format` is one of {', '.join(EXPORTS)}.")
        return answer(await run_in_threadpool(export, desk, name))

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
    """Return what was suggested for each row, if that is told."""
    given = body.get("suggestions")
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != n:
        raise HTTPException(400, "`suggestions` has one for each of the distinct `rows`, or null.")
    return [
        None if each is None else text_in({"suggestions": each}, "suggestions") for each in given
    ]
