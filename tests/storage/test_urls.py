"""Addresses without signatures and credentials."""

from __future__ import annotations

import pytest

import embedpipe as ep
from embedpipe._urls import (
    clean_url,
    is_url,
    public_text,
    public_url,
    public_word,
    refuse_credentials,
)
from embedpipe.errors import UsageError

AWS = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260101&X-Amz-Signature=abc"
AZURE = "sv=2024-11-04&ss=b&srt=o&sp=r&se=2026-12-01&st=2026-11-01&spr=https&sig=abc%3D"


@pytest.mark.parametrize(
    ("given", "public"),
    [
        (f"https://b.s3.amazonaws.com/a%20b.jpg?{AWS}", "https://b.s3.amazonaws.com/a%20b.jpg"),
        (f"https://h/a.jpg?versionId=3&{AWS}", "https://h/a.jpg?versionId=3"),
        (f"https://x.blob.core.windows.net/c/a.jpg?{AZURE}", "https://x.blob.core.windows.net/c/a.jpg"),
        ("https://storage.googleapis.com/b/a.jpg?X-Goog-Signature=a&X-Goog-Expires=9",
         "https://storage.googleapis.com/b/a.jpg"),
        ("https://h/a.jpg?Expires=1&Signature=a&Key-Pair-Id=k&Policy=p", "https://h/a.jpg"),
        ("https://h/a.jpg?AWSAccessKeyId=k&Signature=s&Expires=1", "https://h/a.jpg"),
        ("https://user:secret@h/a.jpg", "https://h/a.jpg"),
        ("https://token@h/a.jpg#part", "https://h/a.jpg"),
        ("https://h/get?id=5&access_token=t&api_key=k", "https://h/get?id=5"),
        ("https://h/get?key=photos/1.jpg", "https://h/get?key=photos%2F1.jpg"),
        ("https://h/get?id=5&key=AIzaSecret", "https://h/get?id=5"),
        ("https://h/a.jpg?size=2&st=1", "https://h/a.jpg?size=2&st=1"),
        ("https://h/a.jpg?x-oss-process=crop&x-oss-signature=s&OSSAccessKeyId=k",
         "https://h/a.jpg?x-oss-process=crop"),
        ("https://h/a.jpg?q-sign-algorithm=sha1&q-ak=k&q-key-time=1%3B2&q-signature=s",
         "https://h/a.jpg"),
        ("https://h/a.jpg?jwt=j&pwd=p&q=cats&id=7", "https://h/a.jpg?q=cats&id=7"),
        (f"az://c/a.jpg?{AZURE}", "az://c/a.jpg"),
        (f"s3://b/a.jpg?versionId=3&{AWS}", "s3://b/a.jpg?versionId=3"),
        ("s3://b/a.jpg?token=1&st=2", "s3://b/a.jpg?token=1&st=2"),  # the name of an object
        ("s3://AKIA:abc/SECRET@bucket/ws", "s3://bucket/ws"),
        ("https://user:a/b@h/a.jpg", "https://h/a.jpg"),
        ("https://user:1234@h/a@b.jpg", "https://h/a@b.jpg"),
        ("http://h:8080/a:b@c.jpg", "http://h:8080/a:b@c.jpg"),
        ("http://[::1]:80/a@b.jpg", "http://[::1]:80/a@b.jpg"),
        ("s3://key:secret@bucket/a?b#c.jpg", "s3://bucket/a?b#c.jpg"),
        ("abfss://container@account.dfs.core.windows.net/a.jpg",
         "abfss://container@account.dfs.core.windows.net/a.jpg"),
    ],
)  # fmt: skip
def test_signatures_and_credentials_are_removed(given: str, public: str) -> None:
    assert public_url(given) == public
    assert public_url(public) == public


def test_addresses_and_paths_are_told_apart() -> None:
    for text in ("s3://b", "s3:/b/x", "GS://b", "x-store+v2://a", "https://h", "memory://m"):
        assert is_url(text)
    for text in ("photos", "/photos", "C:/photos", "a:b", "./s3://b", "s3"):
        assert not is_url(text)
    assert clean_url("S3:/bucket/a/") == "s3://bucket/a"
    assert clean_url("file:///tmp/x") == "file:///tmp/x"
    assert clean_url("https://h/get?path=a/") == "https://h/get?path=a/"
    assert clean_url("s3://b/a?b/") == "s3://b/a?b"


def test_words_of_a_command_line_have_no_signature() -> None:
    signed = f"https://h/a.zip?{AWS}"
    assert public_word(signed) == "https://h/a.zip"
    assert public_word(f"--source={signed}") == "--source=https://h/a.zip"
    assert public_word("--within=a=b") == "--within=a=b"
    assert public_word("photos=s3://b") == "photos=s3://b"


def test_messages_have_no_signature() -> None:
    signed = f"https://h/a.zip?id=1&{AWS}"
    text = "'{0}' cannot be read ({0}): {0}. See https://h/help/, s3://, or a?b@c."
    assert public_text(text.format(signed)) == text.format("https://h/a.zip?id=1")
    assert public_text("s3://AKIA:a/b@bucket/ws: no.") == "s3://bucket/ws: no."


@pytest.mark.parametrize(
    "address",
    ["s3://k:SECRET@b", "s3://k:abc/SECRET@b/ws", "az://c/ws?sv=1&sig=SECRET",
     "s3://b/ws?X-Amz-Credential=k&X-Amz-Signature=SECRET"],
)  # fmt: skip
def test_a_workspace_with_credentials_is_refused(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        ep.Workspace(address)
    assert "given with credentials" in str(caught.value)
    assert "SECRET" not in str(caught.value)
    for allowed in ("s3://b/a:b@c", "s3://b:90/ws@x", "abfss://c@account/ws", "s3://b/a?b=c"):
        refuse_credentials(allowed)
