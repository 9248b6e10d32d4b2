"""`python -m bench.cli`, as batch scripts call it."""

import sys

from bench.cli.main import main

sys.exit(main())
