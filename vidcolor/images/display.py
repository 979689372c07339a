"""Frames as a player shows them: in RGB, upright and with square pixels."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vidcolor.color import rgb_from_ycbcr
from vidcolor.images.image_files import RgbImage
from vidcolor.media.orientation import shown_from_stored
from vidcolor.media.probe import Film


def shown_picture(
    luma_hw: NDArray[np.float32], chroma_2hw: NDArray[np.float32], film: Film
) -> RgbImage:
    """Return a frame of a film as (H, W, 3) RGB, as it is shown.

    Chroma is enlarged bilinearly, as players do.

    Args:
        luma_hw: Y' (h, w) in [0, 1], as it is stored.
        chroma_2hw: Cb, Cr in [-0.5, 0.5], of any size.
        film: says what the numbers mean, how the picture is turned and how wide its pixels are.
    """
    size = luma_hw.shape[1], luma_hw.shape[0]
    enlarged_2hw = np.stack([cv2.resize(plane, size) for plane in chroma_2hw])
    rgb_3hw = rgb_from_ycbcr(
        torch.from_numpy(luma_hw)[None], torch.from_numpy(enlarged_2hw), film.matrix
    )
    codes: NDArray[np.float32] = rgb_3hw.clamp(0, 1).permute(1, 2, 0).numpy() * 255
    square_hw3 = _with_square_pixels(codes.round().astype(np.uint8), film)
    return shown_from_stored(square_hw3, film.display_matrix)


def _with_square_pixels(picture: RgbImage, film: Film) -> RgbImage:
    if film.sample_aspect_ratio == 1:
        return picture
    height, width = picture.shape[:2]
    size = max(1, round(width * film.sample_aspect_ratio)), height
    return np.asarray(cv2.resize(picture, size), dtype=np.uint8)
