"""Makes the golden frames that tests/golden/test_golden.py compares with.

.venv/bin/python tests/golden/make.py tests/golden/frames.npz

It only calls the command, so the goldens can be made with any version: run this file in a checkout
of that version, with the version's own Python. The present ones were made by version 848aaec,
before the modules moved to folders. Make them again when results shall change, and say why.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
OLD_MODEL = ROOT / "tests" / "data" / "training-848aaec" / "part.tar.xz"
WEIGHTS = Path("models") / "default" / "weights.safetensors"
KEPT_FRAMES = (0, 4, 9)
"""Of each film: two of the first shot, the last of the second."""
DEFAULT_CASES: dict[str, tuple[str, ...]] = {
    "plain": (),
    "no stabilizer": ("--stabilize", "0"),
    "mask": ("--mask", "mask.png"),
    "hints": ("--hints", "hints.toml"),
    "reference": ("--reference", "reference.png"),
}
"""Options of renders of the 8-bit film by the default model."""
TINY_CASES: dict[str, tuple[str, ...]] = {
    "tiny": ("film8.mkv",),
    "tiny, 10 bit": ("film10.mkv",),
    "tiny, no stabilizer": ("film10.mkv", "--stabilize", "0", "--saturation", "0.5"),
}
"""Films, and options of renders of them by a model of a few kilobytes that takes noise."""
ALWAYS = ("--codec", "ffv1", "--engine", "torch", "--device", "cpu", "--size", "64")
"""The working size is the films' own size."""


def draw(folder: Path) -> None:
    """Draw films, a mask, hints and a reference, and unpack the tiny model."""
    from tests.clips import draw_clip, picture

    common: dict[str, Any] = {
        "frames": 10, "cuts": (6,), "codec": "ffv1", "width": 96, "height": 64
    }  # fmt: skip
    draw_clip(folder / "film8.mkv", pix_fmt="yuv444p", **common)
    deep: dict[str, Any] = {"pix_fmt": "yuv420p10le", "matrix": 1, "rate": Fraction(24)}
    draw_clip(folder / "film10.mkv", **common, **deep)
    mask = np.zeros((64, 96), np.uint8)
    mask[:, 30:] = 255
    cv2.imwrite(str(folder / "mask.png"), mask)
    cv2.imwrite(str(folder / "reference.png"), picture(0, 0, 96, 64)[..., ::-1])
    (folder / "hints.toml").write_text(
        '[[hint]]\ntime = 0.0\npoint = [24, 32]\ncolor = "#c82828"\n'
        '[[hint]]\ntime = 0.28\nbox = [60, 8, 90, 24]\ncolor = "#3060d0"\n'
    )
    with tarfile.open(OLD_MODEL) as archive:
        archive.extractall(folder / "tiny", filter="data")


def cases(folder: Path) -> dict[str, list[str]]:
    """Return the words of each render, by the case's name; films of `draw(folder)`."""
    found = {}
    for name, options in {**DEFAULT_CASES, **TINY_CASES}.items():
        film, model, more = "film8.mkv", [], list(options)
        if name in TINY_CASES:
            film, *more = options
            model = ["--model", str(folder / "tiny")]
        more = [str(folder / word) if (folder / word).is_file() else word for word in more]
        out = folder / f"{name}.mkv".replace(" ", "-")
        found[name] = ["render", *ALWAYS, *model, *more, str(folder / film), str(out)]
    return found


def chroma_of(path: Path, kept: Sequence[int] = KEPT_FRAMES) -> NDArray[np.float32]:
    """Return the chroma of some frames as (frames, 2, h, w), in codes of 8 bits."""
    planes = []
    with av.open(str(path)) as film:
        for number, frame in enumerate(film.decode(video=0)):
            if number in kept:
                planes.append([_plane(frame, 1), _plane(frame, 2)])
    return np.array(planes, np.float32)


def _plane(frame: av.VideoFrame, number: int) -> NDArray[np.float32]:
    plane, depth = frame.planes[number], frame.format.components[number].bits
    samples = np.frombuffer(memoryview(plane), np.uint8 if depth == 8 else np.uint16)
    picture = samples.reshape(plane.height, -1)[:, : plane.width]
    return picture.astype(np.float32) / np.float32(1 << (depth - 8))


def default_weights(root: Path) -> str:
    """Return a SHA-256 of the default model of a checkout."""
    return hashlib.sha256((root / WEIGHTS).read_bytes()).hexdigest()


def main(path: Path) -> None:
    """Render every case with the checkout of the current folder, and write the goldens."""
    sys.path.append(str(ROOT))
    goldens: dict[str, Any] = {"default weights": np.array(default_weights(Path.cwd()))}
    with tempfile.TemporaryDirectory() as name:
        draw(Path(name))
        for case, words in cases(Path(name)).items():
            subprocess.run([sys.executable, "-m", "vidcolor", *words], check=True)
            chroma = chroma_of(Path(words[-1]))
            # Quarters of a code, which 10 bits have.
            goldens[case] = np.round(chroma * 4).astype(np.uint16)
    np.savez_compressed(path, **goldens)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
