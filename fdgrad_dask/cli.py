"""The command ``fdgrad``: arguments in, exit code out, and every error as a message.

Heavy imports wait until a config is read and found right, so that help and the errors of a config
come at once.
"""

import argparse
import gc
import json
import logging
import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib import resources
from importlib.metadata import version

from fdgrad_dask import pipeline
from fdgrad_dask.blocks import allocator
from fdgrad_dask.errors import FdgradError
from fdgrad_dask.pipeline import console
from fdgrad_dask.pipeline.config import operators as catalog
from fdgrad_dask.pipeline.config.redaction import scrub

_BUG = 1
_EXAMPLES = """\
examples:
  fdgrad info era5.zarr               show what is in it, and which operators apply
  fdgrad init era5.zarr > wind.yaml   write a config for it, to be edited
  fdgrad run wind.yaml                compute and write; run it again to resume
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code says whose turn it is.

    0 done, 2 the config, 3 the input data, 4 the target, 5 the cluster, 6 interrupted, 1 a bug.
    """
    owns_process = argv is None
    if owns_process:  # imports leave nothing to collect, and looking takes a fifth of their time
        gc.disable()
        # The arrays of one region then lie where those of the last one lay. What the user has set
        # about memory holds, and other C libraries than glibc stay as they are.
        if allocator.is_default():
            with warnings.catch_warnings(action="ignore"):
                allocator.tune_memory()
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        parser = _parser()
        if "_ARGCOMPLETE" in os.environ:  # a shell asks what could come next
            import argcomplete

            argcomplete.autocomplete(parser)
        arguments = parser.parse_args(given)
        with console.listening(getattr(arguments, "level", logging.INFO)):
            return _run(arguments, shlex.join(["fdgrad", *given]))
    finally:
        for stream in (sys.stdout, sys.stderr):  # the interpreter would find a closed pipe
            console.write("", stream, end="")
        if owns_process:  # nor is there anything to collect before the process ends
            gc.freeze()


def _run(arguments: argparse.Namespace, called: str) -> int:
    try:
        if log_file := getattr(arguments, "log_file", None):
            console.log_into(log_file, chosen=True)
        for text in arguments.command(arguments, called):
            console.write(text, sys.stdout)
        return 0
    except FdgradError as error:
        return _failed(arguments, str(error), error.exit_code)
    except KeyboardInterrupt:
        return _failed(arguments, f"interrupted; again: {called}", 6)
    except Exception as error:
        if isinstance(error, MemoryError) or "start new thread" in str(error):
            return _failed(
                arguments,
                f"this process ran out of memory or threads ({error}); raise ulimit -v and "
                "ulimit -u, or lower cluster.workers, cluster.threads or source.chunks",
                5,
            )
        bug = "This is a bug of fdgrad, not of your config; please report it with what --debug"
        return _failed(arguments, f"{type(error).__name__}: {error}\n{bug} shows", _BUG)


def _each(name: str, arguments: argparse.Namespace, called: str) -> Iterator[str]:
    """Do the same with all configs in order, until one fails."""
    from fdgrad_dask.pipeline.config.schema import load_all

    named = [f"cluster={json.dumps(arguments.cluster)}"] if arguments.cluster else []
    configs = load_all(arguments.config, named + arguments.set)
    names = list(configs)
    given = vars(arguments)
    options: dict[str, object] = {}
    options |= {key: given[key] for key in ("fresh", "repair", "sample", "draw") if key in given}
    do = getattr(pipeline, name)
    if name == "run":
        from fdgrad_dask.pipeline.execute.window import keep_to_cpu

        keep_to_cpu()
        # A setting may hold a secret, which reading the config has made known.
        options["called"] = scrub(called)
    if not gc.isenabled():  # what is imported stays; from now on there is something to collect
        gc.freeze()
        gc.enable()
    for number, (label, config) in enumerate(configs.items()):
        console.log_into(None)  # that of the config before, if any
        try:
            text = do(config, **options)
        except BaseException:
            if len(names) > 1:
                done = f"{', '.join(names[:number])} done" if number else "none done"
                left = f"; {', '.join(rest)} not begun" if (rest := names[number + 1 :]) else ""
                console.say(f"fdgrad: {done}; {label} failed{left}", logging.ERROR)
            raise
        yield f"config   {label}\n{text}" if len(names) > 1 else str(text)


def _look(name: str, arguments: argparse.Namespace, called: str) -> Iterator[str]:
    """Open stores and say what is in them, or write a config for them."""
    given = arguments.store
    if not given:  # init alone
        example = resources.files("fdgrad_dask.pipeline.config").joinpath("example.yaml")
        yield example.read_text()
    for store in [given] if isinstance(given, str) else given or ():
        yield getattr(pipeline, name)(store, arguments.set)


def _print_schema(arguments: argparse.Namespace, called: str) -> Iterable[str]:
    from fdgrad_dask.pipeline.config.schema import Config

    return [json.dumps(Config.model_json_schema(), indent=2)]


def _options() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The options of every command, and with these those of a command that reads a config."""
    # Left out where it is not given, so that it may stand before the command or after it.
    shared = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    level = partial(shared.add_argument, dest="level", action="store_const")
    level("-q", "--quiet", const=logging.ERROR, help="say nothing but errors and results")
    what = "say a line a region too, and what libraries warn of"
    level("-v", "--verbose", const=logging.DEBUG, help=what)
    configured = argparse.ArgumentParser(add_help=False, parents=[shared])
    configured.add_argument("config", nargs="+", help="a YAML file; - is standard input")
    what = "put the YAML c at a.b, like steps.0.options.dim=time; repeatable"
    configured.add_argument("--set", action="append", default=[], metavar="a.b=c", help=what)
    what = "a file, or NAME for ~/.config/fdgrad/clusters/NAME.yaml; replaces section cluster"
    configured.add_argument("--cluster", metavar="NAME", help=what)
    return shared, configured


def _parser() -> argparse.ArgumentParser:
    shared, configured = _options()
    parser = argparse.ArgumentParser(
        prog="fdgrad",
        description="Gradients, vorticity, divergence and more of gridded data, from a YAML file.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[shared],
    )
    parser.add_argument("--version", action="version", version=f"fdgrad {version('fdgrad_dask')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(
        name: str, help: str, does: Callable[..., Iterable[str]] | None = None
    ) -> argparse.ArgumentParser:
        parents = [shared if does else configured]
        command = commands.add_parser(name, parents=parents, help=help, description=help)
        command.set_defaults(command=does or partial(_each, name))
        return command

    run = add("run", "run a workflow, or resume it")
    plan = add("plan", "show regions, bytes and memory of a run; compute nothing")
    add("status", "show how far a run is, which may be running elsewhere")
    add("check", "show what a config would read and write; compute nothing")
    add("verify", "prove a target complete and intact")
    instead = run.add_mutually_exclusive_group()
    instead.add_argument("--fresh", action="store_true", help="replace a target that exists")
    instead.add_argument("--repair", action="store_true", help="write its broken shards again")
    what = "where all of it is noted with time and level; run.log beside the journal if not given"
    run.add_argument("--log-file", metavar="FILE", help=what)
    what = "measure one region here, with every compression"
    plan.add_argument("--sample", action="store_true", help=what)
    what = "draw a region: what it computes, and what it reads for that"
    plan.add_argument("--draw", action="store_true", help=what)
    info = add("info", "show what a store holds and which operators apply", partial(_look, "info"))
    what = "print a config to start from, made for a store if one is named"
    init = add("init", what, partial(_look, "init"))
    what = "Zarr, netCDF, GRIB, Icechunk, a URL or sample:NAME; in quotes a pattern of files"
    setting = "put the YAML c at source.b, like source.group=model; repeatable"
    for command, number in ((info, "+"), (init, "?")):
        command.add_argument("store", nargs=number, metavar="STORE", help=what)
        command.add_argument(
            "--set", action="append", default=[], metavar="source.b=c", help=setting
        )
    what = "list the operators that a step may name"
    add("operators", what, lambda *_: map(catalog.described, catalog.operator_names()))
    add("schema", "print the JSON schema of a config, for editors", _print_schema)
    return parser


def _failed(arguments: argparse.Namespace, message: str, code: int) -> int:
    if "debug" in arguments:
        console.say(traceback.format_exc().rstrip(), logging.ERROR)
    console.say(f"fdgrad: {message}", logging.ERROR, traceback=code == _BUG)
    return code


if __name__ == "__main__":
    sys.exit(main())
