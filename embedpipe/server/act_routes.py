"""The routes of the acts: labels, marks, accepted suggestions, classes, and undo.

A request is one act, which one undo reverts. The act is stored on the disk before the response is
sent.
"""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..labelling import LabellingSession
from ..labelling.class_names import similar_class
from ..labels import Event
from .browsing import MAX_ITEMS
from .json_messages import (
    body_of,
    json_response,
    rows_in,
    rows_of_classes,
    share_in,
    text_in,
    texts_in,
)
from .page_state import PageState

__all__ = ["class_routes", "label_routes"]


def label_routes(state: PageState) -> list[Route]:
    """Return the routes that change labels and marks, and the route of confident suggestions."""
    session = state.session

    def confident(request: Request) -> Response:
        return json_response(state.confident(share_in(request, "min") or 0.0))

    async def label(request: Request) -> Response:
        body = await body_of(request)
        rows = rows_in(body, state.n)
        if body.get("labels") is None:
            names = [text_in(body, "label")] * len(rows)
        else:
            names = texts_in(body, "labels", len(rows))
        suggestions = _suggestions(body, len(rows))
        for name in dict.fromkeys(names):
            await run_in_threadpool(_check_new_class, session, name, body)
        model = text_in(body, "model") if body.get("model") is not None else None
        return json_response(
            {
                "version": await run_in_threadpool(
                    session.label, rows, names, suggestions=suggestions, model=model
                )
            }
        )

    async def accept(request: Request) -> Response:
        body = await body_of(request)
        found, model = rows_of_classes(body, "suggestions", state.n), text_in(body, "model")
        unknown = {*found.values()} - {*await run_in_threadpool(session.classes)}
        if unknown:
            raise HTTPException(
                409, f"class {min(unknown)!r} does not exist any more: load the suggestions again."
            )
        accepted = await run_in_threadpool(session.accept, [*found], [*found.values()], model)
        return json_response({"version": session.version, "accepted": len(accepted)})

    async def withdraw(request: Request) -> Response:
        await body_of(request)
        rows = await run_in_threadpool(session.withdraw_accepted)
        return json_response({"version": session.version, "withdrawn": len(rows)})

    async def mark(request: Request) -> Response:
        body = await body_of(request)
        rows, kind = rows_in(body, state.n), text_in(body, "kind")
        return json_response({"version": await run_in_threadpool(session.mark, rows, kind)})

    async def undo(request: Request) -> Response:
        await body_of(request)
        undone = await run_in_threadpool(session.undo_act)
        rows = session.rows_of(undone)
        entries = await run_in_threadpool(state.entries, rows[:MAX_ITEMS])
        if undone and undone[0].path is None:  # a change of classes was undone
            state.training.request()
        return json_response(
            {
                "version": session.version,
                "undone": bool(undone),
                "act": _description(undone),
                "rows": rows,
                "items": entries,
            }
        )

    posts = {
        "/api/label": label,
        "/api/accept": accept,
        "/api/withdraw": withdraw,
        "/api/mark": mark,
        "/api/undo": undo,
    }
    routes = [Route(path, handler, methods=["POST"]) for path, handler in posts.items()]
    return [*routes, Route("/api/confident", confident)]


def class_routes(state: PageState) -> list[Route]:
    """Return the routes that change classes."""
    session = state.session

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
                409, f"class {new!r} exists already: choose another name, or merge the two."
            )
        await run_in_threadpool(_check_new_class, session, new, body, old)
        change = session.merge_class if new in classes else session.rename_class
        await run_in_threadpool(change, old, new)
        state.training.request()
        return json_response({"version": session.version})

    async def delete(request: Request) -> Response:
        body = await body_of(request)
        name = text_in(body, "name")
        snapshot = await run_in_threadpool(session.snapshot)
        count = sum(
            counts.get(name, 0) for counts in (snapshot.counts(), snapshot.accepted_counts())
        )
        if count and body.get("clear") is not True:
            raise HTTPException(
                409, f"class {name!r} has labels: {count}. Delete them too, or merge the class."
            )
        await run_in_threadpool(session.delete_class, name)
        state.training.request()
        return json_response({"version": session.version})

    posts = {
        "/api/classes": new_class,
        "/api/classes/rename": rename,
        "/api/classes/delete": delete,
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


def _description(events: list[Event]) -> dict[str, str | None] | None:
    """Return the kind and the classes of an undone act, or None if nothing was undone."""
    if not events:
        return None
    labels = {event.label for event in events}
    return {
        "kind": events[0].kind,
        "label": labels.pop() if len(labels) == 1 else None,
        "previous": events[0].previous,
    }
