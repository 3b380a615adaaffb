"""What is made to stay is not looked at again; what is made afterwards is collected as before."""

from __future__ import annotations

import gc
import weakref

from mml_core.runtime.garbage import made_to_stay


class Knot:
    def __init__(self) -> None:
        self.me = self


def test_what_stays_is_passed_over_and_later_garbage_is_collected() -> None:
    try:
        with made_to_stay():
            assert not gc.isenabled()
            stays = weakref.ref(Knot())
        assert gc.isenabled() and gc.get_freeze_count() > 0
        gone = weakref.ref(Knot())
        gc.collect()
        assert stays() is not None and gone() is None
    finally:
        gc.unfreeze()
    gc.collect()
    assert stays() is None
