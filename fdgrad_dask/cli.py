"""The command ``fdgrad``: arguments in, exit code out, and every error as a message.

Heavy imports wait until a config is read and found right, so that help and the errors of a config
come at once.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import resources
from importlib.metadata import version
from typing import TYPE_CHECKING

from fdgrad_dask.errors import FdgradError
from fdgrad_dask.pipeline import console

if TYPE_CHECKING:
    from fdgrad_dask.pipeline.config.schema import Config

_BUG = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code says whose turn it is.

    0 done, 2 the config, 3 the input data, 4 the target, 5 the cluster, 6 interrupted, 1 a bug.
    """
    try:
        return _main(list(sys.argv[1:] if argv is None else argv))
    finally:
        console.flush()


def _main(given: list[str]) -> int:
    arguments = _parser().parse_args(given)
    try:
        console.write(arguments.command(arguments, shlex.join(["fdgrad", *given])), sys.stdout)
        return 0
    except FdgradError as error:
        return _failed(arguments, str(error), error.exit_code)
    except KeyboardInterrupt:
        return _failed(arguments, f"interrupted; again: {shlex.join(['fdgrad', *given])}", 6)
    except Exception as error:
        return _failed(
            arguments,
            f"{type(error).__name__}: {error}\nThis is a bug of fdgrad, not of your config; "
            "please report it with what --debug shows",
            _BUG,
        )


def _run(arguments: argparse.Namespace, called: str) -> str:
    config = _config(arguments)
    from fdgrad_dask.pipeline.run import run

    return run(config, called=called, fresh=arguments.fresh, repair=arguments.repair)


def _plan(arguments: argparse.Namespace, called: str) -> str:
    config = _config(arguments)
    from fdgrad_dask.pipeline.run import planned

    return planned(config, sample=arguments.sample)


def _check(arguments: argparse.Namespace, called: str) -> str:
    config = _config(arguments)
    from fdgrad_dask.pipeline.run import check

    return check(config)


def _verify(arguments: argparse.Namespace, called: str) -> str:
    config = _config(arguments)
    from fdgrad_dask.pipeline.execute.verify import verify

    return verify(config)


def _config(arguments: argparse.Namespace) -> Config:
    from fdgrad_dask.pipeline.config import schema as configs

    config = configs.load(arguments.config)
    if getattr(arguments, "cluster", None):
        config = config.model_copy(update={"cluster": configs.load_cluster(arguments.cluster)})
    return config


def _init(arguments: argparse.Namespace, called: str) -> str:
    return resources.files("fdgrad_dask.pipeline.config").joinpath("example.yaml").read_text()


def _operators(arguments: argparse.Namespace, called: str) -> str:
    from fdgrad_dask.pipeline.config import operators as catalog

    return "\n".join(map(catalog.described, catalog.operator_names()))


def _schema(arguments: argparse.Namespace, called: str) -> str:
    from fdgrad_dask.pipeline.config.schema import Config

    return json.dumps(Config.model_json_schema(), indent=2)


def _parser() -> argparse.ArgumentParser:
    # Left out where it is not given, so that it may stand before the command or after it.
    shared = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser = argparse.ArgumentParser(
        prog="fdgrad",
        description="Finite-difference gradients of labelled arrays, from a YAML.",
        parents=[shared],
    )
    parser.add_argument("--version", action="version", version=f"fdgrad {version('fdgrad_dask')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(
        name: str, does: Callable[[argparse.Namespace, str], str], help: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=[shared], help=help, description=help)
        command.set_defaults(command=does)
        return command

    run = add("run", _run, "compute what a config says, and write it; again: go on")
    plan = add("plan", _plan, "tell regions, bytes and memory of a run; compute nothing")
    check = add("check", _check, "tell what a config would read and write; compute nothing")
    verify = add("verify", _verify, "prove a target complete and intact")
    for command in (run, plan, check, verify):
        command.add_argument("config", metavar="CONFIG", help="a YAML file")
    for command in (run, plan):
        command.add_argument(
            "--cluster", metavar="FILE", help="a YAML file in place of the section cluster"
        )
    instead = run.add_mutually_exclusive_group()
    instead.add_argument("--fresh", action="store_true", help="replace a target that exists")
    instead.add_argument("--repair", action="store_true", help="write its broken shards again")
    plan.add_argument(
        "--sample", action="store_true", help="measure one region here, with every compression"
    )
    add("init", _init, "print a config to start from")
    add("operators", _operators, "list the operators that a step may name")
    add("schema", _schema, "print the JSON schema of a config, for editors")
    return parser


def _failed(arguments: argparse.Namespace, message: str, code: int) -> int:
    if "debug" in arguments:
        console.say(traceback.format_exc().rstrip())
    console.say(f"fdgrad: {message}")
    return code


if __name__ == "__main__":
    sys.exit(main())
