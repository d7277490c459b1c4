"""How an overview is shown: lines of text on a terminal, a small table in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

# Nothing but the layout: the colours are inherited, so dark and light themes both fit.
_CELL = 'style="text-align: left; vertical-align: top; padding: 1px 8px"'
_REFUSED = "not "


@dataclass(frozen=True)
class Overview:
    """A title, and rows of (name, text); a row without a name belongs to the one before."""

    title: str
    rows: list[tuple[str, str]]

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.rows)
        lines = (f"  {name:<{width}}  {text}" for name, text in self.rows)
        return "\n".join([f"<fdgrad: {self.title}>", *lines])

    def to_html(self) -> str:
        """The same rows as a table; the reasons why operators do not apply are folded away."""
        grouped: list[tuple[str, list[str]]] = []
        for name, text in self.rows:
            if name:
                grouped.append((name, []))
            grouped[-1][1].append(text)
        rows = "".join(
            f"<tr><th {_CELL}>{escape(name)}</th><td {_CELL}>{_cell(texts)}</td></tr>"
            for name, texts in grouped
        )
        title = f"<strong>fdgrad</strong> {escape(self.title)}"
        return f'<div class="fdgrad">{title}<table>{rows}</table></div>'


def _cell(texts: list[str]) -> str:
    """The first text and those like it, and a fold with those after it that say "not …: why"."""
    first, *others = texts
    refused = [text for text in others if text.startswith(_REFUSED)]
    cell = "<br>".join(escape(text) for text in texts if text is first or text not in refused)
    if not refused:
        return cell
    names = ", ".join(text.removeprefix(_REFUSED).partition(": ")[0] for text in refused)
    items = "".join(f"<li>{escape(text)}</li>" for text in refused)
    return f"{cell}<details><summary>{_REFUSED}{escape(names)}</summary><ul>{items}</ul></details>"
