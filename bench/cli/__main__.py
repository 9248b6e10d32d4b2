"""`python -m bench.cli`, as batch scripts call it."""

from bench import preempt
from bench.cli.main import main

preempt.leave(main())
