"""For Tryton 8.0: account.move gets a field for the poster's key. Runs in Tryton's process, never in ours."""
