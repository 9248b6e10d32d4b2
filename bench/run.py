"""`accelerate launch bench/run.py [SUITE]`: train a suite and compare."""

import sys
from pathlib import Path

# Python puts this file's own folder first on the path, where our modules could shadow others under a second name.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import preempt  # noqa: E402  # only importable now

if __name__ == "__main__":
    preempt.quiet_start()  # the imports below take seconds

from bench.cli import run  # noqa: E402
from bench.cli.main import execute  # noqa: E402
from bench.cli.options import Parser  # noqa: E402


def main() -> int:
    """The command line of `glideslope run`."""
    parser = Parser(prog="bench/run.py", description=__doc__)
    run.arguments(parser)
    parser.set_defaults(do=run.run)
    return execute(parser.parse_args())


if __name__ == "__main__":
    preempt.leave(main())
