"""Secrets that a config holds: known to this process, never printed and never written.

A value that comes from the environment is shown by the name of its variable. Of a URL, user,
password and query are left out, whoever prints it.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

_hidden: dict[str, str] = {}  # what is not shown, and what is shown in its place
_LEAST = 5  # characters; a shorter value would hide parts of unrelated words
_WORD = 8  # characters of a word inside a value, such as the token behind "Bearer"
_USER = re.compile(r"(?<=://)[^/\s'\"]*@")
_QUERY = re.compile(r"(://[^\s'\"?]*\?)[^\s'\"]*=[^\s'\"]*")
# Options of a store that say where it is, not who asks.
_OPEN = re.compile(r"region|endpoint|url|bucket|proxy|timeout|scheme|host", re.IGNORECASE)


def hide(secret: str, label: str = "***") -> None:
    """Shows ``label`` wherever ``secret`` would be printed or written."""
    for form in (secret, unquote(secret), quote(secret, safe="")):
        if len(form) >= _LEAST:
            _hidden.setdefault(form, label)


def hide_options(options: Mapping[str, Any]) -> None:
    """Hides what the options of a store hold, whatever the library calls it."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            hide_options(value)
        elif isinstance(value, (list, tuple)):
            hide_options({f"{name}[{place}]": inner for place, inner in enumerate(value)})
        elif not isinstance(value, (bool, float, type(None))) and not _OPEN.search(name):
            for part in {str(value), *str(value).split()}:
                if part == str(value) or len(part) >= _WORD:
                    hide(part)


def hide_url(url: str) -> None:
    """Hides the password of a URL and the values of its query, also where they stand alone."""
    user = _USER.search(url)
    if user:
        hide(user[0].removesuffix("@"))
        hide(user[0].removesuffix("@").partition(":")[2])
    if query := _QUERY.search(url):
        values = query[0].partition("?")[2]
        hide(values)
        for each in values.split("&"):
            hide(each.partition("=")[2])


def without_secrets(url: str) -> str:
    """``url`` without user, password and the values of its query; a path as it is.

    >>> without_secrets("https://me:pass@host/a.zarr?token=abc")
    'https://***@host/a.zarr?***'
    """
    return _QUERY.sub(r"\1***", _USER.sub("***@", url))


def scrub(text: str) -> str:
    """``text`` with nothing in it that is hidden."""
    text = without_secrets(text)
    for secret in sorted(_hidden, key=len, reverse=True):
        text = text.replace(secret, _hidden[secret])
    return text


def scrub_all(value: Any) -> Any:
    """A JSON value with nothing in it that is hidden, keys included."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {scrub_all(key): scrub_all(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrub_all(inner) for inner in value]
    return value
