"""``python -m shiftlab`` is the command line."""

from shiftlab.cli import main

main()
