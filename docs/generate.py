"""Write the pages that follow from the code: the command, and the keys of a config."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fdgrad_dask import cli
from fdgrad_dask.pipeline.config.schema import Config

NOTE = "<!-- Written by docs/generate.py while the documentation is built. -->\n"


def write_pages(folder: Path) -> None:
    """Write command.md and config.md into ``folder``, and leave files alone that stay the same."""
    for name, text in (("command.md", describe_command()), ("config.md", describe_config())):
        page = folder / name
        if not page.exists() or page.read_text() != NOTE + text:
            page.write_text(NOTE + text)


def describe_command() -> str:
    """Describe ``fdgrad`` and each of its commands by their own help."""
    parser = cli._parser()
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    parts = ["# The command\n", _block(parser.format_help())]
    for name, command in commands.choices.items():
        parts += [f"## fdgrad {name}\n", _block(command.format_help())]
    return "\n".join(parts)


def describe_config() -> str:
    """Describe every key of a config: type, default and meaning, from the schema."""
    schema = Config.model_json_schema()
    kinds = schema["$defs"]
    parts = [
        "# The keys of a config\n",
        "`fdgrad schema` prints this as a JSON schema, with which editors check keys.\n",
        _table(schema["properties"], kinds, set(schema.get("required", ()))),
    ]
    for name, kind in sorted(kinds.items()):
        if "properties" in kind:
            parts += [
                f"(config-{name.lower()})=",
                f"## {name}\n",
                kind.get("description", "") + "\n",
            ]
            parts.append(_table(kind["properties"], kinds, set(kind.get("required", ()))))
    return "\n".join(parts)


def _table(keys: dict[str, Any], kinds: dict[str, Any], required: set[str]) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, what in keys.items():
        default = "required" if key in required else _code(what.get("default"))
        meaning = " ".join(what.get("description", "").split()).replace("|", "\\|")
        rows.append(f"| `{key}` | {_type(what, kinds)} | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


def _type(what: dict[str, Any], kinds: dict[str, Any]) -> str:
    """A type in words; other sections are links."""
    if "$ref" in what:
        name = what["$ref"].rsplit("/", 1)[1]
        if "properties" in kinds[name]:
            return f"[{name}](#config-{name.lower()})"
        return _type(kinds[name], kinds)
    for group in ("anyOf", "oneOf"):
        if group in what:
            return ", ".join(dict.fromkeys(_type(one, kinds) for one in what[group]))
    if "const" in what:
        return _code(what["const"])
    if "enum" in what:
        return ", ".join(map(_code, what["enum"]))
    kind = what.get("type", "any")
    if kind == "array" and isinstance(what.get("items"), dict):
        return f"list of {_type(what['items'], kinds)}"
    return {"object": "mapping", "null": "null"}.get(kind, kind)


def _code(value: Any) -> str:
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}`" if text else '`""`'


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"
