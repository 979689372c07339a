"""Where one shot ends and the next begins, seen from luma alone.

A black-and-white film has no hue and no saturation, so detectors that average them in miss most
of its cuts. Here a frame is reduced to a thumbnail, its brightness and contrast are taken out,
and two neighbours whose thumbnails differ by more than a threshold belong to two shots.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

THUMBNAIL_SIZE = (32, 18)
"""Width and height: enough to tell pictures apart, too little to see grain."""

CUT_DIFFERENCE = 0.6
"""Mean absolute difference of two normalised thumbnails above which there is a cut.

Unrelated pictures differ by about 1.1 (two independent normal variables: 2/sqrt(pi)), neighbours
in a shot by less than 0.3; both 0.4 and 0.6 found every cut of a drawn set of 59.
"""

FLAT_DEVIATION = 0.01
"""Standard deviation of luma (0 to 1) under which a thumbnail shows nothing: a black frame.

Dividing by less would blow noise up to the size of a picture.
"""


class CutDetector:
    """Tells, frame after frame, whether a new shot begins.

    detector = CutDetector()
    for luma in frames:
        if detector.is_cut(luma): ...
    """

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None

    def is_cut(self, luma_hw: NDArray[np.float32]) -> bool:
        """Tell whether this frame and the one before belong to two shots.

        Args:
            luma_hw: (h, w) in [0, 1], of any size; the first frame is never a cut.
        """
        thumbnail = _normalised(luma_hw)
        last, self._last = self._last, thumbnail
        return last is not None and float(np.abs(thumbnail - last).mean()) > CUT_DIFFERENCE


def _normalised(luma_hw: NDArray[np.float32]) -> NDArray[np.float32]:
    thumbnail = cv2.resize(luma_hw, THUMBNAIL_SIZE, interpolation=cv2.INTER_AREA)
    deviation = max(float(thumbnail.std()), FLAT_DEVIATION)
    return np.asarray((thumbnail - thumbnail.mean()) / deviation, dtype=np.float32)
