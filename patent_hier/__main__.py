"""``python -m patent_hier``: the same as the console script ``patent-hier``."""

import os
import sys

# Python looks for modules in the working folder first, and that may be a folder of unknown origin. The checkout that
# this code is from is none.
_CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib is an import
try:
    _HERE = os.getcwd()  # noqa: PTH109 - likewise
except FileNotFoundError:  # it has been deleted, which main tells
    _HERE = ""
if _HERE != _CHECKOUT and sys.path[:1] == [_HERE]:
    del sys.path[0]

from patent_hier.cli.main import main  # noqa: E402 - once the path is safe

sys.exit(main())
