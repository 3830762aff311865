"""Routes of files: exports and downloads, new images, and images to try or to search with."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from .json_messages import body_of, file_of, json_response, text_in
from .label_export import EXPORTS, MODEL
from .page_state import PageState

__all__ = ["file_routes"]


def file_routes(state: PageState) -> list[Route]:
    """Return the routes of files."""

    def exported(request: Request) -> Response:
        path = state.exports.file_of(request.path_params["key"])
        if path is None:
            raise HTTPException(404, "this download was removed: export again.")
        return FileResponse(path, filename=path.name, headers={"cache-control": "no-store"})

    def new_images(request: Request) -> Response:
        return json_response(state.new_images.status())

    async def add_images(request: Request) -> Response:
        await body_of(request)
        return json_response({"adding": state.new_images.add()})

    async def predict(request: Request) -> Response:
        content = await file_of(request)
        return json_response(await run_in_threadpool(state.predict, content))

    async def search_image(request: Request) -> Response:
        content = await file_of(request)
        key = await run_in_threadpool(state.queries.add_image, content)
        return json_response({"image": key})

    async def write_export(request: Request) -> Response:
        body = await body_of(request)
        name = text_in(body, "format")
        name = MODEL if name == "head" else name  # the name in the previous version
        if name not in EXPORTS:
            raise HTTPException(400, f"`format` must be one of {', '.join(EXPORTS)}.")
        write = state.exports.download if body.get("download") is True else state.exports.export
        return json_response(await run_in_threadpool(write, name))

    return [
        Route("/api/new-images", new_images),
        Route("/api/new-images/add", add_images, methods=["POST"]),
        Route("/api/predict", predict, methods=["POST"]),
        Route("/api/search/image", search_image, methods=["POST"]),
        Route("/api/export", write_export, methods=["POST"]),
        Route("/api/exports/{key}", exported),
    ]
