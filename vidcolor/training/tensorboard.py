"""Event files for TensorBoard, of a training that was asked for them."""

from collections.abc import Mapping
from pathlib import Path

import cv2

from vidcolor.errors import OptionsError


class Board:
    """What TensorBoard shows of a training: every number of its log, and its sample pictures.

    board = Board(folder, from_step=0)
    board.add({"step": 1, "pixel": 0.2})
    """

    def __init__(self, folder: Path, *, from_step: int) -> None:
        """Begin a file in the model's folder; what older ones hold of later steps is void.

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
        """Add a picture, and write all that there is to the disk."""
        bgr = cv2.imread(str(picture))
        assert bgr is not None, "it was written a moment ago"
        self._writer.add_image("samples", bgr[..., ::-1], step, dataformats="HWC")
        self._writer.flush()
