"""Reports, tables, figures and cards for human readers."""

import logging

# matplotlib logs advice about its own folders on import, and about missing font weights while fonts are tried one by
# one. Neither concerns our users.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
