"""A program that embeds images in small fragments and prints a line before the first one."""

import sys

import embedpipe as ep
from embedpipe.embedding import filling


def main(images: str, workspace: str) -> None:
    filling.FRAGMENT_ROWS, filling.BATCH_SIZE = 4, 4
    ep.embed(images, backbone="toy", workspace="memory://warm/ws")  # all imports
    print("started", flush=True)
    ep.embed(images, backbone="toy", workspace=workspace)


if __name__ == "__main__":
    main(*sys.argv[1:])
