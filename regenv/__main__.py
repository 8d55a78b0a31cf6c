"""``python -m regenv``."""

from regenv.cli import main

main()
