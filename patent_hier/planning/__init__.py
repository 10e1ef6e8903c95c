"""What a corpus needs before it is trained on: disk, memory, hours, from the bench's own figures."""
