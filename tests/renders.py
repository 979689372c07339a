"""Renders as tests want them: lossless, on the CPU."""

from pathlib import Path
from typing import Any

from vidcolor.options.render import RenderOptions
from vidcolor.rendering.render import Rendered, render


def render_lossless(
    film: Path,
    out: Path | str,
    model: str,
    *,
    pool: Any = None,
    on_frame: Any = None,
    **changes: Any,
) -> Rendered:
    """Render a film to `out`, a path, or a name beside the film.

    Args:
        film: what is rendered.
        out: its result.
        model: a model's folder or name.
        pool: a WorkerPool, or what stands in for one, that renders the segments.
        on_frame: an OnFrame, told of progress.
        changes: options other than these.
    """
    options = {"model": model, "device": "cpu", "codec": "ffv1"} | changes
    return render(film, film.parent / out, RenderOptions(**options), pool=pool, on_frame=on_frame)
