"""What stands behind the commands of ``retail``, one module each."""
