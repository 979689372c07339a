"""A render without a network: constant chroma, through the same writers as the real one."""

from pathlib import Path
from typing import Any

import numpy as np

from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.decode import read_frames
from vidcolor.media.encode import SegmentWriter
from vidcolor.media.mux import join
from vidcolor.media.output_plan import OutputPlan, check_output
from vidcolor.media.probe import Film, probe
from vidcolor.options.render import RenderOptions
from vidcolor.rendering.workdir import work_on

BLUE_CHROMA_8BIT = 108
"""Twenty codes below grey: a render that mixes planes up shows it."""


def render(path: Path, name: str = "out.mp4", **wanted: Any) -> Path:
    """Render a film beside itself as `name` and return where it is."""
    return render_with_account(path, name, **wanted)[0]


def render_with_account(
    path: Path,
    name: str = "out.mp4",
    *,
    segments: int = 1,
    join_changes: Changes | None = None,
    **options: Any,
):
    """Render as `render` does; also return what became of the streams."""
    film = probe(path)
    plan = check_output(film, path.with_name(name), RenderOptions(**options), Changes())
    with work_on(plan.out, {}) as work:
        written = write_segments(film, plan, work.folder, segments)
        accounts = join(written, film, plan, join_changes or Changes())
    return plan.out, accounts


def write_segments(film: Film, plan: OutputPlan, work: Path, count: int = 1) -> list[Path]:
    """Write `count` segments of about equal length and return their files."""
    kind = np.uint8 if plan.depth == 8 else np.uint16
    chroma = np.full(plan.chroma_shape, 1 << (plan.depth - 1), kind)
    chroma[0] = BLUE_CHROMA_8BIT << (plan.depth - 8)
    frames = list(read_frames(film, start=plan.start, end=plan.end))
    size = -(-len(frames) // count)
    written = []
    for number in range(count):
        with SegmentWriter(work / plan.segment_name(number), film, plan) as segment:
            for frame in frames[number * size : (number + 1) * size]:
                segment.write(frame, chroma)
        written.append(segment.path)
    return written
