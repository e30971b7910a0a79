"""The key under which a poster finds its move again; no two moves of a company have the same."""
# What it extends is known when Tryton runs.
# pyright: reportAttributeAccessIssue=false

from trytond.model import Unique, fields
from trytond.pool import PoolMeta


class Move(metaclass=PoolMeta):
    __name__ = "account.move"

    platform_ref = fields.Char("Platform Reference", readonly=True, help="Given by the system that posted the move.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        # The key first: it is also looked up by this index.
        unique = Unique(table, table.platform_ref, table.company)
        cls._sql_constraints.append(("platform_ref_unique", unique, "platform_ref.msg_key_unique"))

    @classmethod
    def copy(cls, moves, default=None):
        # A cancellation made in Tryton is a copy: it is another document, and must not take the key.
        return super().copy(moves, default={"platform_ref": None, **(default or {})})
