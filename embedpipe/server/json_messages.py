"""Requests and responses in JSON, with checks of the requests."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..errors import EmbedpipeError

__all__ = [
    "MAX_BYTES",
    "Progress",
    "body_of",
    "content_of",
    "day_in",
    "error_response",
    "file_of",
    "json_response",
    "number_in",
    "problem_of",
    "progress_response",
    "rows_in",
    "rows_of_classes",
    "share_in",
    "text_in",
    "texts_in",
    "too_large",
]

MAX_BYTES = 2_000_000
"""Maximum bytes of a request's body, about 250,000 rows."""

MAX_FILE_BYTES = 40_000_000
"""Maximum bytes of an image file in a request."""

MAX_TEXT = 500
"""Maximum characters of a text in a request."""

FORBIDDEN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories of forbidden characters: control, surrogate, line and paragraph separator."""


@dataclass(frozen=True)
class Progress:
    """The progress of work in the background.

    Attributes
    ----------
    doing
        Name of the current step.
    share
        Finished part of that step, from 0 to 1.
    """

    doing: str
    share: float


def json_response(content: Any, *, etag: str | None = None) -> Response:
    """Return `content` as JSON that is not cached."""
    headers = {"cache-control": "no-store"}
    if etag is not None:
        headers = {"cache-control": "no-cache", "etag": etag}
    return JSONResponse(content, headers=headers)


def error_response(
    status: int, message: str, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an error as JSON: ``{"error": "..."}``."""
    more = dict(headers or {}) | {"cache-control": "no-store"}
    return JSONResponse({"error": message}, status_code=status, headers=more)


def problem_of(error: Exception) -> str:
    """Return the text that a client receives about an error."""
    if isinstance(error, EmbedpipeError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}"


def progress_response(progress: Progress) -> Response:
    """Return a progress with status 202: the client asks again later."""
    headers = {"cache-control": "no-store"}
    return JSONResponse(asdict(progress), status_code=202, headers=headers)


async def body_of(request: Request, limit: int = MAX_BYTES) -> dict[str, Any]:
    """Return the JSON object of a request, or raise status 400, 413 or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "the content type must be application/json.")
    try:
        parsed = json.loads(await content_of(request, limit))
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON.") from None
    if not isinstance(parsed, dict):
        raise HTTPException(400, "the body is not a JSON object.")
    return parsed


async def file_of(request: Request) -> bytes:
    """Return the bytes of an image file in a request, or raise status 413 or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise HTTPException(415, "the content type must be image/… or application/octet-stream.")
    return await content_of(request, MAX_FILE_BYTES)


async def content_of(request: Request, limit: int) -> bytes:
    """Return the body of a request, or raise status 413 if it has more than `limit` bytes."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > limit:
        raise too_large(limit)
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise too_large(limit)
    return bytes(content)


def rows_in(body: Mapping[str, Any], n: int) -> list[int]:
    """Return the field `rows`: distinct rows below `n`, in the order of the request."""
    rows = body.get("rows")
    if not isinstance(rows, list) or not rows:
        raise HTTPException(400, "`rows` must be a list of at least one row.")
    for row in rows:
        if type(row) is not int or not 0 <= row < n:
            raise HTTPException(400, f"`rows` must be numbers from 0 to {n - 1}.")
    return list(dict.fromkeys(rows))


def rows_of_classes(body: Mapping[str, Any], field: str, n: int) -> dict[int, str]:
    """Return the class of each row, from a field that maps classes to lists of rows below `n`."""
    classes = body.get(field)
    if not isinstance(classes, dict) or not classes:
        raise HTTPException(400, f"`{field}` must be an object with a list of rows for each class.")
    found: dict[int, str] = {}
    for name, rows in classes.items():
        label = text_in({"class": name}, "class")
        for row in rows_in({"rows": rows}, n):
            if row in found:
                raise HTTPException(400, f"row {row} occurs twice in `{field}`.")
            found[row] = label
    return found


def texts_in(body: Mapping[str, Any], field: str, n: int) -> list[str]:
    """Return a field whose value is a list of `n` texts, one for each distinct row."""
    texts = body.get(field)
    if not isinstance(texts, list) or len(texts) != n:
        raise HTTPException(
            400, f"`{field}` must be a list of {n} entries, one for each distinct row."
        )
    return [text_in({field: each}, field) for each in texts]


def text_in(body: Mapping[str, Any], field: str) -> str:
    """Return a field whose value is a text: not blank, without control characters."""
    text = body.get(field)
    if not isinstance(text, str) or not text.strip():
        raise HTTPException(400, f"`{field}` must be a text that is not blank.")
    text = text.strip()
    # `isprintable` is not used: it is false for the joiners in Persian names and emoji.
    if len(text) > MAX_TEXT or any(unicodedata.category(each) in FORBIDDEN for each in text):
        raise HTTPException(
            400,
            f"`{field}` must have at most {MAX_TEXT} characters and no control characters.",
        )
    return text


def number_in(request: Request, name: str, default: int, most: int) -> int:
    """Return an integer of the query string, from 0 to `most`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 10) or int(text) > most:
        raise HTTPException(400, f"`{name}` must be a number from 0 to {most}.")
    return int(text)


def share_in(request: Request, name: str) -> float | None:
    """Return a number of the query string from 0 to 1; None if it is missing or empty."""
    text = request.query_params.get(name)
    if not text:
        return None
    if not re.fullmatch(r"[01](\.[0-9]{1,9})?", text) or float(text) > 1:
        raise HTTPException(400, f"`{name}` must be a number from 0 to 1.")
    return float(text)


def day_in(request: Request, name: str) -> date | None:
    """Return a day of the query string; None if it is missing or empty."""
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise HTTPException(400, f"`{name}` must be a day, such as 2024-05-31.") from None


def too_large(limit: int) -> HTTPException:
    """Return the error for a body of more than `limit` bytes."""
    return HTTPException(413, f"the body has more than {limit:,} bytes.")
