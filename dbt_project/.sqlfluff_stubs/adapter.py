"""Stands in for dbt's adapter when sqlfluff renders the models: a dispatched macro becomes a call of its own name."""

from collections.abc import Callable, Iterator
from typing import Any


def dispatch(name: str, _package: str) -> Callable[..., str]:
    """A stand-in for the macro ``name``: valid SQL of the same shape, a function of all its arguments."""

    def render(*arguments: Any, **_: Any) -> str:
        return f"{name}({', '.join(_expressions(arguments))})"

    return render


def _expressions(arguments: tuple[Any, ...]) -> Iterator[str]:
    for argument in arguments:
        if isinstance(argument, list):
            # Pairs of a name and an expression.
            yield from (expression for _, expression in argument)
        elif str(argument).strip() and not str(argument).startswith(("^", "[", ",")):
            yield str(argument)
