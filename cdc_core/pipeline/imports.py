"""Imports of files, which not every target can be told of.

A source from 2.5 on writes a message for each import into the channels of its collection. A standby from 2.5 on runs
it from the files that it names; to any other target it is a message that cannot be replicated, a dead letter.
"""

from __future__ import annotations

from dataclasses import replace

from cdc_core.codec import dead_letter
from cdc_core.model.message import Kind
from cdc_core.source.window import Window

REASON = (
    "an import of files, which this target cannot be told of (a standby from Milvus 2.5 on can): import the same files "
    "there by hand"
)


def as_letters(window: Window, pchannel: str) -> Window:
    """The window with its imports as dead letters. Pure."""
    letters = [dead_letter.of_message(each, pchannel, REASON) for each in window.messages if each.kind is Kind.IMPORT]
    return replace(
        window,
        messages=tuple(each for each in window.messages if each.kind is not Kind.IMPORT),
        letters=tuple(sorted((*window.letters, *letters), key=lambda letter: letter.order)),
    )
