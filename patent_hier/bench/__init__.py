"""What the suite's work costs beside what a user would pick instead, measured in one interleaved run."""
