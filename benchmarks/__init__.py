"""Speed of the suite compared with what users would pick instead, and resources that a corpus needs.

Not part of the package.
"""
