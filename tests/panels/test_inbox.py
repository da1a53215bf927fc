"""The console's inbox: a badge, and several approvals at one click, each at the amount that was shown."""

from collections.abc import Callable

from gpuagent.agent.approve import cancel
from gpuagent.core.policy import Halt
from gpuagent.panels.inbox import LABEL
from tests.panels.conftest import Seat
from tests.support.world import World

Play = Callable[..., None]


def test_several_are_approved_each_at_its_amount_and_a_badge_counts_what_waits(
    world: World, at_console: Play, gpuagent: Play
) -> None:
    world.allow(approval_above=1_000_000)
    runs = [world.tick(world.start()) for _ in range(3)]
    world.allow(halts=(Halt("vendor", "<i>gpu_vendor_3</i>", "Grace", "late"),))

    async def scene(seat: Seat) -> None:
        inbox, toggle = seat.console.inbox, seat.console.tabs.buttons[LABEL]
        await seat.sees(lambda: toggle.description == f"{LABEL} (4)")
        assert [box.description.partition(" to ")[0] for box in inbox.choices.children] == ["1.40 USD"] * 3
        assert "&lt;i&gt;gpu_vendor_3" in inbox.rest.value
        assert "gpuagent policy resume vendor" in inbox.rest.value
        assert inbox.approve.disabled
        for choice, box in zip(inbox._boxes, inbox.choices.children, strict=True):
            box.value = choice.run_id != runs[0].run_id
        assert inbox.approve.description == "Approve 2, 2.80 USD in all"
        inbox.refresh()
        await seat.console.settled()
        assert len(inbox.chosen) == 2, "what is chosen stays so"
        gpuagent("run", "reject", runs[1].run_id, "--why", "no", "--by", "Grace")
        await seat.click(inbox.approve)
        assert "Approved 1, 1.40 USD in all" in inbox.message.text
        assert "Not approved: nothing of run" in inbox.message.text
        await seat.sees(lambda: toggle.description == f"{LABEL} (2)")
        world.allow(halts=())
        cancel(runs[0].run_id, "Grace", "done", world.store, world.market.clock)  # on the inbox' clock
        await seat.sees(lambda: "Failed, not seen yet (1)" in inbox.rest.value)
        await seat.click(inbox.seen)
        await seat.sees(lambda: toggle.description == LABEL)
        assert "Nothing waits for you" in inbox.rest.value

    at_console(scene, runs[0].run_id)
    (job,) = world.store.load(runs[2].run_id).jobs
    assert getattr(job, "approval", None), job
