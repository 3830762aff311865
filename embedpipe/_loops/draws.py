"""Random numbers that belong to rows: the same whenever they are asked for."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["uniform_of_rows"]


def uniform_of_rows(rows: ArrayLike, seed: int, purpose: str) -> NDArray[np.float64]:
    """Return (k,) numbers in [0, 1) that follow from row, seed and purpose alone."""
    # SplitMix64 (Steele, Lea, Flood 2014), started from a digest; a row is a place in the sequence.
    digest = hashlib.blake2b(f"{seed} {purpose}".encode(), digest_size=8).digest()
    start = np.uint64(int.from_bytes(digest, "big"))
    mixed = np.asarray(rows).astype(np.uint64)  # (k,)
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64
        mixed = start + (mixed + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53)
