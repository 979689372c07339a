"""What goes wrong while a film is written, as one OutputError."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from vidcolor.errors import OutputError, VidcolorError


@contextmanager
def output_errors(out: Path) -> Iterator[None]:
    """Turn what goes wrong while writing into one OutputError."""
    try:
        yield
    except VidcolorError:
        raise
    except (av.FFmpegError, OSError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise OutputError(
            f"{out}: cannot write it ({reason}); check the space and the limits of its disk"
        ) from error
