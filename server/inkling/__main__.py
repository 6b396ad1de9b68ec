"""`python -m inkling`, for editors that know an interpreter but not our script's place."""

import sys

from inkling.cli import main

sys.exit(main())
