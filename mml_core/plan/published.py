"""Tables of papers: the printed values as data, and which of a recipe's networks belongs to each of their rows."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mml_core.config.protocols import ProtocolConfig
from mml_core.config.tables import (
    PublishedConfig,
    PublishedNetworks,
    PublishedPairs,
    PublishedPositions,
    PublishedSampling,
    averaged,
    split_members,
)
from mml_core.config.views import lacking_views
from mml_core.errors import InputError
from mml_core.plan.shipped import config_file

#: Columns that hold a share in percent; every other column says what a row is about.
METRICS = ("top1", "top5", "map")
POSITIONS = "sum_of_positions"


@dataclass(frozen=True)
class PublishedRow:
    """A row of a published table and what it is made from here."""

    about: Mapping[str, str]  # what the row is about, by column
    values: Mapping[str, float | None]  # printed values by metric; None for an empty cell
    members: tuple[str, ...]  # networks (stage.network) whose logits are summed; empty: none here
    others: tuple[tuple[str, ...], ...]  # further such ensembles, where the row is the mean over several
    stored: str  # name of the recipe's protocol that its networks are scored with
    protocol: ProtocolConfig  # that protocol, or the part of its views that the row is about

    @property
    def middle(self) -> PublishedRow | None:
        """The row with the middles in its one uniform clip; None where it has none, or several, which have them."""
        if (self.protocol.clips, self.protocol.uniform, self.protocol.phase) != ("counted", 1, "start"):
            return None
        return replace(self, protocol=self.protocol.model_copy(update={"phase": "middle"}))


def published_file(root: Path, name: str, shipped: Path | None = None) -> Path:
    """Return the file with the values of the published table `name`; `root` and `shipped` are those of `plan_run`."""
    return config_file(root, shipped or root, "published", f"{name}.csv")


def read_published(path: Path) -> list[dict[str, str]]:
    """Return the rows of the CSV file of a published table; raises InputError naming the file where there are none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read as a published table ({error})", file=path) from error
    if not rows or any(None in row or None in row.values() for row in rows):
        raise InputError("expected a header and rows with a field for each of its columns", file=path)
    return rows


def join_models(
    table: PublishedConfig, protocols: Mapping[str, ProtocolConfig], rows: Iterable[Mapping[str, str]]
) -> list[PublishedRow]:
    """Return the published `rows`, each with the networks that `table` maps it to.

    Raises ValueError for a model that no row is about, for values that are no numbers, and where the scores of a row's
    networks lack views that it is about, or middles are asked for that no row has.
    """
    joined, unused = [], _labels(table)
    for row in rows:
        stored = stored_by(table, protocols, _protocol_name(table, row))
        ensembles, used = _ensembles(table, row)
        unused -= used
        values = {name: float(row[name]) if row[name] else None for name in (*METRICS, POSITIONS) if name in row}
        about = {name: text for name, text in row.items() if name not in values}
        members, *others = ensembles or [()]
        joined.append(PublishedRow(about, values, members, tuple(others), stored, _protocol(table, protocols, row)))
        _check_views(joined[-1], protocols[stored], middle=table.middle)
    if table.middle and not any(row.middle for row in joined):
        raise ValueError("middle: no row is about one uniform clip, whose frames could lie in the middles")
    if unused:
        raise ValueError(f"models: no published row is about {', '.join(map(repr, sorted(unused)))}")
    return joined


def published_rows(
    tables: Mapping[str, PublishedConfig],
    protocols: Mapping[str, ProtocolConfig],
    *,
    file: Path,
    root: Path,
    shipped: Path | None = None,
) -> dict[str, list[PublishedRow]]:
    """Return the rows of each of a recipe's published `tables`, with the networks behind them.

    `root` and `shipped` are those of `plan_run`. Raises InputError, naming the recipe's `file` and the key, where a
    table does not fit its data.
    """
    rows = {}
    for name, table in tables.items():
        data = published_file(root, table.published, shipped)
        try:
            rows[name] = join_models(table, protocols, read_published(data))
        except (KeyError, ValueError) as error:
            hint = f"compare with config/published/{data.name}"
            raise InputError(f"published.{name}: {error}", file=file, hint=hint) from error
    return rows


def stored_by(table: PublishedConfig, protocols: Mapping[str, ProtocolConfig], name: str) -> str:
    """Return the name of the protocol by which the networks of rows about protocol `name` are scored.

    It is what the table's is stored as, whose views those of the row are among, unless noise or missing modalities are
    others.
    """
    own, whole = protocols[name], protocols[table.protocol]
    alike = (own.noise, own.missing) == (whole.noise, whole.missing)
    return whole.stored_as(table.protocol) if alike else own.stored_as(name)


def _protocol_name(table: PublishedConfig, row: Mapping[str, str]) -> str:
    """Return the name of the protocol that a published row is about, or that has its views."""
    own = table.row_protocols if isinstance(table, PublishedNetworks) else {}
    return own.get(_label(table, row), table.protocol) if own else table.protocol


def _protocol(
    table: PublishedConfig, protocols: Mapping[str, ProtocolConfig], row: Mapping[str, str]
) -> ProtocolConfig:
    """Return the protocol that a published row is about: the table's, unless the row or its columns name another."""
    match table:
        case PublishedSampling():
            counts = {"dense": int(row["test_dense"]), "uniform": int(row["test_uniform"])}
            return ProtocolConfig.model_validate(protocols[table.protocol].model_dump() | counts)
        case _:
            return protocols[_protocol_name(table, row)]


def _check_views(row: PublishedRow, stored: ProtocolConfig, *, middle: bool) -> None:
    """Raise ValueError where the `stored` views of a row with networks lack those that it is about."""
    parts = [row.protocol, *([row.middle.protocol] if middle and row.middle else [])] if row.members else []
    for reason in filter(None, (lacking_views(stored, part) for part in parts if part != stored)):
        raise ValueError(f"row {' / '.join(row.about.values())!r}: {reason}")


def _labels(table: PublishedConfig) -> set[tuple[str, ...]]:
    match table:
        case PublishedNetworks() | PublishedSampling():
            return {(label,) for label in table.models}
        case PublishedPairs() | PublishedPositions():
            return {(group, label) for group, models in table.models.items() for label in models}


def _label(table: PublishedNetworks, row: Mapping[str, str]) -> str:
    """Return what the recipe calls a published row."""
    return " / ".join(row[column] for column in table.labels)


def _ensembles(table: PublishedConfig, row: Mapping[str, str]) -> tuple[list[tuple[str, ...]], set[tuple[str, ...]]]:
    """Return a row's networks, in several ensembles where it is a mean, and which labels of the models it uses."""
    match table:
        case PublishedNetworks():
            label = _label(table, row)
            found = averaged(table.models[label]) if label in table.models else ()
            return [tuple(split_members(members)) for members in found], {(label,)}
        case PublishedSampling():
            label = row["train_sampling"]
            return [(table.models[label],)] if label in table.models else [], {(label,)}
        case PublishedPairs():
            used = {(column, row[column]) for column in table.models}
            found = [models.get(row[column]) for column, models in table.models.items()]
            return [tuple(filter(None, found))] if all(found) else [], used
        case PublishedPositions():
            label = (row["modality"], row["model"])
            reference = table.models[label[0]].get(label[1])
            return [(reference,)] if reference else [], {label}
