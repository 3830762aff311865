"""Requests and answers in JSON, checked before anything looks at them."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

__all__ = [
    "MOST_BYTES",
    "answer",
    "body_of",
    "error_answer",
    "number_asked",
    "rows_in",
    "text_in",
]

MOST_BYTES = 2_000_000
"""The largest body of a request: some 250,000 rows."""

MOST_TEXT = 500
"""The longest text of a request, in characters: names of classes are shorter."""

UNNAMED = ("Cc", "Cs", "Zl", "Zp")
"""Categories of characters that no name has: for control, half a character, the end of a line."""


def answer(content: Any, *, etag: str | None = None) -> Response:
    """Return `content` as JSON that no cache keeps."""
    headers = {"cache-control": "no-store"}
    if etag is not None:
        headers = {"cache-control": "no-cache", "etag": etag}
    return JSONResponse(content, headers=headers)


def error_answer(
    status: int, message: str, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an error as JSON: ``{"error": "..."}``."""
    more = dict(headers or {}) | {"cache-control": "no-store"}
    return JSONResponse({"error": message}, status_code=status, headers=more)


async def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object that was sent.

    Raises
    ------
    HTTPException
        413 if it is larger than `MOST_BYTES`, 415 if it does not call itself JSON, 400 if it is
        no object. No more than that is ever held.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "send application/json.")
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > MOST_BYTES:
        raise _too_large()
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_BYTES:
            raise _too_large()
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON.") from None
    if not isinstance(parsed, dict):
        raise HTTPException(400, "the body is not a JSON object.")
    return parsed


def rows_in(body: Mapping[str, Any], n: int) -> list[int]:
    """Return the field `rows`: distinct rows below `n`, in the order given."""
    rows = body.get("rows")
    if not isinstance(rows, list) or not rows:
        raise HTTPException(400, "`rows` is a list of at least one row.")
    for row in rows:
        if type(row) is not int or not 0 <= row < n:
            raise HTTPException(400, f"`rows` are numbers from 0 to {n - 1}.")
    return list(dict.fromkeys(rows))


def text_in(body: Mapping[str, Any], field: str) -> str:
    """Return a field that is a text of printable characters, not blank."""
    text = body.get(field)
    if not isinstance(text, str) or not text.strip():
        raise HTTPException(400, f"`{field}` is a text that is not blank.")
    text = text.strip()
    # Not `isprintable`: names in Persian and many emoji hold joiners, which are not.
    if len(text) > MOST_TEXT or any(unicodedata.category(each) in UNNAMED for each in text):
        raise HTTPException(
            400, f"`{field}` has at most {MOST_TEXT} characters, and none for control."
        )
    return text


def number_asked(request: Request, name: str, default: int, most: int) -> int:
    """Return a whole number of the query, from 0 to `most`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 10) or int(text) > most:
        raise HTTPException(400, f"`{name}` is a number from 0 to {most}.")
    return int(text)


def _too_large() -> HTTPException:
    return HTTPException(413, f"the body has more than {MOST_BYTES:,} bytes.")
