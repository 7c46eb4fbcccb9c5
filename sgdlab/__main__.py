"""``python -m sgdlab``, and the program's entry."""

import signal
import sys
from typing import NoReturn


def start() -> NoReturn:
    """Run the program; until it has begun there is nothing to save, and Ctrl-C just ends it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from sgdlab.cli.app import main

        main()
    except Exception as error:  # what is not installed, or broken; commands see to their own
        from sgdlab.errors import SgdlabError
        from sgdlab.system import crash

        print(crash.told(error), file=sys.stderr)
        sys.exit(SgdlabError.exit_code)


if __name__ == "__main__":
    start()
