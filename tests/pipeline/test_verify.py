"""Whose a target is and whether it is whole, case by case; see test_repair.py for whole runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import pytest
import xarray as xr

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.execute import verify
from fdgrad_dask.pipeline.execute.journal import Journal, RegionRecord, RunRecord, key_of
from fdgrad_dask.pipeline.execute.verify import Fault
from fdgrad_dask.pipeline.planning.regions import Plan
from fdgrad_dask.pipeline.store.folder import Folder

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]

PLAN = Plan({"x": 4}, {"x": 1}, 0, 0, 0, 0)
RUN = RunRecord(
    digest="now",
    identity={},
    config={},
    called="",
    versions={},
    inputs={},
    regions=4,
    plan=asdict(PLAN),
    began=0.0,
    laid_out=True,
    names=["a", "x"],
    replaces={"before": ["b"]},
    labels={"x/c/0": "5"},
    read={"x": "v0"},
)


def journal(run: RunRecord | None, *records: RegionRecord) -> Journal:
    made = Journal(Folder("out.zarr.journal"))
    if run:
        made.begin(run)
        made.finish(*records)
    return made


def region(number: int, **checksums: str) -> RegionRecord:
    zeros = dict.fromkeys(("began", "seconds", "read_seconds", "write_seconds"), 0.0)
    counts = dict.fromkeys(("bytes_read", "bytes_written", "peak_memory", "attempt"), 0)
    key, sums = (
        key_of(PLAN.span(number)),
        {name.replace("_", "/"): v for name, v in checksums.items()},
    )
    inputs = {"in": f"v{number}"}
    given: Any = {**zeros, **counts}
    return RegionRecord(number=number, key=key, worker="", checksums=sums, inputs=inputs, **given)


def target(digest: str | None, *, partial: bool = False, strange: str = "") -> Any:
    """A store that holds one target, with something of another in it."""
    held = SimpleNamespace(path="out.zarr", digest=digest, partial=partial)
    asked: list[list[str]] = []

    def strangers(each: Any, names: list[str]) -> Any:
        asked.append(names)
        return iter([strange] if strange else [])

    state = lambda: "unfinished" if partial else "finished"  # noqa: E731
    return SimpleNamespace(held=lambda: [held], state=state, strangers=strangers, asked=asked)


def test_the_targets_that_a_journal_is_about() -> None:
    assert verify.known(None) == {}
    assert verify.known(RUN) == {"now": ["a", "x"], "before": ["b"]}
    assert verify.all_names(RUN) == ["a", "x", "b"]
    assert verify.all_names(None) == []


NOT_LAID_OUT = replace(RUN, laid_out=False)
OURS: list[tuple[RunRecord | None, str | None, bool, str]] = [
    (RUN, "now", False, ""),
    (RUN, "before", False, ""),
    (RUN, "now", True, ""),
    (RUN, "other", False, "out.zarr.journal is of another one"),
    (RUN, None, False, "out.zarr.journal is of another one"),
    (RUN, None, True, "out.zarr.journal is of another one"),
    (NOT_LAID_OUT, None, True, ""),
    (NOT_LAID_OUT, None, False, "out.zarr.journal is of another one"),
    (None, "now", False, "it has no out.zarr.journal"),
    (None, None, True, "it has no out.zarr.journal"),
]


@pytest.mark.parametrize(("run", "digest", "partial", "why"), OURS)
def test_what_somebody_else_wrote_is_refused(
    run: RunRecord | None, digest: str | None, partial: bool, why: str
) -> None:
    store = target(digest, partial=partial)
    if not why:
        assert verify.require_ours(store, journal(run)) == store.state()
        return
    with pytest.raises(OutputError) as error:
        verify.require_ours(store, journal(run))
    assert f"nothing shows that fdgrad wrote it ({why}), so it is not replaced" in str(error.value)


def test_what_somebody_else_put_into_it_is_refused() -> None:
    for digest, names in (("now", ["a", "x"]), ("before", ["b"]), (None, ["a", "x", "b"])):
        store = target(digest)
        verify.require_only_ours(store, RUN)
        assert store.asked == [names]
    with pytest.raises(OutputError, match=r"out.zarr holds notes.txt, which fdgrad did not write"):
        verify.require_only_ours(target("now", strange="notes.txt"), RUN)
    os.symlink("elsewhere", "out.zarr")
    with pytest.raises(OutputError, match="is a symbolic link, which fdgrad did not make"):
        verify.require_only_ours(target("now"), RUN)


def test_faults_by_hand() -> None:
    """Of four regions 1 was not finished; of what was written one thing each is wrong."""
    stored = {"a/c/0": "1", "a/c/2": "", "a/c/3": "9", "x/c/0": "6"}
    store: Any = SimpleNamespace(
        checksum=stored.get, absent=lambda keys: not any(map(stored.get, keys))
    )
    assert verify.faults(store, journal(None)) == []
    records = [region(0, a_c_0="1", b_c_0="2"), region(2, a_c_2="3"), region(3, a_c_3="4")]
    found = verify.faults(store, journal(RUN, *records))
    assert found == [
        Fault("region 1", "was not finished", 1),
        Fault("x/c/0", "has other bytes than were written", None),
        Fault("b/c/0", "is missing", 0),
        Fault("a/c/2", "is empty", 2),
        Fault("a/c/3", "has other bytes than were written", 3),
    ]
    assert str(found[2]) == "b/c/0 is missing"


def test_a_config_that_is_another_one_is_refused() -> None:
    before = {"a": "1", "version of jax": "0"}
    now = {"a": "1", "version of jax": "9"}
    verify.require_config(before, now, "out.zarr", is_complete=True)
    verify.require_config(before, dict(before), "out.zarr")
    with pytest.raises(OutputError) as error:
        verify.require_config(before, now, "out.zarr", "or so, ")
    assert str(error.value) == (
        "out.zarr was begun with something else: version of jax (was 0, is 9); undo the change, or "
        "so, run with --fresh to replace it, or name another target"
    )
    with pytest.raises(OutputError, match=r"out.zarr is the result of something else: a \(was 1, "):
        verify.require_config(before, {**now, "a": "2"}, "out.zarr", is_complete=True)


def test_inputs_that_have_changed_are_refused() -> None:
    asked: list[Any] = []

    def changed(read: Any) -> set[str]:
        asked.extend(read)
        return {"in"} if {"in": "v2"} in asked else set()

    inputs: Any = SimpleNamespace(changed=changed, shown=lambda keys: "in.zarr/c/2")
    verify.require_inputs(inputs, RUN, journal(RUN, region(0)), "out.zarr")
    assert asked == [{"x": "v0"}, {"in": "v0"}]
    with pytest.raises(OutputError, match=r"its inputs have changed since: in.zarr/c/2; run"):
        verify.require_inputs(inputs, RUN, journal(RUN, region(0), region(2)), "out.zarr")


def test_twenty_faults_are_shown(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write()
    assert fdgrad("run", config)[0] == 0
    code, out, _ = fdgrad("verify", config)
    assert (code, out) == (0, "out.zarr is complete: all 4 shards of 1 regions are intact\n")
    broken = [Fault(f"a/c/{n}", "is missing", n) for n in range(22)]
    for count, more in ((20, []), (21, ["… and 1 more"]), (22, ["… and 2 more"])):
        monkeypatch.setattr(verify, "faults", lambda *_, count=count: broken[:count])
        code, _, err = fdgrad("verify", config)
        assert code == 4
        first, *lines = err.splitlines()
        assert first == "fdgrad: out.zarr is broken, fdgrad run --repair writes these again:"
        shown = [f"  a/c/{n} is missing" for n in range(20)]
        assert lines == [*shown, *(f"  {each}" for each in more)]


ACCURATE = {"operator": "gradient", "inputs": ["sst"]}
ACCURATE["options"] = {"dim": "latitude", "accuracy": 4}


def test_a_target_of_another_run_in_its_place_is_nobodys(fdgrad: Called, write: Write) -> None:
    """It is whole, but neither complete nor broken: it is not the one of this journal."""
    assert fdgrad("run", write(target={"path": "other.zarr"}, steps=[ACCURATE]))[0] == 0
    config = write()
    assert fdgrad("run", config)[0] == 0
    shutil.rmtree("out.zarr")
    shutil.move("other.zarr", "out.zarr")
    code, _, err = fdgrad("verify", config)
    assert code == 4
    assert "nothing shows that fdgrad wrote it (out.zarr.journal is of another one)" in err


def test_without_its_source_a_target_is_held_against_the_config(
    fdgrad: Called, write: Write, source: str
) -> None:
    config = write()
    assert fdgrad("run", config)[0] == 0
    shutil.rmtree(source)
    code, out, _ = fdgrad("verify", config)
    assert code == 0
    assert "all 4 shards of 1 regions are intact; its inputs are not compared: " in out
    code, _, err = fdgrad("verify", write(steps=[ACCURATE]))
    assert code == 4
    assert "out.zarr is the result of something else: steps" in err


def test_a_source_that_was_replaced_by_one_of_no_use_has_changed(
    fdgrad: Called, write: Write, source: str, sst: xr.Dataset
) -> None:
    """No step can be made of it now; that it has changed is what matters."""
    by_depth = {"dim": "latitude", "coordinate": "depth"}
    config = write(steps=[{"operator": "gradient", "inputs": ["sst"], "options": by_depth}])
    assert fdgrad("run", config)[0] == 0
    shutil.rmtree(source)
    other = (sst + 1).drop_vars("depth").chunk(time=2, longitude=4)
    other.to_zarr(source, zarr_format=3, consolidated=False)
    code, _, err = fdgrad("verify", config)
    assert code == 4
    assert "out.zarr is complete, but its inputs have changed since: sst.zarr" in err
