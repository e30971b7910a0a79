"""What stands behind the commands of ``retail``, one module each."""


class CommandError(Exception):
    """A command cannot go on as things are; the message says why and what to do."""
