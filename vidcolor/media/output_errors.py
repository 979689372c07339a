"""Turn errors of writing into OutputError."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from vidcolor.errors import OutputError, VidcolorError


@contextmanager
def output_errors(out: Path) -> Iterator[None]:
    """Turn errors of writing `out` into OutputError."""
    try:
        yield
    except VidcolorError:
        raise
    except (av.FFmpegError, OSError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise OutputError(
            f"{out}: cannot be written ({reason}); check the free space and limits of its disk"
        ) from error
