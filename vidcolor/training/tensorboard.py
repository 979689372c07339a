"""Event files for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path

import cv2

from vidcolor.errors import OptionsError


class Board:
    """Writes a training's numbers and sample pictures for TensorBoard.

    board = Board(folder, from_step=0)
    board.add({"step": 1, "pixel": 0.2})
    """

    def __init__(self, folder: Path, *, from_step: int) -> None:
        """Start a file in the model's folder; later steps in older files are discarded.

        Raises:
            OptionsError: tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise OptionsError(
                f"--tensorboard: {error}; install it with pip install 'vidcolor[tensorboard]'"
            ) from error
        purged = from_step + 1 if from_step else None
        self._writer = SummaryWriter(folder / "tensorboard", purge_step=purged)

    def add(self, record: Mapping[str, float]) -> None:
        """Add a record's numbers at its step."""
        for name in record.keys() - {"step"}:
            self._writer.add_scalar(name, record[name], int(record["step"]))

    def show(self, picture: Path, step: int) -> None:
        """Add a picture, and flush to the disk."""
        bgr = cv2.imread(str(picture))
        assert bgr is not None, "it was written a moment ago"
        self._writer.add_image("samples", bgr[..., ::-1], step, dataformats="HWC")
        self._writer.flush()
