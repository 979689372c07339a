"""Frames as a player shows them: in RGB, upright and with square pixels."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vidcolor.color import rgb_from_ycbcr
from vidcolor.images.contact_sheet import RgbImage
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
    return _upright(_with_square_pixels(codes.round().astype(np.uint8), film), film)


def _with_square_pixels(picture: RgbImage, film: Film) -> RgbImage:
    if film.sample_aspect_ratio == 1:
        return picture
    height, width = picture.shape[:2]
    size = max(1, round(width * film.sample_aspect_ratio)), height
    return np.asarray(cv2.resize(picture, size), dtype=np.uint8)


def _upright(stored: RgbImage, film: Film) -> RgbImage:
    """Return a picture turned and mirrored as it is shown.

    The display matrix takes a stored x, y to a x + c y, b x + d y, its first five numbers being
    a, b, 0, c and d (ISO/IEC 14496-12, 6.2.2).
    """
    if film.display_matrix is None:
        return stored
    a, b, _, c, d = film.display_matrix[:5]
    is_turned = abs(b) > abs(a)
    down, across = (b, c) if is_turned else (d, a)
    turned = stored.transpose(1, 0, 2) if is_turned else stored
    return np.ascontiguousarray(turned[:: 1 if down >= 0 else -1, :: 1 if across >= 0 else -1])
