"""No encoder changes how the threads of this process are scheduled, not even when root runs it."""

import os

import numpy as np
import pytest

from vidcolor.media.conversion_warnings import Changes
from vidcolor.media.decode import read_frames
from vidcolor.media.encode import SegmentWriter
from vidcolor.media.output_plan import check_output
from vidcolor.media.priority import thread_ids
from vidcolor.media.probe import probe
from vidcolor.options.render import RenderOptions

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can take real-time priority")


def _policies() -> set[int]:
    return {os.sched_getscheduler(thread) for thread in thread_ids()}


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
def test_encoding_takes_no_real_time_priority(draw, tmp_path, codec):
    film = probe(draw("film.mkv", frames=2))
    plan = check_output(film, tmp_path / "out.mkv", RenderOptions(codec=codec), Changes())
    assert _policies() == {os.SCHED_OTHER}
    grey = np.full(plan.chroma_shape, 128, np.uint8)
    with SegmentWriter(tmp_path / plan.segment_name(0), film, plan) as segment:
        for frame in read_frames(film):
            segment.write(frame, grey)
            assert _policies() == {os.SCHED_OTHER}
    assert _policies() == {os.SCHED_OTHER}
