"""Addresses of objects: recognising them, and their form without signatures and credentials."""

from __future__ import annotations

import re
import urllib.parse

from .errors import UsageError

__all__ = [
    "clean_url",
    "is_url",
    "is_web_url",
    "public_text",
    "public_url",
    "public_word",
    "refuse_credentials",
]

_ADDRESS = re.compile(
    r"([a-z][a-z0-9+.\-]+)://|(file|ftp|https?|s3a?|gs|gcs|az|abfss?|adl|wasbs?|hdfs|hf|memory):/",
    re.IGNORECASE,
)
"""Pattern of addresses; `pathlib` reduces their two slashes to one."""

_SIGNATURE = re.compile(r"(.+-)?signature|sig", re.IGNORECASE)
"""Pattern of the query parameters with a signature."""

_SIGNED = re.compile(
    r"x-(amz|goog|obs)-.*|x-oss-(?!process).*|q-(ak|sign-.*|key-time|header-list|url-param-list)"
    r"|(aws|oss)?accesskeyid|googleaccessid|expires|policy|key-pair-id|jwt|pwd|hmac"
    rf"|.*(token|secret|password|passwd|credential|api_?key|auth).*|{_SIGNATURE.pattern}",
    re.IGNORECASE,
)
"""Pattern of the query parameters that sign a request or contain a credential."""

_CREDENTIALS = re.compile(r"^[^/@:\[]*:(?!\d+([/?#]|$))([^/]*@|.*?@)")
"""Pattern of a user name with a password, which may have a slash, but not of a host with a port."""

_ADDRESS_IN_TEXT = re.compile(r"[a-z][a-z0-9+.\-]*://[^\s'\"`]*[^\s'\"`.,:;)]", re.IGNORECASE)
"""Pattern of an address in a message, without the punctuation after it."""

_SHARED_ACCESS = frozenset(
    {
        *("sv", "ss", "srt", "sp", "st", "se", "spr", "sip", "sr", "sig", "sdd", "scid"),
        *("skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid"),
    }
)
"""Parameters of a shared access signature, which is recognised by ``sig``."""


def is_url(text: str) -> bool:
    """Return whether `text` is an address such as ``s3://bucket/photos``."""
    return _ADDRESS.match(text) is not None


def is_web_url(text: str) -> bool:
    """Return whether `text` is an ``http://`` or ``https://`` address."""
    return re.match(r"https?:/", text, re.IGNORECASE) is not None


def clean_url(text: str) -> str:
    """Return an address with two slashes, its scheme in lower case and no slash at its end."""
    scheme, _, rest = text.partition(":")
    rest = rest.removeprefix("/").removeprefix("/")
    if not (is_web_url(text) and "?" in rest):  # a query may end with a slash
        rest = rest.rstrip("/")
    return f"{scheme.lower()}://{rest}"


def public_url(text: str) -> str:
    """Return an address without user name, password, signature and token.

    The result names an object, stays the same when the address is signed again, and may be stored.
    """
    scheme, _, rest = clean_url(text).partition("://")
    host, slash, path = _CREDENTIALS.sub("", rest).partition("/")
    if is_web_url(text):
        host = host.rpartition("@")[2]  # elsewhere, container@account may precede the path
    elif not _has_signature(path):
        return f"{scheme}://{host}{slash}{path}"
    path, _, query = path.partition("#")[0].partition("?")
    parameters = urllib.parse.parse_qsl(query, keep_blank_values=True)
    names = {name for name, _ in parameters}
    kept = [
        (name, value)
        for name, value in parameters
        if not _SIGNED.fullmatch(name)
        and not ("sig" in names and name in _SHARED_ACCESS)
        and not (name.lower() == "key" and not set(value) & {".", "/"})  # not the key of an object
    ]
    mark = "?" if kept else ""
    return f"{scheme}://{host}{slash}{path}{mark}{urllib.parse.urlencode(kept)}"


def public_word(word: str) -> str:
    """Return a word of a command line, an address or ``--option=address`` in its public form."""
    flag, mark, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return f"{flag}{mark}{public_url(value)}" if is_url(value) else word


def public_text(text: str) -> str:
    """Return a message with its signed addresses in their public form."""

    def public(found: re.Match[str]) -> str:
        return public_url(found[0]) if {"?", "@"} & set(found[0]) else found[0]

    return _ADDRESS_IN_TEXT.sub(public, text)


def _has_signature(path: str) -> bool:
    """Return whether a path has a query with a signature."""
    parameters = urllib.parse.parse_qsl(path.partition("?")[2], keep_blank_values=True)
    return any(_SIGNATURE.fullmatch(name) for name, _ in parameters)


def refuse_credentials(url: str) -> None:
    """Raise UsageError if an address of a store contains a password or a signature."""
    rest = url.partition("://")[2]
    if _CREDENTIALS.match(rest) or _has_signature(rest):
        raise UsageError(
            f"the address {public_url(url)!r} was given with credentials. Leave them out, and use "
            "the environment, a profile or a role of the storage's own tools."
        )
