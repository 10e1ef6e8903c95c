"""Compare the speed of the suite with what users would pick instead, in one interleaved run."""
