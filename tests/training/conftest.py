"""Frames to learn from."""

from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def frames(tmp_path_factory) -> Path:
    """Return a folder of eight frames: a red disc that moves over green ground."""
    folder = tmp_path_factory.mktemp("frames")
    for i in range(8):
        picture = np.full((96, 128, 3), (40, 140, 60), np.uint8)
        cv2.circle(picture, (30 + 8 * i, 48), 20, (40, 40, 220), -1)
        cv2.imwrite(str(folder / f"{i + 1:05d}.png"), picture)
    return folder
