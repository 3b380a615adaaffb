"""What a recipe's claims compare: rows of published tables, or networks named directly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mml_core.config.protocols import ProtocolConfig
from mml_core.config.references import split_reference
from mml_core.config.tables import Claim, ClaimsConfig, split_members
from mml_core.errors import InputError
from mml_core.plan.published import PublishedRow
from mml_core.plan.stages import Stage

#: In a reference to a row: every label of that column that has a network here, one after the other.
EVERY = "*"


class Pair(NamedTuple):
    """One comparison: the side that is claimed to be better, and the other."""

    better: PublishedRow
    worse: PublishedRow
    stated: float | None = None  # the difference in points that the paper states in words

    @property
    def sides(self) -> tuple[PublishedRow, PublishedRow]:
        """Both rows."""
        return self.better, self.worse

    @property
    def published(self) -> float | None:
        """The paper's difference in points, as stated or of the printed values; None where it has none."""
        if self.stated is not None:
            return self.stated
        better, worse = (next(iter(row.values.values()), None) for row in self.sides)
        return None if better is None or worse is None else better - worse


def resolve_claims(
    claims: ClaimsConfig,
    protocols: Mapping[str, ProtocolConfig],
    tables: Mapping[str, Sequence[PublishedRow]],
    *,
    file: Path,
) -> dict[str, list[Pair]]:
    """Return the comparisons of each of a recipe's `claims`, `tables` being its published ones.

    Raises InputError, naming the recipe's `file` and the claim, for rows that a table does not have, that have no
    network here, or that do not pair up.
    """
    pairs, protocol = {}, protocols[claims.protocol]
    for claim in claims.tested:
        try:
            pairs[claim.name] = _pairs(claim, protocol.stored_as(claims.protocol), protocol, tables)
        except ValueError as error:
            raise InputError(f"claims.statements.{claim.name}: {error}", file=file) from error
    return pairs


def check_claims(claims: Mapping[str, Sequence[Pair]], stages: Mapping[str, Stage], file: Path) -> None:
    """Raise InputError, naming the recipe's `file`, for a claim whose differences are not over the same videos."""
    for name, pairs in claims.items():
        members = [member for pair in pairs for side in pair.sides for member in side.members]
        datasets = sorted({stages[split_reference(member)[0]].document.dataset for member in members})
        if len(datasets) > 1:
            raise InputError(
                f"claims.statements.{name}: compares networks for {' and '.join(datasets)}",
                file=file,
                hint="make a claim for each data set",
            )


def _pairs(
    claim: Claim, stored: str, protocol: ProtocolConfig, tables: Mapping[str, Sequence[PublishedRow]]
) -> list[Pair]:
    pairs = []
    for comparison in claim.comparisons:
        better, worse = (
            [PublishedRow({}, {}, tuple(split_members(side)), (), stored, protocol)]
            if isinstance(side, str)
            else _rows(side, tables)
            for side in (comparison.better, comparison.worse)
        )
        if len(better) != len(worse):
            raise ValueError(f"{comparison.better} is {len(better)} row(s), {comparison.worse} is {len(worse)}")
        pairs += [Pair(*sides, comparison.published) for sides in zip(better, worse, strict=True)]
    return pairs


def claimed_networks(pairs: Mapping[str, Sequence[Pair]]) -> dict[str, list[str]]:
    """Return the networks that comparisons by claim need, by the name of the protocol that they are scored with."""
    needed: dict[str, set[str]] = {}
    for row in (row for chosen in pairs.values() for pair in chosen for row in pair.sides):
        needed.setdefault(row.stored, set()).update(row.members)
    return {stored: sorted(references) for stored, references in sorted(needed.items())}


def _rows(reference: Sequence[str], tables: Mapping[str, Sequence[PublishedRow]]) -> list[PublishedRow]:
    """Return the rows that `reference` (table, then what a row is about; `*` for anything) names."""
    table, *wanted = reference
    found = [
        row
        for row in tables[table]
        if len(wanted) <= len(row.about)
        and all(text in (EVERY, about) for text, about in zip(wanted, row.about.values(), strict=False))
    ]
    if not wanted or not found:
        known = ", ".join(repr(" / ".join(row.about.values())) for row in list(tables[table])[:6])
        raise ValueError(f"{table} has no row {wanted}; it has {known}, …")
    if EVERY not in wanted and len(found) > 1:
        raise ValueError(f"{table} has {len(found)} rows {wanted}")
    if any(row.others for row in found):
        raise ValueError(f"{table}: row {wanted} is a mean over several data sets, which has no differences by video")
    with_networks = [row for row in found if row.members]
    if not with_networks:
        raise ValueError(f"{table}: row {wanted} has no network here")
    return with_networks
