"""The schedules of this machine, and what they left, as lines of text."""

from collections.abc import Iterator, Sequence

from gpuagent.core.text import clean
from gpuagent.core.units import show_size
from gpuagent.schedule.copies import Copies
from gpuagent.schedule.listing import Timer

COMMAND_MAX, OUTCOME_MAX = 300, 200


def listing_text(timers: Sequence[Timer], copies: Sequence[Copies]) -> Iterator[str]:
    """The lines. Each schedule has its own few, so that none is cut off on a narrow terminal."""
    if not timers:
        yield "no timer of systemd and no crontab that you may read starts a scheduled run: see deploy/README.md"
    for timer in timers:
        yield f"{timer.kind} {timer.place}"
        yield f"  starts   {timer.next or timer.when or 'not again: the timer is off'}"
        if timer.last:
            yield f"  last     {timer.last}: {timer.result}"
        yield f"  command  {clean(timer.command, COMMAND_MAX)}"
    if not copies:
        yield "no executed copies here: --out names another folder to look into"
    for group in copies:
        noun = "copy" if group.count == 1 else "copies"
        yield f"{group.name}: {group.count} executed {noun}, {show_size(group.bytes)}, in {group.folder}"
        yield f"  newest   {group.at}: {clean(group.outcome, OUTCOME_MAX)}"
