"""The requests of Label Studio's ML-backend contract."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..json_messages import body_of, json_response
from .backend_state import BackendState

__all__ = ["contract_routes"]

MAX_BYTES = 64_000_000
"""Maximum bytes of a request; a task has about 500 bytes."""

CHANGES = ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED")
DELETIONS = ("ANNOTATION_DELETED", "ANNOTATIONS_DELETED")
TASKS = ("TASKS_CREATED", "TASKS_DELETED")


def contract_routes(state: BackendState) -> list[Route]:
    """Return the routes that Label Studio requests."""

    async def health(request: Request) -> Response:
        return json_response({"status": "UP", "model_class": "embedpipe"})

    async def versions(request: Request) -> Response:
        return json_response({"versions": [state.version]})

    async def setup(request: Request) -> Response:
        body = await body_of(request, MAX_BYTES)
        state.control_of(body.get("schema"))
        return json_response({"model_version": state.version})

    async def predict(request: Request) -> Response:
        body = await body_of(request, MAX_BYTES)
        results = await run_in_threadpool(
            state.predictions, body.get("tasks"), body.get("label_config")
        )
        return json_response({"results": results})

    async def train(request: Request) -> Response:
        await body_of(request, MAX_BYTES)
        state.train()
        return json_response({"status": "ok", "model_version": state.version})

    async def webhook(request: Request) -> Response:
        body = await body_of(request, MAX_BYTES)
        return json_response(await run_in_threadpool(_receive, state, body))

    gets = {"/": health, "/health": health, "/versions": versions}
    posts = {"/setup": setup, "/predict": predict, "/train": train, "/webhook": webhook}
    return [
        *(Route(path, handler) for path, handler in gets.items()),
        *(Route(path, handler, methods=["POST"]) for path, handler in posts.items()),
    ]


def _receive(state: BackendState, body: dict[str, Any]) -> dict[str, Any]:
    """Handle a message of the webhook, and return the response."""
    action = body.get("action")
    if not isinstance(action, str):
        raise HTTPException(400, "`action` must be a text, such as ANNOTATION_CREATED.")
    if action in CHANGES:
        changed = state.receive(body.get("project"), body.get("annotation"), body.get("task"))
        return {"status": "ok", "changed": changed}
    if action in DELETIONS:
        deleted = body.get("annotations", body.get("annotation"))
        return {"status": "ok", "changed": state.remove(body.get("project"), deleted)}
    if action == "START_TRAINING":
        state.train()
        return {"status": "ok"}
    if action in TASKS:
        state.tasks_changed()
        return {"status": "ok"}
    return {"status": "ignored"}
