"""Cache of planners' answers by context, in memory or as a file of JSON lines."""

import json
import os
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from gpuagent.core.model import Action, Decision
from gpuagent.errors import BadInput
from gpuagent.planbench.play import PlannerAnswer


class AnswerCache:
    """Answers by (context, objection). In a file, each is safe on disk before the next question is put."""

    def __init__(self, path: Path | None = None) -> None:
        """path None: in memory only. Raises BadInput where a line of the file is no answer."""
        self._path = path
        self._answers: dict[str, PlannerAnswer] = {}
        if path and path.exists():
            self._read(path)

    def get(self, key: str) -> PlannerAnswer | None:
        return self._answers.get(key)

    def put(self, key: str, answer: PlannerAnswer, record: Mapping[str, object]) -> None:
        """Stores the answer; on disk only one with a decision, since a missing one may be the network's failure."""
        self._answers[key] = answer
        if self._path is None or answer.decision is None:
            return
        line = json.dumps({"key": key, **_as_json(answer, answer.decision), "record": dict(record)}, default=str)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self, path: Path) -> None:
        text = path.read_text("utf-8")
        complete = text[: text.rfind("\n") + 1]
        if complete != text:  # the last write was interrupted: the rest must not spoil the next line
            os.truncate(path, len(complete.encode()))
        for number, line in enumerate(complete.splitlines(), 1):
            try:
                document = json.loads(line)
                self._answers[document["key"]] = _from_json(document)
            except (ValueError, KeyError, TypeError, InvalidOperation) as error:
                raise BadInput(f"{path}, line {number} is no remembered answer: delete the line or the file") from error


def _as_json(answer: PlannerAnswer, decision: Decision) -> dict[str, Any]:
    fields = {
        "action": decision.action.value,
        "vendorId": decision.vendor_id,
        "maxHours": str(decision.max_hours),
        "waitUntil": decision.wait_until,
        "reason": decision.reason,
    }
    return {"decision": fields, "ms": answer.ms, "cost": str(answer.amount)}


def _from_json(document: Mapping[str, Any]) -> PlannerAnswer:
    fields = document["decision"]
    decision = Decision(
        Action(fields["action"]),
        fields["reason"],
        fields["vendorId"],
        Decimal(fields["maxHours"]),
        float(fields["waitUntil"]),
    )
    return PlannerAnswer(decision, float(document["ms"]), int(document["cost"]))
