"""The errors of vidcolor, one class per exit code.

VidcolorError
├── OptionsError   2   an option's value is invalid (also a ValueError)
├── InputError     3   a film, frame folder or dataset cannot be read (also an OSError)
├── OutputError    4   a result cannot be written (also an OSError)
└── ModelError     5   a model is missing, damaged or of the wrong kind (also a LookupError)

A message is `WHAT: WHY; WHAT TO DO`. Callers catch the base class for all of them.
"""


class VidcolorError(Exception):
    """Base class of all errors that vidcolor explains; the command exits with `exit_code`."""

    exit_code = 1

    def __str__(self) -> str:
        """Return only the message; OSError and LookupError would add to it."""
        return str(self.args[0]) if self.args else ""


class OptionsError(VidcolorError, ValueError):
    """An option's value is invalid."""

    exit_code = 2


class InputError(VidcolorError, OSError):
    """A film, a folder of frames or a dataset cannot be read."""

    exit_code = 3


class OutputError(VidcolorError, OSError):
    """A result cannot be written."""

    exit_code = 4


class ModelError(VidcolorError, LookupError):
    """A model is missing, damaged, or not what its card says."""

    exit_code = 5
