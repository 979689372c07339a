"""The way in: answers signals first, then hands over to the command line."""

import sys

from vidcolor import signals


def main() -> None:
    """Run the command line and end with its exit code."""
    signals.install()
    from vidcolor.cli.app import run  # takes a quarter of a second: only after signals are answered

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
