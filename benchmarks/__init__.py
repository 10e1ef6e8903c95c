"""How fast the suite is beside what a user would pick instead, and what a corpus needs. No part of the package."""
