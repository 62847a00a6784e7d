"""How a topic is trimmed, and whether a place in it is in danger."""

from __future__ import annotations

from dataclasses import dataclass

_TRIMMINGS = 2
"""What would be gone after so many more trimmings like the largest one seen is in danger."""


@dataclass(frozen=True, slots=True)
class Trimming:
    """`head` is the order (`Record.order`) of the first message still there, `step` the farthest that it was seen to
    move between two looks: 0 for a topic that nobody trims.
    """

    head: int
    step: int = 0

    def moved(self, head: int) -> Trimming:
        """After another look. A head behind the one before is another topic under the name."""
        return Trimming(head, max(self.step, head - self.head)) if head >= self.head else Trimming(head)

    def danger(self, checkpoint: int, tail: int) -> str:
        """'' or what is to be feared for what lies behind the checkpoint; all are orders."""
        if checkpoint >= tail or not self.step:
            return ""
        if checkpoint < self.head:
            return "the queue has trimmed up to its checkpoint, or past it: what was not read may be gone"
        if checkpoint - self.head < _TRIMMINGS * self.step:
            return "the next trimming of the queue may take what was not read yet"
        return ""
