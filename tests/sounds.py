"""Films with sound of any codec, drawn by the tests, and their samples read back by PyAV alone."""

from fractions import Fraction

import av
import numpy as np
from av.stream import Disposition

RATE = 8000


def noise(seconds: float, channels: int = 1) -> np.ndarray:
    """Return samples (n, channels) in [-0.5, 0.5) that no codec can guess."""
    count = round(seconds * RATE)
    return np.random.default_rng(0).random((count, channels), np.float32) - 0.5


def film_with_sound(path, codec, samples, *, layout="mono", start=0.0, rate=RATE, **notes):
    """Write two seconds of picture with a track of `samples` from `start`, seconds."""
    with av.open(str(path), "w", container_options={"strict": "experimental"}) as output:
        video = output.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        sound = output.add_stream(codec, rate=rate, layout=layout)
        sound.metadata.update({"language": "fra", "title": "Musique", **notes})
        if codec == "wmav2":
            sound.codec_context.bit_rate = 128000
        sound.disposition = Disposition.comment
        for number in range(50):
            picture = av.VideoFrame(32, 32, "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
        size = sound.codec_context.frame_size or 1000
        for first in range(0, len(samples), size):
            part = np.ascontiguousarray(samples[first : first + size].reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(part, "flt", layout)
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = round(start * rate) + first
            for made in av.AudioResampler(format=sound.format.name).resample(frame):
                output.mux(sound.encode(made))
        output.mux(sound.encode(None))
    return path


def sound_of(path):
    """Return the samples (n, channels) as floats in [-1, 1], and when they start, seconds."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.audio[0]))
    parts = []
    for planar in frames:
        # PyAV 18 takes eight planes for nine.
        packed = planar.format.packed if planar.format.is_planar else None
        (frame,) = av.AudioResampler(format=packed).resample(planar) if packed else (planar,)
        part = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
        if part.dtype == np.uint8:
            part = (part.astype(np.float64) - 128) / 128
        elif part.dtype.kind == "i":
            part = part.astype(np.float64) / 2.0 ** (8 * part.dtype.itemsize - 1)
        parts.append(part.astype(np.float64))
    return np.concatenate(parts), float((frames[0].pts or 0) * Fraction(frames[0].time_base or 0))
