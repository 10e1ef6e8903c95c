from tests.inference.conftest import made
from tests.security.traps import trap

__all__ = ["made", "trap"]
