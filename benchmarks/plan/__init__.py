"""What a corpus needs before it is trained on: disk, memory and hours, from recorded speeds."""
