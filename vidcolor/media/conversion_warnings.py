"""What the result does not keep of the film: said as a warning, or refused where that is asked."""

import logging
from collections.abc import Iterable

from vidcolor.errors import OutputError, VidcolorError

log = logging.getLogger(__name__)


class Changes:
    """Collects, sentence by sentence, what is converted, left out or damaged.

    changes = Changes(strict=options.strict)
    changes.add("out.mp4: cannot hold stream 3 (a font), so it is left out; .mkv holds it")
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self.sentences: list[str] = []
        """What was accepted, in the order it was found."""

    def add(self, sentence: str, error: type[VidcolorError] = OutputError) -> None:
        """Log a sentence as a warning and remember it.

        Args:
            sentence: `WHAT: WHAT HAPPENS TO IT; WHAT WOULD KEEP IT`, in one line.
            error: what strictness makes of it: InputError where the film is at fault.

        Raises:
            VidcolorError: `error`, where nothing may change.
        """
        if self._strict:
            raise error(f"{sentence}; leave out --strict to accept that")
        if sentence not in self.sentences:
            log.warning("%s", sentence)
            self.sentences.append(sentence)

    def recall(self, sentences: Iterable[str]) -> None:
        """Remember what an interrupted run said already."""
        self.sentences += [s for s in sentences if s not in self.sentences]
