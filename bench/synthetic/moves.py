"""Writes down when a channel leaves its gate, is claimed and is at its gate again."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from cdc_core.coordination.gates import Gates, Request, Round, Word
from cdc_core.coordination.leases import Claim, Leases


class Moves:
    """Of one process. It looks from outside, at the calls to Redis: lines of `seconds event member`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)
        self._lock = threading.Lock()
        self._claimed: set[str] = set()

    def watch(self) -> None:
        claim, one, many = Leases.claim, Gates.round, Gates.rounds

        def watched_claim(leases: Leases, *args: Any) -> Any:
            found = claim(leases, *args)
            if isinstance(found, Claim):
                self._claimed.add(found.key.member)
                self._tell("claim", found.key.member)
            return found

        def watched_round(gates: Gates, request: Request) -> Round:
            found = one(gates, request)
            self._look(request, found)
            return found

        def watched_rounds(gates: Gates, requests: Any) -> Any:
            found = many(gates, requests)
            if self._claimed:
                for request, answer in zip(requests, found, strict=True):
                    self._look(request, answer)
            return found

        for of, name, watched in (
            (Leases, "claim", watched_claim),
            (Gates, "round", watched_round),
            (Gates, "rounds", watched_rounds),
        ):
            setattr(of, name, watched)

    def _look(self, request: Request, answer: Round) -> None:
        for operation, found in zip(request.operations, answer.answers, strict=True):
            member = operation.key.member
            if operation.word == "leave" and found.word is Word.OK:
                self._tell("leave", member)
            elif member in self._claimed and found.word is Word.STEP:
                self._claimed.discard(member)
                self._tell("step", member)

    def _tell(self, event: str, member: str) -> None:
        with self._lock:
            self._file.write(f"{time.time():.3f} {event} {member}\n")
