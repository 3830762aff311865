"""Small videos whose frames have the colour of their number."""

import av
import numpy as np

STEP = 4
"""Grey levels between two frames."""

HALVES = "halves"


def write_video(path, frames=50, fps=25, codec="libx264", size=(96, 64), picture=None, **options):
    """Write a video; frame i has the grey level STEP * i, or is `picture(i)`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"g": "10", **options}
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), STEP * number % 256, np.uint8)
            if picture is not None:
                pixels = picture(number)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def turn(path, degrees):
    """Set the rotation in the header of an MP4, as phones do."""
    one, minus = 1 << 16, (-(1 << 16)) % (1 << 32)
    a, b, c, d = {
        0: (one, 0, 0, one),
        90: (0, one, minus, 0),
        180: (minus, 0, 0, minus),
        270: (0, minus, one, 0),
    }[degrees]
    matrix = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    data = bytearray(path.read_bytes())
    begin = data.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of fields
    data[begin : begin + 36] = b"".join(value.to_bytes(4, "big") for value in matrix)
    path.write_bytes(data)
