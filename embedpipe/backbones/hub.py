"""Downloads of weights from the Hugging Face hub."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import BackboneError
from .weights import digest_of_file

__all__ = ["hub_file"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


def hub_file(repository: str, names: Sequence[str], revision: str | None, backbone: str) -> Path:
    """Return the first of the named files that a repository has, downloaded if it is missing.

    A file in the hub's cache is used without a request. A downloaded file is verified by the
    SHA-256 that the hub states for it. An interrupted connection continues.
    """
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    version = revision or "main"
    for name in names:
        cached = try_to_load_from_cache(repository, name, revision=version)
        if isinstance(cached, str):
            return Path(cached)
    page = f"{constants.ENDPOINT}/{repository}"
    for name in names:
        try:
            with _quiet_log():
                return _download(repository, name, version)
        except EntryNotFoundError:
            continue
        except GatedRepoError as error:
            raise BackboneError(
                f"the weights of {backbone!r} need an agreement: accept it at {page}, then run `hf "
                "auth login`."
            ) from error
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            raise BackboneError(
                f"the weights of {backbone!r} do not exist: the hub has no {repository!r}"
                + (f" with the revision {revision!r}." if revision else ".")
            ) from error
        # The hub's client raises many kinds of exceptions.
        except Exception as error:
            folder = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
            # After a download that failed half-way, the cache resolves the revision to a commit.
            commit = folder / "refs" / version
            snapshot = commit.read_text().strip() if commit.is_file() else version
            raise BackboneError(
                f"the weights of {backbone!r} cannot be downloaded ({_reason(error)}). Try again, "
                f"or download {page}/resolve/{version}/{name} on another computer and copy the "
                f"file into {folder / 'snapshots' / snapshot}, or give it with --weights."
            ) from error
    raise BackboneError(
        f"the weights of {backbone!r} do not exist: {page} has no file {' or '.join(names)}."
    )


def _download(repository: str, name: str, revision: str) -> Path:
    """Download and verify a file."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    # The download would retry for half a minute without a network; this fails at once.
    digest = get_hf_file_metadata(hf_hub_url(repository, name, revision=revision)).etag or ""
    path = Path(hf_hub_download(repository, name, revision=revision))
    if _SHA256.fullmatch(digest) and digest_of_file(path) != digest:
        path.resolve().unlink()
        path.unlink(missing_ok=True)  # a link, if the system has links
        raise OSError(f"the SHA-256 of {name} is not {digest}: the file is damaged")
    return path


def _reason(error: BaseException) -> str:
    """Return the first line of an error."""
    return str(error).strip().split("\n", maxsplit=1)[0].rstrip(".") or type(error).__name__


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    """Silence the log of the hub's client about retries."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
