"""``python -m sgdlab``."""

from sgdlab.cli import main

main()
