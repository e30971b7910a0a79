"""The ledger as a diff: what should be posted, minus what was, is the plan; applying it is safe to repeat."""
