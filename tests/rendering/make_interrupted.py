"""Makes the interrupted render that tests/rendering/test_old_render.py resumes.

.venv/bin/python tests/rendering/make_interrupted.py tests/data/render-848aaec

It only calls the command, so any version can make it: run this file in a checkout of that version,
with the version's own Python.
"""

import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "tests" / "data" / "training-848aaec" / "part.tar.xz"
OPTIONS = ("--codec", "ffv1", "--engine", "torch", "--device", "cpu", "--size", "32")
WORK = ".out.mkv.vidcolor"


def main(folder: Path) -> None:
    """Draw a film of three shots and kill a render of it once the first shot is done."""
    sys.path.append(str(ROOT))
    from tests.clips import draw_clip

    folder.mkdir(parents=True, exist_ok=True)
    film = draw_clip(
        folder / "film.mkv", frames=90, cuts=(30, 60), codec="ffv1", width=48, height=32
    )
    journal = folder / WORK / "journal.jsonl"
    with tempfile.TemporaryDirectory() as model:
        with tarfile.open(MODEL) as archive:
            archive.extractall(model, filter="data")
        words = ["render", *OPTIONS, "--model", model, str(film), str(folder / "out.mkv")]
        process = subprocess.Popen([sys.executable, "-m", "vidcolor", *words])
        while not (journal.is_file() and '"segment"' in journal.read_text()):
            time.sleep(0.001)
        process.kill()
        process.wait()
    journal.parent.rename(folder / "work")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
