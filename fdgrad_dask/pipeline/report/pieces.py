"""Pieces of a page, all escaped, and how numbers, times and places are written."""

from __future__ import annotations

import html
import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime


def text(plain: str) -> str:
    """What stands in a page for any text."""
    return html.escape(plain)


def section(title: str, told: str, content: str) -> str:
    """A heading, a paragraph in plain text, and HTML."""
    return f"<section><h2>{text(title)}</h2><p>{text(told)}</p>{content}</section>"


def number(name: str, value: str, told: str) -> str:
    """A number with its name and what it means."""
    return f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd><dd>{text(told)}</dd></div>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: Collection[int] = ()) -> str:
    """Plain texts in rows; the columns that are numeric stand to the right."""

    def row(cells: Sequence[str], tag: str) -> str:
        kinds = [' class="number"' if place in numeric else "" for place in range(len(cells))]
        inside = (
            f"<{tag}{kind}>{text(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True)
        )
        return f"<tr>{''.join(inside)}</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f'<div class="wide"><table>{row(head, "th")}{body}</table></div>'


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Plain texts with their names; long ones are broken anywhere."""
    body = "".join(f"<tr><th>{text(name)}</th><td>{text(value)}</td></tr>" for name, value in rows)
    return f'<table class="facts">{body}</table>'


def code(plain: str) -> str:
    """Lines as they are."""
    return f"<pre>{text(plain)}</pre>"


def inline(plain: str) -> str:
    """A command within a sentence."""
    return f"<code>{text(plain)}</code>"


def short(value: float) -> str:
    """
    >>> [short(value) for value in (-1.2345e-5, 290.123, 0.0)]
    ['−1.23e−05', '290', '0']
    """
    return f"{value:.3g}".replace("-", "−")


def duration(seconds: float) -> str:
    """
    >>> [duration(seconds) for seconds in (0.0123, 4.26, 71, 5000, 200000)]
    ['0.01 s', '4.3 s', '71 s', '1 h 23 min', '55 h 33 min']
    """
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def date(time: float) -> str:
    """
    >>> date(0)
    '1 January 1970, 00:00 UTC'
    """
    when = datetime.fromtimestamp(time, UTC)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def percent(share: float) -> str:
    """
    >>> [percent(share) for share in (0.0, 0.00001, 0.123, 1.0)]
    ['0 %', '< 0.1 %', '12.3 %', '100 %']
    """
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{100 * share:.0f} %" if share in (0, 1) else f"{100 * share:.1f} %"


def where(key: str) -> str:
    """
    >>> where('{"time": [0, 24], "lat": [0, 721]}')
    'time 0–24, lat 0–721'
    """
    return ", ".join(f"{dim} {first}–{last}" for dim, (first, last) in json.loads(key).items())
