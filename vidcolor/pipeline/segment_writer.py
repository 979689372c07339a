"""The last stage: write colored frames to a segment's file."""

import zlib
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidcolor.files import digest
from vidcolor.inference.colorizer import ColoredFrame
from vidcolor.media.encode import SegmentWriter
from vidcolor.media.frame import Frame
from vidcolor.media.output_plan import OutputPlan
from vidcolor.media.probe import Film
from vidcolor.media.quantization import Codes, chroma_from_unit
from vidcolor.pipeline.colorize import FrameContext, film_chroma
from vidcolor.pipeline.journal import Segment
from vidcolor.pipeline.threads import ThreadedStages


class MergedFrame(NamedTuple):
    """A frame, and the codes of its new chroma."""

    place: FrameContext
    chroma_2hw: Codes


def merge(
    colored: Iterable[ColoredFrame[FrameContext]],
    film: Film,
    plan: OutputPlan,
    stages: ThreadedStages,
) -> Generator[MergedFrame, None, None]:
    """Yield frames with the chroma codes in the plan's format."""

    def merged(frame: ColoredFrame[FrameContext]) -> MergedFrame:
        chroma_2hw = film_chroma(frame, plan.chroma_shape[1:], film.matrix)
        codes_2hw = chroma_from_unit(chroma_2hw, depth=plan.depth, full_range=plan.full_range)
        return MergedFrame(frame.place, codes_2hw)

    return stages.each(merged, colored, "merge")


def write_segment(
    path: Path,
    frames: Iterable[MergedFrame],
    film: Film,
    plan: OutputPlan,
    stages: ThreadedStages,
    on_frame: Callable[[int], None] | None = None,
) -> Segment:
    """Encode a segment's frames to a file, and return its description.

    Args:
        path: renamed to this when it is complete and on the disk.
        frames: those of one segment, in order.
        film: the film that they belong to.
        plan: how the result is written.
        stages: counts the time.
        on_frame: called with the number of frames done, after each.

    Returns:
        The segment, without warnings.

    Raises:
        OutputError: the file cannot be written.
    """
    frame_count = shot_count = 0
    with SegmentWriter(path, film, plan) as segment:
        for place, chroma_2hw in frames:
            frame = place.frame
            if frame_count == 0:
                first = frame
            with stages.clock("encode"):
                segment.write(frame, chroma_2hw)
            frame_count += 1
            shot_count += place.starts_shot
            if on_frame is not None:
                on_frame(frame_count)
    return Segment(
        number=place.segment,
        name=path.name,
        sha256=digest(path),
        frame_count=frame_count,
        shot_count=shot_count,
        first_pts=first.pts,
        first_luma=checksum(first),
        last_pts=frame.pts,
        changes=(),
        stage_seconds=stages.lap(),
    )


def checksum(frame: Frame) -> int:
    """Return the CRC-32 of a frame's luma, as decoded."""
    return zlib.crc32(np.ascontiguousarray(frame.luma).data)
