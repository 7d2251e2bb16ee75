"""Runs the command line as `python -m clients.cli`."""

import sys

from clients.cli.entry import main

sys.exit(main())
