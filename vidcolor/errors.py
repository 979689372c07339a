"""What can go wrong, one class an exit code.

VidcolorError
├── OptionsError   2   an option's value cannot be meant (also a ValueError)
├── InputError     3   a film, frame folder or dataset cannot be read (also an OSError)
├── OutputError    4   a result cannot be written (also an OSError)
└── ModelError     5   a model is missing, damaged or of another kind (also a LookupError)

A message is `WHAT: WHY; WHAT TO DO`. Callers catch the base class for all of them.
"""


class VidcolorError(Exception):
    """Any failure that vidcolor explains; `exit_code` is what the command ends with."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the message alone: OSError and LookupError would decorate it."""
        return str(self.args[0]) if self.args else ""


class OptionsError(VidcolorError, ValueError):
    """An option's value cannot be meant."""

    exit_code = 2


class InputError(VidcolorError, OSError):
    """A film, a folder of frames or a dataset cannot be read."""

    exit_code = 3


class OutputError(VidcolorError, OSError):
    """A result cannot be written."""

    exit_code = 4


class ModelError(VidcolorError, LookupError):
    """A model is missing, damaged or of another kind than its card says."""

    exit_code = 5
