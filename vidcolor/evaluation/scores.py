"""The scores of one film, frame by frame, for the result, the grey and the truth."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidcolor.color import fit_gamut, lab_from_rgb, rgb_from_ycbcr
from vidcolor.evaluation import metrics
from vidcolor.evaluation.metrics import warp_error
from vidcolor.evaluation.report import KINDS, METRICS, Kind, ScoreRow, Scores
from vidcolor.images.optical_flow import Motion, find_motion
from vidcolor.options.values import Matrix

Distances = Mapping[str, Callable[[Tensor, Tensor], float]]
"""By the metric's key: a perceptual distance of R'G'B' pictures (3, h, w) in [0, 1]."""


@dataclass(frozen=True)
class ComparedFrame:
    """A frame at the scoring size: one luma, with the true and the predicted chroma."""

    luma_hw: NDArray[np.float32]
    """Y' (h, w) in [0, 1], of the film."""
    truth_2hw: NDArray[np.float32]
    """The film's own Cb, Cr (2, h, w) in [-0.5, 0.5]."""
    result_2hw: NDArray[np.float32]
    """The predicted Cb, Cr; what leaves the gamut is drawn towards grey."""
    starts_shot: bool
    """It is not compared with the frame before."""
    number: int = 0
    """Which frame of its film, or of the dataset's split, from 0."""


@dataclass(frozen=True)
class ScoredImage:
    """One kind of a frame's color, as R'G'B' and in parts, float64."""

    chroma_2hw: Tensor
    rgb_3hw: Tensor
    lab_3hw: Tensor


def scored_images(frame: ComparedFrame, matrix: Matrix) -> dict[Kind, ScoredImage]:
    """Return the result, the grey and the truth of a frame, over the same luma."""
    luma_1hw = torch.from_numpy(frame.luma_hw)[None].double()
    truth_2hw = torch.from_numpy(frame.truth_2hw).double()
    result_2hw = fit_gamut(luma_1hw, torch.from_numpy(frame.result_2hw).double(), matrix)
    chroma: dict[Kind, Tensor] = {
        "result": result_2hw,
        "grey": torch.zeros_like(truth_2hw),
        "truth": truth_2hw,
    }
    return {kind: _picture(luma_1hw, chroma[kind], matrix) for kind in KINDS}


def _picture(luma_1hw: Tensor, chroma_2hw: Tensor, matrix: Matrix) -> ScoredImage:
    # A decoder's chroma may leave the gamut a little; a display clips it.
    rgb_3hw = rgb_from_ycbcr(luma_1hw, chroma_2hw, matrix).clamp(0, 1)
    return ScoredImage(chroma_2hw, rgb_3hw, lab_from_rgb(rgb_3hw))


COLOURLESS_CODES = 0.5
"""Mean |Cb|, |Cr| in 8-bit codes under which a film is grey but for the noise of its coding."""


class FilmScores:
    """Takes a film's frames in order and ends with its rows of the table.

    scores = FilmScores({"lpips": lpips.distance})
    for frame in frames:
        scores.add(frame, scored_images(frame, "bt709"))
    rows = scores.rows("film.mp4")
    """

    def __init__(self, distances: Distances) -> None:
        self.frame_count = 0
        self._distances = distances
        self._sums = {kind: _Sums() for kind in KINDS}
        self._previous_luma_hw: NDArray[np.float32] | None = None

    def add(self, frame: ComparedFrame, pictures: dict[Kind, ScoredImage]) -> None:
        """Score the next frame; `pictures` are its `scored_images`."""
        motion = None
        if self._previous_luma_hw is not None and not frame.starts_shot:
            motion = find_motion(self._previous_luma_hw, frame.luma_hw)
        for kind, picture in pictures.items():
            self._sums[kind].add_in_time(picture, motion, starts_shot=frame.starts_shot)
            if kind != "truth":
                self._sums[kind].add_errors(picture, pictures["truth"], self._distances)
        self._previous_luma_hw = frame.luma_hw
        self.frame_count += 1

    @property
    def has_color(self) -> bool:
        """The film has frames, and color of its own in them."""
        truth = self._sums["grey"].scores()["chroma_error"]
        return truth is not None and truth >= COLOURLESS_CODES

    def rows(self, film: str) -> tuple[ScoreRow, ...]:
        """Return the scores of all frames so far, one row a kind."""
        truth = self._sums["truth"].scores()["colourfulness"]
        scores = {kind: sums.scores() for kind, sums in self._sums.items()}
        return tuple(
            ScoreRow(
                film, kind, self.frame_count, _with_difference(kind, own, truth), self.has_color
            )
            for kind, own in scores.items()
        )


def _with_difference(kind: Kind, scores: Scores, truth: float | None) -> Scores:
    own = scores["colourfulness"]
    if kind == "truth" or own is None or truth is None:
        return scores
    return {**scores, "colourfulness_difference": own - truth}


class _Sums:
    """Running sums of one kind of picture."""

    def __init__(self) -> None:
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._cdc, self._cdc_chroma = metrics.Cdc(), metrics.Cdc()
        self._previous_2hw: Tensor | None = None

    def _count(self, key: str, value: float) -> None:
        self._sums[key] += value
        self._counts[key] += 1

    def add_in_time(
        self, picture: ScoredImage, motion: Motion | None, *, starts_shot: bool
    ) -> None:
        """Add what needs no truth: colourfulness, and how color changes."""
        self._count("colourfulness", metrics.colourfulness(picture.rgb_3hw))
        rgb = metrics.histograms(picture.rgb_3hw, steps=255)
        chroma = metrics.histograms(picture.chroma_2hw + 0.5, steps=metrics.CODES)
        self._cdc.add(rgb, starts_shot=starts_shot)
        self._cdc_chroma.add(chroma, starts_shot=starts_shot)
        if motion is not None and self._previous_2hw is not None:
            error = warp_error(picture.chroma_2hw, self._previous_2hw, motion)
            if error is not None:
                self._count("warp_error", error)
        self._previous_2hw = picture.chroma_2hw

    def add_errors(self, picture: ScoredImage, truth: ScoredImage, distances: Distances) -> None:
        """Add how far a picture is from the truth."""
        rgb, true_rgb = picture.rgb_3hw, truth.rgb_3hw
        self._count("mean_squared_error", metrics.mean_squared_error(rgb, true_rgb))
        self._count("ssim", metrics.ssim(rgb, true_rgb))
        self._count("chroma_error", metrics.chroma_error(picture.chroma_2hw, truth.chroma_2hw))
        self._count("lab_error", metrics.lab_error(picture.lab_3hw, truth.lab_3hw))
        difference = metrics.delta_e2000(picture.lab_3hw, truth.lab_3hw)
        self._count("delta_e2000", difference.mean().item())
        for key, distance in distances.items():
            self._count(key, distance(rgb, true_rgb))

    def scores(self) -> Scores:
        """Return a number for each metric that has one, None for the others."""
        means = {key: total / self._counts[key] for key, total in self._sums.items()}
        scores: dict[str, float | None] = {m.key: means.get(m.key) for m in METRICS}
        if "mean_squared_error" in means:
            scores["psnr_db"] = metrics.psnr_from_error(means["mean_squared_error"])
        return {**scores, "cdc": self._cdc.value(), "cdc_chroma": self._cdc_chroma.value()}
