"""What can go wrong with an ERP besides HTTP itself."""


class UnexpectedAnswerError(Exception):
    """The ERP answered with something that is not its API."""


class CredentialsError(Exception):
    """The ERP does not let us in; says what was refused and what to check."""


class NotOfferedError(Exception):
    """This ERP lacks the module, or this user the right, to read something; the rest can be read."""


class ErpRefusedError(Exception):
    """The ERP answered with an error of its own; holds its words.

    Attributes:
        kind: the kind of error, in the ERP's terms; empty where it names none.
        reason: its words alone, without what was asked and where.
    """

    def __init__(self, message: str, kind: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason or message


class ErpWarningError(ErpRefusedError):
    """The ERP warns, and does nothing until the warning of this ``name`` is acknowledged."""

    def __init__(self, message: str, kind: str, reason: str, name: str) -> None:
        super().__init__(message, kind, reason)
        self.name = name
