"""What a config may name: the operators, their inputs and their options.

All of it is read off ``operators.__all__`` and the signatures found there, so that a new operator
is known to the YAML, to ``fdgrad operators`` and to every message at once.
"""

import ast
import inspect
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from fdgrad_dask.errors import ConfigError
from fdgrad_dask.errors import did_you_mean as did_you_mean

_LIST = Path(__file__).parents[2] / "operators" / "__init__.py"


def require_known(
    key: str, names: Iterable[str], known: Iterable[Any], what: str = "dimension"
) -> None:
    """Refuses what ``key`` of a config names where it is not known, with what may be meant."""
    known = [str(each) for each in known]
    for name in names:
        if name not in known:
            raise ConfigError(f"{key}: no {what} {name!r}; {did_you_mean(name, known)}")


@cache
def operator_names() -> tuple[str, ...]:
    """The operators, in the order of ``operators.__all__``."""
    # Read, not imported: an import brings JAX, for which the schema and its errors need not wait.
    [names] = [
        ast.literal_eval(line.value)
        for line in ast.parse(_LIST.read_text(encoding="utf-8")).body
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "__all__"
    ]
    return tuple(names)


def inputs_of(name: str) -> tuple[str, ...]:
    """The parameters of an operator that are fields: those that it cannot do without."""
    return tuple(p.name for p in _parameters(name) if p.default is p.empty)


def options_of(name: str) -> dict[str, inspect.Parameter]:
    """The parameters of an operator that have a default and that a YAML value can stand for."""
    return {
        p.name: p
        for p in _parameters(name)
        if p.default is not p.empty and "Geometry" not in str(p.annotation)
    }


def takes_grid(name: str) -> bool:
    """Whether an operator is one of the horizontal, which have a geometry."""
    return any("Geometry" in str(p.annotation) for p in _parameters(name))


def takes_variable(option: inspect.Parameter) -> bool:
    """Whether an option is an array, so that the YAML gives it as the name of a variable."""
    return "DataArray" in str(option.annotation)


def described(name: str) -> str:
    """An operator in lines: what comes out, its inputs, its options with their defaults.

    >>> print(described("gradient").splitlines()[1])
      inputs   field
    """
    summary = (inspect.getdoc(_operator(name)) or "").partition("\n")[0]
    options = ", ".join(f"{key}={option.default!r}" for key, option in options_of(name).items())
    inputs = ", ".join(inputs_of(name))
    grid = ", and the keys of grid" if takes_grid(name) else ""
    return f"{name}: {summary}\n  inputs   {inputs}\n  options  {options}{grid}"


def _parameters(name: str) -> list[inspect.Parameter]:
    return list(inspect.signature(_operator(name)).parameters.values())


def _operator(name: str) -> Callable[..., Any]:
    from fdgrad_dask import operators

    operator: Callable[..., Any] = getattr(operators, name)
    return operator
