"""A decision of a run, explained from its record. What planners and vendors wrote is escaped, and cut."""

from collections.abc import Mapping, Sequence
from typing import Any

from gpuagent.core.money import show_usd
from gpuagent.core.status import planner_label
from gpuagent.panels.kit.html import Html, el, join, table
from gpuagent.panels.tables import clock_time, vendor_name
from gpuagent.render.decision import score_text

TEXT_MAX, OPTION_MAX = 600, 80


def explanation(decision: Mapping[str, Any] | None, colours: Mapping[str, str]) -> Html:
    """What was chosen among which candidates, by whom, and the guard's verdicts.

    decision: an agent_reasoning observation, or None before the first.
    """
    if decision is None:
        return el("p", "Nothing was decided yet.", class_="faint")
    data = decision["data"]
    if "candidates" not in data:
        return el("p", decision["content"][:TEXT_MAX])
    chosen = (data["decision"] or {}).get("vendorId", "")
    rows = [_candidate(candidate, chosen, colours) for candidate in data["candidates"]]
    heads = ("candidate", "quote", "advertised", "learned", "score", "choice")
    reason = decision["content"].removeprefix(f"{chosen}: ")  # the sentence before it names the vendor
    return join(
        el("p", el("b", _action(data["decision"], chosen)), f" {reason[:TEXT_MAX]}"),
        table(heads, rows, "Candidates of the decision"),
        el("p", _by(data, decision), class_="faint"),
        *_verdicts(data),
    )


def decision_option(number: int, decision: Mapping[str, Any]) -> str:
    """The decision as a line of the list of decisions. number: 1 for the run's first."""
    text = " ".join(str(decision["content"]).split())
    return f"{number}: {clock_time(decision['timestamp'])}  {text[:OPTION_MAX]}"


def _action(decision: Mapping[str, Any] | None, chosen: str) -> str:
    match (decision or {}).get("action"):
        case "start_job":
            return f"Chose {chosen}."
        case "wait":
            return "Chose to wait."
        case "abort":
            return "Chose to give up."
    return "No answer counted."


def _candidate(candidate: Mapping[str, Any], chosen: str, colours: Mapping[str, str]) -> list[object]:
    refusals = "; ".join(filter(None, [candidate["problem"], *candidate["refusals"]]))[:TEXT_MAX]
    score = [] if refusals and candidate["score"] is None else [el("div", score_text(candidate["score"]), class_="num")]
    why_not = [el("div", refusals, class_="faint")] if refusals else []
    return [
        vendor_name(candidate["vendorId"], colours),
        el("span", "none" if candidate["amount"] is None else show_usd(int(candidate["amount"])), class_="num"),
        el("span", _share(candidate["reliability"]), class_="num"),
        el("span", _share(candidate["learned"]), class_="num"),
        join(*score, *why_not),
        el("b", "✓ chosen", class_="num") if chosen == candidate["vendorId"] else "",
    ]


def _share(value: object) -> str:
    return f"{value:.0%}" if isinstance(value, int | float) else "unknown"


def _by(data: Mapping[str, Any], decision: Mapping[str, Any]) -> str:
    model = f", model {data['model']}" if data.get("model") else ""
    tokens = f", {data['tokens']} tokens" if data.get("tokens") else ""
    cost = f", {show_usd(int(data['cost']))}" if data["cost"] else ""
    at = clock_time(decision["timestamp"])
    return f"Decided by {planner_label(data['decidedBy'])}{model} at {at} in {data['latencyMs']} ms{tokens}{cost}."


def _verdicts(data: Mapping[str, Any]) -> Sequence[Html]:
    """The guard's verdict on each answer, in order."""
    planners = [planner_label(attempt["planner"]) for attempt in data["attempts"]]
    lines = [
        el("p", "Guard on ", name, ": ", verdict[:TEXT_MAX], class_="" if verdict == "accepted" else "bad")
        for name, verdict in zip(planners, data["verdicts"], strict=True)
    ]
    fallback = [el("p", "Fell back: ", data["fallback"][:TEXT_MAX], class_="bad")] if data.get("fallback") else []
    return [*lines, *fallback]
