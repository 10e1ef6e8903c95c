"""Tables for people."""

import logging

# Of matplotlib: advice on folders of its own when it is imported, and on weights that a family lacks while fonts are
# tried one by one. Neither is news to our users.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
