"""Multi-modal video action classification: decoding, flow, mutual learning and ensembles."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mml_core.inference.model import Model

__version__ = "0.1.0"


def load(folder: Any, **options: Any) -> "Model":
    """Return the model of the bundle in `folder`; see `mml_core.inference.model.load` for the options."""
    # by name, so that `import mml_core` takes no time, and programs that ask for the version alone are not about this
    return importlib.import_module("mml_core.inference.model").load(folder, **options)
