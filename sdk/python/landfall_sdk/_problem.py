class Problem(Exception):
    """Something that the author can correct. The message is the whole output."""
