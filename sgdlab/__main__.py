"""``python -m sgdlab``, and the program's entry."""

import signal
from typing import NoReturn


def start() -> NoReturn:
    """Run the program; until it has begun there is nothing to save, and Ctrl-C just ends it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from sgdlab.cli.app import main

    main()


if __name__ == "__main__":
    start()
