"""A few made-up images whose vectors tell whether a machine still computes the same thing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["canary_images"]

HEIGHT, WIDTH = 300, 400
_SCALES = ((120, 130), (40, 60), (12, 30), (4, 12))  # cell in pixels, amplitude in grey levels


def canary_images() -> list[bytes]:
    """Return four images as PPM files, with detail at every scale as photos have it.

    They are made with integers alone and are not compressed, so they are the same bytes
    everywhere: only decoding, resizing and encoding can change their vectors.
    """
    return [_ppm(number) for number in range(4)]


def _ppm(number: int) -> bytes:
    planes = []
    for channel in range(3):
        plane = np.full((HEIGHT, WIDTH), 128, np.int32)
        for scale, (cell, amplitude) in enumerate(_SCALES):
            shared = scale if channel else scale + 4  # colours differ at every scale, not wildly
            noise = _smooth_noise(cell, 64 * number + 8 * shared)
            own = _smooth_noise(cell, 64 * number + 8 * scale + channel + 1)
            plane += amplitude * (2 * noise + own - 3 * 128) // (3 * 128)
        planes.append(np.clip(plane, 0, 255).astype(np.uint8))
    header = f"P6\n{WIDTH} {HEIGHT}\n255\n".encode()
    return header + np.stack(planes, axis=-1).tobytes()  # (h, w, 3)


def _smooth_noise(cell: int, seed: int) -> NDArray[np.int32]:
    """Return noise of 0..255 that is smooth over `cell` pixels: a grid, interpolated linearly."""
    y, x = np.arange(HEIGHT, dtype=np.int32), np.arange(WIDTH, dtype=np.int32)
    i, j = np.arange(HEIGHT // cell + 2)[:, None], np.arange(WIDTH // cell + 2)
    grid = (i * 73_856_093 + j * 19_349_663 + seed * 83_492_791) % 2_147_483_647
    for _ in range(3):
        grid = (grid * 48_271 + 11) % 2_147_483_647
    grid = ((grid >> 8) % 256).astype(np.int32)
    row, column, down, right = y // cell, x // cell, (y % cell)[:, None], x % cell
    across = grid[:, column] * (cell - right) + grid[:, column + 1] * right  # (grid rows, w)
    smooth = across[row] * (cell - down) + across[row + 1] * down  # (h, w)
    return np.asarray(smooth // (cell * cell), np.int32)
