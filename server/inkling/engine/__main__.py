"""`python -m inkling.engine`: the engine's process, without the command line's other subcommands."""

import os
import sys

from inkling.engine.serve import main

status = main()
sys.stdout.flush()
# Model threads may still be inside a long native call: do not wait for them at interpreter exit.
os._exit(status)
