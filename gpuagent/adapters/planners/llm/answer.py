"""Strict reading of a model's final text after repairing the slips that models make: a decision, or AnswerInvalid.

Only the form is repaired, never the meaning: an unknown vendor, negative hours or other hours than asked for stay
as they are, for the guard to refuse.
"""

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic.alias_generators import to_camel

from gpuagent.adapters.planners.llm.answer_object import AnswerInvalid, answer_object, bare
from gpuagent.core.model import Action, Decision
from gpuagent.core.text import clean

REPLY_MAX = 20_000
"""Characters of a reply that are read and kept, the last ones: a model says at the end what it means."""
READING = 3
"""Raised when the same reply is read as something else than before: answers are cached as they were read."""
REASON_MAX = 600
ID_MAX = 100
WAIT_S = 60
"""The length of a wait that a model does not give one for."""

Number = Annotated[Decimal, Field(strict=True, max_digits=12), WithJsonSchema({"type": "number"})]
ACTIONS = {"start": "start_job", "startjob": "start_job"}
_PLAIN_NUMBER = re.compile(r"\s*(-?[0-9]{1,12}(?:\.[0-9]{1,12})?)\s*", re.ASCII)


class ModelAnswer(BaseModel):
    """A Decision as a model writes it. It has no place for an amount or an address."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    action: Literal["start_job", "wait", "abort"]
    vendor_id: str = ""
    max_hours: Number = Decimal(0)
    wait_seconds: Number = Decimal(0)
    reason: str = Field(min_length=1)


def schema() -> dict[str, Any]:
    """JSON schema of an answer. Every field is required, as strict modes demand."""
    model_schema = ModelAnswer.model_json_schema(by_alias=True)
    fields = {
        name: {key: value for key, value in field.items() if key in ("type", "enum")}
        for name, field in model_schema["properties"].items()
    }
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def read(text: str, vendor_ids: Sequence[str], now: float) -> tuple[Decision, tuple[str, ...]]:
    """The decision in a final text, and the repairs it took. now: when a wait begins, Unix seconds.

    Raises AnswerInvalid.
    """
    repairs: list[str] = []
    if len(text) > REPLY_MAX:
        text = text[-REPLY_MAX:]
        repairs.append(f"read only the last {REPLY_MAX} characters")
    fields = _normalized(answer_object(text, repairs), repairs)
    try:
        answer = ModelAnswer.model_validate(fields)
    except ValidationError as error:
        raise AnswerInvalid(_problems(error)) from None
    return _decision(answer, vendor_ids, now, repairs), tuple(repairs)


def _decision(answer: ModelAnswer, vendor_ids: Sequence[str], now: float, repairs: list[str]) -> Decision:
    action, reason = Action(answer.action), clean(answer.reason, REASON_MAX).strip()
    if not reason:
        raise AnswerInvalid("reason is empty: say what was compared")
    if action is Action.START_JOB:
        if not answer.vendor_id.strip():
            raise AnswerInvalid("vendorId is empty: start_job needs one of the candidates")
        return Decision(action, reason, _vendor_id(answer.vendor_id, vendor_ids, repairs), answer.max_hours)
    if action is Action.WAIT:
        seconds = float(answer.wait_seconds)
        if seconds <= 0:
            seconds = WAIT_S
            repairs.append(f"waitSeconds was not given: {WAIT_S}")
        return Decision(action, reason, wait_until=now + seconds)
    return Decision(action, reason)


def _vendor_id(name: str, vendor_ids: Sequence[str], repairs: list[str]) -> str:
    """The one candidate that differs in case or blanks alone; else as it was said."""
    if name in vendor_ids:
        return name
    alike = [vendor_id for vendor_id in vendor_ids if vendor_id.casefold() == name.strip().casefold()]
    if len(alike) != 1:
        return clean(name, ID_MAX)
    repairs.append("vendorId: case or blanks")
    return alike[0]


def _normalized(answer: Mapping[str, Any], repairs: list[str]) -> dict[str, Any]:
    """Fields under their right names, numbers as numbers, the action as one of ours."""
    names = {bare(field.alias or name): field.alias or name for name, field in ModelAnswer.model_fields.items()}
    fields: dict[str, Any] = {}
    for key, value in answer.items():
        name = names.get(bare(key), key)
        if name in fields:
            raise AnswerInvalid(f"{name} is given twice")
        if name != key:
            repairs.append(f"the field {name} was spelled otherwise")
        fields[name] = _value(name, value, repairs)
    return fields


def _value(name: str, value: Any, repairs: list[str]) -> Any:
    if value is None and name in ("vendorId", "maxHours", "waitSeconds"):
        return "" if name == "vendorId" else Decimal(0)
    if name in ("maxHours", "waitSeconds"):
        if isinstance(value, str) and (number := _PLAIN_NUMBER.fullmatch(value)):
            repairs.append(f"{name} was a text")
            return Decimal(number[1])
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise AnswerInvalid(f"{name} is not a number")
        return Decimal(value)
    if name == "action" and isinstance(value, str):
        plain = re.sub(r"[\s-]+", "_", value.strip().lower())
        action = ACTIONS.get(plain, plain)
        if action != value:
            repairs.append("action was spelled otherwise")
        return action
    return value


def _problems(error: ValidationError) -> str:
    problems = [f"{'.'.join(map(str, detail['loc'])) or 'answer'}: {detail['msg']}" for detail in error.errors()]
    return clean(json.dumps("; ".join(problems), ensure_ascii=False)[1:-1], 300)
