"""Operators as methods of the accessors: their docstrings, signatures and fields."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

from fdgrad_dask import operators
from fdgrad_dask.operators.terms import with_terms

Method = TypeVar("Method", bound=Callable[..., Any])


def documented(method: Method) -> Method:
    """Give a method the docstring of its operator, and the operator's options in its signature."""
    operator = getattr(operators, method.__name__)
    parameters = inspect.signature(method).parameters.values()
    method = with_terms(method)
    own = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    # The options are written once, in the operator; help() and completion show them here too.
    options = inspect.signature(operator).parameters.values()
    shown = [*own, *(p for p in options if p.kind is p.KEYWORD_ONLY)]
    method.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    text = inspect.cleandoc(operator.__doc__ or "")
    if "field" not in inspect.signature(method).parameters:
        text = re.sub(r"(?m)^field\n(?:    .*\n|\n(?=    ))+", "", text)
        text = re.sub(r"\n\nParameters\n-+\n(?=\n|$)", "\n", text)
    # Examples call the function, not the method.
    method.__doc__ = re.sub(r"\n\nExamples\n-+\n(?s:.*)", "\n", text)
    return method


def list_fields(operator: Callable[..., Any]) -> list[str]:
    """List the parameters of an operator that are fields; its options are keyword-only.

    >>> list_fields(operators.vorticity), list_fields(operators.gradient)
    (['u', 'v'], ['field'])
    """
    parameters = inspect.signature(operator).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return [name for name in positional if name != "dim"]
