"""Color for black-and-white film.

    from pathlib import Path
    import vidcolor

    options = vidcolor.RenderOptions(saturation=0.9)
    vidcolor.render(Path("in.mp4"), Path("out.mp4"), options)

A verb is imported when it is first used, so that `import vidcolor` is fast.
"""

import importlib
from typing import TYPE_CHECKING, Any

from vidcolor._version import __version__

if TYPE_CHECKING:
    from vidcolor.dataset.extract import extract
    from vidcolor.errors import (
        InputError,
        ModelError,
        OptionsError,
        OutputError,
        VidcolorError,
    )
    from vidcolor.evaluation.evaluate import evaluate
    from vidcolor.options.evaluate import EvaluateOptions
    from vidcolor.options.extract import ExtractOptions
    from vidcolor.options.render import RenderOptions
    from vidcolor.options.train import TrainOptions
    from vidcolor.rendering.render import render
    from vidcolor.training.train import train

__all__ = [
    "EvaluateOptions",
    "ExtractOptions",
    "InputError",
    "ModelError",
    "OptionsError",
    "OutputError",
    "RenderOptions",
    "TrainOptions",
    "VidcolorError",
    "__version__",
    "evaluate",
    "extract",
    "render",
    "train",
]

_HOMES = {
    "EvaluateOptions": "vidcolor.options.evaluate",
    "ExtractOptions": "vidcolor.options.extract",
    "RenderOptions": "vidcolor.options.render",
    "TrainOptions": "vidcolor.options.train",
    "evaluate": "vidcolor.evaluation.evaluate",
    "extract": "vidcolor.dataset.extract",
    "render": "vidcolor.rendering.render",
    "train": "vidcolor.training.train",
}
"""Modules of the public names; the others are exceptions."""


def __getattr__(name: str) -> Any:
    """Import a public name from its module (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'vidcolor' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "vidcolor.errors")), name)
