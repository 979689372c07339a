"""The verb `render`: a film in, the same film in colour out.

The line: decode, look, colour, enlarge the chroma under the luma's guidance, merge it with the
film's own luma, encode, and carry everything else over.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vidcolor.color import fit_gamut
from vidcolor.errors import InputError
from vidcolor.media.changes import Changes
from vidcolor.media.decode import Frame, read_frames, unit_luma
from vidcolor.media.encode import SegmentWriter
from vidcolor.media.film import probe
from vidcolor.media.levels import Codes, chroma_from_unit
from vidcolor.media.mux import join
from vidcolor.media.plan import OutputPlan, check_output
from vidcolor.network.colorizer import Colored, Colorizer
from vidcolor.network.device import half_the_cores
from vidcolor.options import Matrix, RenderOptions
from vidcolor.scaling import enlarge_chroma, resize
from vidcolor.work import work_folder


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What `render` did."""

    out: Path
    """The film in colour."""
    frame_count: int
    shot_count: int


def render(
    source: Path | str,
    out: Path | str,
    options: RenderOptions,
    *,
    on_frame: Callable[[int], None] | None = None,
) -> Rendered:
    """Colour the film `source` and write it to `out`, which appears only when it is whole.

    Args:
        source: any film that FFmpeg reads.
        out: a name that ends in .mp4, .mkv or .mov.
        options: model, encoder, device and the rest.
        on_frame: called with the number of frames done, after each.

    Raises:
        InputError: the film cannot be read, or has no frames between start and end.
        OptionsError: codec, preset and container do not go together.
        OutputError: the result cannot be written, or cannot hold one of the film's tracks.
        ModelError: there is no such model, or it is damaged.
    """
    film = probe(source)
    changes = Changes(strict=options.strict)
    plan = check_output(film, out, options, changes)
    colorizer = Colorizer.load(options.model, options.device, options.size)
    frame_count, shot_count = 0, 0
    with half_the_cores(), work_folder(plan.out) as work:
        with SegmentWriter(work / plan.segment_name(0), film, plan) as segment:
            frames = read_frames(film, start=plan.start, end=plan.end, changes=changes)
            for colored in colorizer.colorize(frames, luma=unit_luma, matrix=film.matrix):
                segment.write(
                    colored.frame, chroma_codes(colored, plan, film.matrix, options.saturation)
                )
                frame_count += 1
                shot_count += colored.starts_shot or frame_count == 1
                if on_frame is not None:
                    on_frame(frame_count)
            if frame_count == 0:
                raise InputError(
                    f"{source}: no frame between --start {options.start or 0} and "
                    f"--end {options.end or 'its end'}; choose other times"
                )
        join([segment.path], film, plan, changes)
    return Rendered(out=plan.out, frame_count=frame_count, shot_count=shot_count)


def chroma_codes(
    colored: Colored[Frame], plan: OutputPlan, matrix: Matrix, saturation: float
) -> Codes:
    """Return the Cb, Cr planes (2, h, w) that go beside a frame's luma.

    The network's chroma is enlarged to the planes' size along the film's edges, multiplied with
    `saturation`, and shrunk towards grey wherever the pair with this luma is no colour.
    """
    luma_hw = resize(unit_luma(colored.frame), *plan.chroma_shape[1:])
    chroma_2hw = enlarge_chroma(colored.chroma_2hw, colored.luma_hw, luma_hw)
    fitted_2hw: NDArray[np.float32] = fit_gamut(
        torch.from_numpy(luma_hw)[None], torch.from_numpy(chroma_2hw) * saturation, matrix
    ).numpy()
    return chroma_from_unit(fitted_2hw, depth=plan.depth, full_range=plan.full_range)
