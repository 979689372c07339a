"""The end of the line: coloured frames into the file of a segment."""

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from vidcolor.coloring import Picture, film_chroma
from vidcolor.journal import Segment, digest
from vidcolor.media.encode import SegmentWriter
from vidcolor.media.film import Film
from vidcolor.media.frame import Frame
from vidcolor.media.levels import Codes, chroma_from_unit
from vidcolor.media.plan import OutputPlan
from vidcolor.network.colorizer import Colored


def write_segment(
    path: Path,
    frames: Iterable[Colored[Picture]],
    film: Film,
    plan: OutputPlan,
    *,
    on_frame: Callable[[int], None] | None = None,
) -> Segment:
    """Encode a segment's frames into a file, and say what is in it.

    Args:
        path: gets its name when it is whole and on the disk.
        frames: those of one segment, in order.
        film: that they are of.
        plan: how the result is written.
        on_frame: called with the number of frames done, after each.

    Returns:
        The segment, without what the film lost in it.

    Raises:
        OutputError: the file cannot be written.
    """
    frame_count = shot_count = 0
    with SegmentWriter(path, film, plan) as segment:
        for colored in frames:
            frame = colored.frame.frame
            if frame_count == 0:
                first = frame
            segment.write(frame, _chroma(colored, film, plan))
            frame_count += 1
            shot_count += colored.place.starts_shot
            if on_frame is not None:
                on_frame(frame_count)
    return Segment(
        number=colored.place.segment,
        name=path.name,
        sha256=digest(path),
        frame_count=frame_count,
        shot_count=shot_count,
        first_pts=first.pts,
        first_luma=checksum(first),
        last_pts=frame.pts,
        changes=(),
    )


def _chroma(colored: Colored[Picture], film: Film, plan: OutputPlan) -> Codes:
    chroma_2hw = film_chroma(colored, plan.chroma_shape[1:], film.matrix)
    return chroma_from_unit(chroma_2hw, depth=plan.depth, full_range=plan.full_range)


def checksum(frame: Frame) -> int:
    """Return the CRC-32 of a frame's luma, as decoded."""
    return zlib.crc32(np.ascontiguousarray(frame.luma).data)
