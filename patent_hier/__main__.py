"""``python -m patent_hier``: the same as the console script ``patent-hier``."""

import sys

from patent_hier.cli.main import main

sys.exit(main())
