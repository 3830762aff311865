"""The labelling page: a local server and the page that it serves.

The server listens on 127.0.0.1 only and refuses requests without its token. All labels go through
a :class:`~embedpipe.labelling.LabellingSession`. The HTTP
interface is in docs/reference/labelling-api.md.
"""

from __future__ import annotations

from .labelling_server import LabellingServer, create_app

__all__ = ["LabellingServer", "create_app"]
