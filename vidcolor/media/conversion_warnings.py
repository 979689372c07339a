"""What the result does not keep of the film: a warning, or an error with --strict."""

import logging
from collections.abc import Iterable

from vidcolor.errors import OutputError, VidcolorError

log = logging.getLogger(__name__)


class Changes:
    """Collects messages about what is converted, left out or damaged.

    changes = Changes(strict=options.strict)
    changes.add("out.mp4: cannot hold stream 3 (a font), so it is left out; .mkv holds it")
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self.sentences: list[str] = []
        """Warnings so far, in order."""

    def add(self, sentence: str, error: type[VidcolorError] = OutputError) -> None:
        """Log a sentence as a warning and keep it.

        Args:
            sentence: `WHAT: WHAT HAPPENS TO IT; WHAT WOULD KEEP IT`, in one line.
            error: raised instead with --strict; InputError where the film is damaged.

        Raises:
            VidcolorError: `error`, with --strict.
        """
        if self._strict:
            raise error(f"{sentence}; leave out --strict to accept this")
        if sentence not in self.sentences:
            log.warning("%s", sentence)
            self.sentences.append(sentence)

    def recall(self, sentences: Iterable[str]) -> None:
        """Keep the warnings of an interrupted run."""
        self.sentences += [s for s in sentences if s not in self.sentences]
