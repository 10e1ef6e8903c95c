"""Run ``python -m patent_hier``, which is the same as the console script ``patent-hier``."""

import os
import sys

# Python looks for modules in the working folder first, and that folder may come from an unknown source. It is safe only
# if it is the checkout that contains this code.
_CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib is an import
try:
    _HERE = os.getcwd()  # noqa: PTH109 - see above
except FileNotFoundError:  # the folder has been deleted; main reports this
    _HERE = ""
if _HERE != _CHECKOUT and sys.path[:1] == [_HERE]:
    del sys.path[0]

from patent_hier.cli.main import main  # noqa: E402 - once the path is safe

sys.exit(main())
