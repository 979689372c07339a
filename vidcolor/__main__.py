"""The entry point: install signal handlers, then run the command line."""

import sys

from vidcolor import signals


def main() -> None:
    """Run the command line and exit with its exit code."""
    signals.install()
    from vidcolor.cli.app import run  # takes a quarter of a second: after the handlers

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
