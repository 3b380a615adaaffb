"""Values of the command line that several subcommands take."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

#: An integer from 1 on.
Count = Annotated[int, Parameter(validator=Number(gte=1))]
#: An integer from 0 on.
Index = Annotated[int, Parameter(validator=Number(gte=0))]
#: A number above 0.
Positive = Annotated[float, Parameter(validator=Number(gt=0))]
Device = Literal["auto", "cpu", "cuda"]
