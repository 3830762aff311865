"""The description of a model's HTTP interface: OpenAPI for programs, a page for people."""

from __future__ import annotations

from html import escape
from typing import Any

from .._versions import own_version
from ..models import Model

__all__ = ["docs_page", "openapi"]

ERRORS = {
    "400": "The form has no file, or cannot be read.",
    "401": "The token is missing or wrong.",
    "403": "The request is from a page of another site.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The content type is not that of an image or a form.",
    "421": "The header Host is not the server's own address.",
    "422": "A file is not an image that can be decoded.",
    "500": "The model failed.",
    "503": "Too many requests are in progress; the header Retry-After has the seconds to wait.",
}


def openapi(model: Model, body: int, files: int) -> dict[str, Any]:
    """Return the OpenAPI document of a model's service."""
    names = model.classes.tolist()
    image = {"schema": {"type": "string", "format": "binary"}}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    prediction = {
        "type": "object",
        "required": ["label", "probability", "probabilities"],
        "properties": {
            "file": {"type": "string", "description": "Name of the file in a form."},
            "label": {"type": "string", "enum": names},
            "probability": share,
            "probabilities": {"type": "object", "properties": dict.fromkeys(names, share)},
        },
    }
    found = {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}}
    error = {"schema": {"$ref": "#/components/schemas/Error"}}
    ok = {"type": "object", "properties": {"status": {"type": "string", "const": "ok"}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Image classifier",
            "version": own_version(),
            "description": f"Predicts one of {len(names)} classes for an image.",
        },
        "paths": {
            "/predict": {
                "post": {
                    "summary": "Predict the classes of images",
                    "requestBody": {
                        "required": True,
                        "description": f"One image, or a form with up to {files} image files; at "
                        f"most {body:,} bytes.",
                        "content": {
                            "image/*": image,
                            "application/octet-stream": image,
                            "multipart/form-data": {
                                "schema": {
                                    "type": "object",
                                    "properties": {
                                        "file": {"type": "array", "items": image["schema"]}
                                    },
                                }
                            },
                        },
                    },
                    "responses": {
                        "200": {
                            "description": "A prediction for each image, in order.",
                            "content": {
                                "application/json": {
                                    "schema": {
                                        "type": "object",
                                        "required": ["predictions"],
                                        "properties": {"predictions": found},
                                    }
                                }
                            },
                        },
                        **{
                            status: {
                                "description": text,
                                "content": {"application/json": error},
                            }
                            for status, text in ERRORS.items()
                        },
                    },
                    "security": [{}, {"token": []}],
                }
            },
            "/health": {
                "get": {
                    "summary": "Whether the service runs; needs no token",
                    "responses": {
                        "200": {
                            "description": "It runs.",
                            "content": {"application/json": {"schema": ok}},
                        }
                    },
                }
            },
        },
        "components": {
            "schemas": {
                "Prediction": prediction,
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {"error": {"type": "string"}},
                },
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def docs_page(model: Model, body: int, files: int) -> str:
    """Return a page about a model's service; it loads nothing and has no script."""
    errors = "".join(
        f"<tr><td>{status}</td><td>{text}</td></tr>" for status, text in ERRORS.items()
    )
    classes = "".join(f"<li>{escape(name)}</li>" for name in model.classes.tolist())
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Image classifier</title>
<main>
<h1>Image classifier</h1>
<h2>Predict images</h2>
<p>Send an image as the body of a request, or up to {files} image files as a form.
A body has at most {body:,} bytes.</p>
<pre>curl -H "Content-Type: image/jpeg" --data-binary @photo.jpg http://HOST:PORT/predict
curl -F file=@one.jpg -F file=@two.png http://HOST:PORT/predict</pre>
<p>The response is JSON: <code>predictions</code> has the <code>label</code>, the
<code>probability</code> and the <code>probabilities</code> of each image.</p>
<p>If the service needs a token, add <code>-H "Authorization: Bearer TOKEN"</code>.</p>
<h2>Classes</h2>
<ul>{classes}</ul>
<h2>Errors</h2>
<p>An error has the status below, and JSON with the text <code>error</code>.</p>
<table><thead><tr><th>Status</th><th>Meaning</th></tr></thead><tbody>{errors}</tbody></table>
<h2>Other addresses</h2>
<p><a href="/health">/health</a> answers while the service runs.
<a href="/openapi.json">/openapi.json</a> describes the interface for programs.</p>
</main>
</html>
"""
