"""Commands ``embed`` and ``select``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._options import DatasetOptions, check_executor
from .._text import printable
from ..errors import UsageError
from .label_log import GivenLabels
from .options import (
    Address,
    Embed,
    EmbedArguments,
    Executor,
    Head,
    Images,
    ImagesWithLabels,
    Index,
    LabelInputs,
    TargetName,
)
from .session import MAX_NAMED, Session, failures_of
from .strategy_checks import check_strategies
from .target import target_facts, target_of, with_spec_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..active import Group
    from ..embedding import Embeddings
    from ..strategies import Selection

__all__ = ["embed", "select"]


def embed(
    session: Session,
    data: Images,
    embed_options: Embed,
    fill_only: Annotated[
        bool,
        typer.Option(
            "--fill-only",
            help="With --executor ray, for a folder or an address: fill the cache only, without a "
            "list of all images in this process and without a matrix",
        ),
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Print which stage limits the speed")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Also write the vectors to a .parquet file with the columns path and embedding",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Embed every image that has no vector in the cache.

    The command can be interrupted, repeated, and run several times in parallel.
    """
    if fill_only:
        unused = (
            *("source", "download", "within", "folder_labels", "every"),
            *("profile", "output", "vectors"),
        )
        for option in (session.given[name].split()[0] for name in unused if name in session.given):
            raise UsageError(f"--fill-only has no use for {option}: leave one of them out.")
        _fill_only(session, data, embed_options)
        return
    if output is not None:
        from ..embedding.vector_files import check_output

        _check_one_backbone(embed_options)
        check_output(output)
    found = session.embed_each(data, embed_options)
    facts = _facts_of_one(found[0]) if len(found) == 1 else _facts_of_several(found)
    report = found[0].report
    if profile and report.profile is not None:
        session.remark(f"{report.profile}.")
        facts["profile"] = report.profile.facts()
    if output is not None:
        from ..embedding import write_vectors

        write_vectors(found[0], output)
        facts["output"] = str(output)
    counts = "{embedded} embedded, {reused} reused, {failed} failed".format_map
    dims = f"; {report.dim} dimensions" if len(found) == 1 else ""
    rate = facts["images_per_second"]
    speed = "" if rate is None else f", {rate:.0f} images/s"
    lines = [
        f"{report.dataset}: {report.items} items, {counts(facts)}{dims}; {facts['seconds']:.1f} s"
        f"{speed}",
        *(
            f"  {each['backbone']}: {counts(each)}; {each['dim']} dimensions"
            for each in facts.get("specs", ())
        ),
    ]
    session.finish(facts, "\n".join(lines))


def _check_one_backbone(options: Embed) -> None:
    from ..embedding.parts import one_of_each

    n_backbones = len(one_of_each(options))
    if n_backbones > 1:
        raise UsageError(
            f"--output writes the vectors of one backbone; --backbone {options.backbone} has "
            f"{n_backbones}. Leave out --output."
        )


def _fill_only(session: Session, data: DatasetOptions, embed_options: Embed) -> None:
    from ..embedding.embed import fill_folder

    names = [data.dataset] if isinstance(data.dataset, str) else list(data.dataset)
    if len(names) != 1:
        raise UsageError(f"--fill-only takes one folder; got {len(names)} arguments.")
    started = time.monotonic()
    with session.progress() as progress:
        counts, spec = fill_folder(names[0], session.workspace, embed_options, progress)
    for failure in counts.failures[:MAX_NAMED]:
        session.remark(failure.message)
    if counts.failed > MAX_NAMED:
        session.remark(f"… and {counts.failed - MAX_NAMED} more failed images.")
    speed = counts.embedded / counts.seconds if counts.embedded else None
    facts = {
        "dataset": names[0],
        "spec_id": spec.id,
        "items": counts.items,
        "embedded": counts.embedded,
        "reused": counts.reused,
        "failed": counts.failed,
        "failures": [
            {"path": each.path, "stage": each.stage, "reason": each.error}
            for each in counts.failures
        ],
        "dim": spec.dim,
        "seconds": time.monotonic() - started,
        "images_per_second": speed,
    }
    session.finish(
        facts,
        f"{names[0]}: {counts.items} items, {counts.embedded} embedded, {counts.reused} reused, "
        f"{counts.failed} failed; {spec.dim} dimensions"
        + (f", {speed:.0f} images/s" if speed else ""),
    )
    session.check_failures(embed_options.max_failures, counts.failed, counts.items, names[0])


def _facts_of_one(embeddings: Embeddings) -> dict[str, Any]:
    """Return a report for JSON, with missing files among the failures."""
    report = embeddings.report
    facts: dict[str, Any] = {}
    for name, value in asdict(report).items():
        if name == "remarks":
            facts[name] = [remark._asdict() for remark in report.remarks]
        elif name not in ("vanished", "profile"):
            facts[name] = value
        if name == "failed":
            facts["failures"] = failures_of([embeddings])
    return facts


def _facts_of_several(found: Sequence[Embeddings]) -> dict[str, Any]:
    """Return one report for JSON of several backbones: an image counts once."""
    reports, failures = [each.report for each in found], failures_of(found)
    first, failed = reports[0], len({each["path"] for each in failures})
    embedded = 0 if first.profile is None else first.profile.images
    rates = [each.images_per_second for each in reports if each.images_per_second is not None]
    remarks = dict.fromkeys(remark for each in reports for remark in each.remarks)
    return {
        "dataset": first.dataset,
        "items": first.items,
        "embedded": embedded,
        "reused": first.items - embedded - failed + first.vanished,
        "failed": failed,
        "failures": failures,
        "seconds": max(each.seconds for each in reports),
        "images_per_second": rates[0] if rates else None,
        "remarks": [remark._asdict() for remark in remarks],
        "notes": list(dict.fromkeys(note for each in reports for note in each.notes)),
        "specs": [
            {
                "backbone": each.options.backbone if each.options else None,
                **{
                    name: getattr(each.report, name)
                    for name in ("spec_id", "dim", "embedded", "reused", "failed")
                },
            }
            for each in found
        ],
    }


def select(
    session: Session,
    data: ImagesWithLabels,
    n: Annotated[
        int, typer.Option("-n", help="Number of items to choose", min=1, show_default=False)
    ],
    embed_options: EmbedArguments,
    inputs: LabelInputs,
    strategy: Annotated[
        str,
        typer.Option(
            help="Selection strategy (see `embedpipe list strategies`), also with options, such as "
            "'coral(uncertainty=entropy)' or 'combine(margin^1, diversity^2)', or a .yaml file "
            "that describes a strategy"
        ),
    ] = "coreset",
    target: TargetName = None,
    head: Head = "auto",
    index: Index = "exact",
    seed: Annotated[int, typer.Option(help="Random seed", min=0)] = 0,
    executor: Executor = "local",
    address: Address = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File for the picks, with an empty label column to fill in", show_default=False
        ),
    ] = None,
    groups: Annotated[
        int, typer.Option(help="Maximum number of similar items to list for each pick", min=0)
    ] = 0,
    report: Annotated[
        Path | None,
        typer.Option(help="File for an HTML page with the picks", show_default=False),
    ] = None,
) -> None:
    """Choose the images to label next.

    Labelled images are not chosen. Without --labels, the labels are those of the label log; skipped
    and unsure images and accepted suggestions of the log are not chosen either.
    """
    from ..active import groups as groups_of
    from ..active import select as choose
    from ..active import text_vectors
    from ..heads import get_head
    from ..index import check_kind
    from ..labels import table_format
    from ..strategies import get_strategy
    from ..strategies.strategy import METRIC
    from ..tables import read_table

    # Wrong options end the command before the embedding.
    chooser, _ = get_strategy(strategy), get_head(head)
    check_kind(index)
    check_executor(executor)
    embed_options = replace(embed_options, executor=executor, address=address)
    check_strategies([chooser], target, embed_options)
    if output is not None:
        table_format(output, UsageError)
        _check_output(output)
    given = GivenLabels(session, inputs)
    if inputs.metadata is not None:
        read_table(inputs.metadata, ("path",))
    embeddings = session.embed(data, embed_options)
    known = given.or_log(embeddings)
    if known.labels or known.declined:
        session.remark(f"{known}{known.format_declined()}.")
    labels = known.labels or None
    declined = [row for row, item in enumerate(embeddings.items) if item.id in known.declined]
    examples = _examples(session, embeddings, inputs.examples, embed_options)
    metadata = _metadata(embeddings, inputs.metadata)
    used_in = target_of(session, embeddings, target, embed_options)
    started = time.monotonic()
    chosen = choose(
        embeddings,
        n,
        strategy,
        labels=labels,
        declined=declined,
        head=head,
        seed=seed,
        index=index,
        examples=examples,
        metadata=metadata,
        target=used_in,
        executor=executor,
        address=address,
        texts=text_vectors(embeddings, chooser.texts, workspace=session.workspace),
    )
    seconds = time.monotonic() - started
    similar = []
    if groups:
        metric = chooser.metric or METRIC
        similar = groups_of(
            embeddings, chosen.rows, labels=labels, declined=declined, metric=metric
        )
    picks = _picks(embeddings, chosen, similar, groups)
    if output is not None:
        _write_picks(output, picks)
    result = {
        "strategy": strategy,
        "n": len(picks),
        **known.facts(),
        **target_facts(used_in),
        "picks": picks,
        "diagnostics": {name: _plain(value) for name, value in chosen.diagnostics.items()},
        "seconds": round(seconds, 4),
    }
    if report is not None:
        from ..reports import selection_of, write_selection

        page = selection_of(
            embeddings,
            chosen,
            strategy=strategy,
            groups=similar,
            members=groups,
            facts=(("labels", f"{len(known.labels):,}"),),
            details=(("seed", str(seed)),),
            command=session.typed,
        )
        result["report"] = str(write_selection(report, page))
    lines = [printable(pick["id"]) for pick in picks]
    session.finish(result, "\n".join([*lines, *([f"report: {report}"] if report else [])]))


def _picks(
    embeddings: Embeddings, chosen: Selection, groups: Sequence[Group], members: int
) -> list[dict[str, Any]]:
    source, items = embeddings.dataset.source, embeddings.items
    picks: list[dict[str, Any]] = [
        {
            "rank": rank,
            "id": items[row].id,
            "path": source.path(items[row].id),
            "score": float(score),
        }
        for rank, (row, score) in enumerate(zip(chosen.rows, chosen.scores, strict=True), start=1)
    ]
    for pick, group in zip(picks, groups, strict=False):
        pick["stands_for"] = group.rows.size
        pick["members"] = [
            {"id": items[row].id, "distance": float(distance)}
            for row, distance in zip(group.rows[:members], group.distances, strict=False)
        ]
    return picks


def _examples(
    session: Session, embeddings: Embeddings, names: Sequence[str], embed_options: Embed
) -> NDArray[np.float32] | None:
    """Return the vectors of the examples: items of this dataset, or whole other datasets."""
    import numpy as np

    row_of = {item.id: row for row, item in enumerate(embeddings.items)}
    same_spec = with_spec_of(embeddings, embed_options)
    vectors = [
        np.asarray(embeddings)[[row_of[name]]]
        if name in row_of
        else np.asarray(session.embed(DatasetOptions(name), same_spec))
        for name in names
    ]
    return np.concatenate(vectors) if vectors else None


def _metadata(embeddings: Embeddings, path: Path | None) -> dict[str, NDArray[np.float64]] | None:
    from ..labels import read_metadata

    return None if path is None else read_metadata(path, [item.id for item in embeddings.items])


def _check_output(output: Path) -> None:
    """Refuse to overwrite a file that contains labels."""
    from ..errors import EmbedpipeError
    from ..tables import read_table

    if not output.exists():
        return
    try:
        table = read_table(output, ("path", "label"))
        filled_in = sum(label != "" for label in table.columns["label"])
    except EmbedpipeError as error:
        raise UsageError(
            f"{output} exists and is not a table of labels ({error}): choose another --output, or "
            "remove the file."
        ) from None
    if filled_in:
        raise UsageError(
            f"{output} contains {filled_in} labels: choose another --output to keep them."
        )


def _write_picks(output: Path, picks: list[dict[str, Any]]) -> None:
    from ..labels import write_table

    columns: dict[str, list[Any]] = {
        "path": [pick["id"] for pick in picks],
        "label": ["" for _ in picks],
        "rank": [pick["rank"] for pick in picks],
        "score": [pick["score"] for pick in picks],
    }
    write_table(columns, output)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
