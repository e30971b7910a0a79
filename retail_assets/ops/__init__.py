"""The operations store: what cannot be rebuilt from the sources and must therefore never be lost.

It holds records that broke their contract, the log of loads, the posting outbox and the audit log. SQLite by default,
Postgres in production, one code base.
"""
