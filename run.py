"""Train and evaluate: ``python run.py model=bertcnn level=hier`` (``--help`` lists all settings)."""

import sys

from patent_hier.cli.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "run")
    sys.exit(main())
