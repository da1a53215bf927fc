"""Vendors that are not on record yet: a search of public lists, and one of them looked at and recorded."""

from dataclasses import replace
from functools import partial

from gpuagent import wiring
from gpuagent.agent.discover import Match, Matches, Search, search
from gpuagent.agent.enlist import Proposal, Wishes, propose
from gpuagent.core.belief import PAST_JOBS_MAX
from gpuagent.core.model import Vendor
from gpuagent.core.money import parse_usd, show_usd
from gpuagent.core.rights import Right
from gpuagent.errors import BadInput
from gpuagent.panels.kit.fields import button, card, row, text_input
from gpuagent.panels.kit.html import Html, el, join, table
from gpuagent.panels.kit.message import StatusLine, html_widget, styled
from gpuagent.panels.kit.tasks import ExclusiveTask, Tasks
from gpuagent.render.discovery import matches_text, proposal_rows, verdict
from gpuagent.session import Session
from gpuagent.wiring.vendors import add_vendor, checked_vendor

LABEL, WIDE = "130px", "420px"
ADDRESS_MAX = 16
MARKS = {"fit": "good", "no": "bad"}


class VendorsForm:
    """The search, and the record of what was looked at. What is recorded is what is shown. widget: the form."""

    def __init__(self, session: Session, tasks: Tasks) -> None:
        self._session = session
        self._proposal: Proposal | None = None
        self.message = StatusLine()
        self._task = ExclusiveTask(tasks, self.message, self._draw, Right.ADMINISTER)
        self.query = text_input("Search for", "h100 job", width=WIDE, label_width=LABEL)
        self.price_max = text_input(
            "At most, USD", hint="for an order; empty: any price", width=WIDE, label_width=LABEL
        )
        self.search = button("Search", self._search, tip="Read public lists and ask sellers; pays nothing")
        self.url = text_input("Vendor's URL", hint="https://gpu.acme.example", width="520px", label_width=LABEL)
        self.secret_env = text_input("Token's variable", hint="such as ACME_SECRET", width=WIDE, label_width=LABEL)
        self.vendor_id = text_input(
            "Its id", hint="where the URL has several or says none", width=WIDE, label_width=LABEL
        )
        self.gpu = text_input("Its GPU", hint="where it says none", width=WIDE, label_width=LABEL)
        self.look = button("Look", self._look, tip="Ask it for a quote and a 402; pays nothing")
        self.record = button("Pin this payee and record it", self._record, "primary", "Runs may buy from it then")
        self.results, self.preview = html_widget(), html_widget()
        for field in (self.url, self.secret_env, self.vendor_id, self.gpu):
            field.observe(lambda _: self._forget(), "value")
        scope = "Lists and sellers are strangers. Nothing is bought or recorded before you say so."
        self.widget = card(
            html_widget(el("p", scope, class_="faint")),
            *(self.query, self.price_max, row(self.search), self.results),
            html_widget(styled(el("h3", "One of them, or another that you know"))),
            *(self.url, self.secret_env, self.vendor_id, self.gpu, row(self.look), self.preview),
            *(row(self.record), self.message.widget),
        )
        self._draw()

    def _draw(self) -> None:
        self.search.disabled = self.look.disabled = self._task.busy
        self.record.disabled = self._task.busy or self._proposal is None or not self._proposal.is_new

    def _forget(self) -> None:
        """What was looked at is not what stands in the fields any more."""
        self._proposal, self.preview.value = None, ""
        self._draw()

    def _search(self) -> None:
        query, limit = self.query.value, self.price_max.value.strip()
        self._task.run("Searching", lambda: self._matches(query, limit), self._show_matches)

    def _matches(self, query: str, limit: str) -> Matches:
        values, database = self._session.settings, self._session.agent.database
        request = Search(query, values.token, values.discovery_lists, parse_usd(limit) if limit else None)

        with wiring.open_discovery(values.environ) as discovery:
            return search(
                request,
                discovery,
                database.store.vendors(),
                lambda names: database.reads.past_jobs(values.token.network, names, PAST_JOBS_MAX),
            )

    def _show_matches(self, matches: Matches) -> None:
        head = ("fits", "seller", "an order", "payers", "protocol", "paid to", "why not")
        rows = [_cells(match) for match in matches.matches]
        lines = (el("p", line, class_="faint") for line in matches_text(matches))
        content = table(head, rows, "Sellers") if rows else el("p", "No seller fits.")
        self.results.value = styled(join(content, *lines))
        self.message.say(f"{sum(match.fit for match in matches.matches)} of {len(rows)} sellers fit.")

    def _look(self) -> None:
        self._forget()
        texts = url, vendor_id, gpu, secret_env = self._texts()
        wishes = Wishes(vendor_id, (gpu,) if gpu else (), secret_env)
        finish = partial(self._show_proposal, texts)
        self._task.run("Asking the vendor", lambda: self._propose(url, wishes), finish)

    def _texts(self) -> tuple[str, str, str, str]:
        url, vendor_id, gpu, secret_env = (
            field.value.strip() for field in (self.url, self.vendor_id, self.gpu, self.secret_env)
        )
        return url, vendor_id, gpu, secret_env

    def _propose(self, url: str, wishes: Wishes) -> Proposal:
        agent, values = self._session.agent, self._session.settings
        with wiring.open_discovery(values.environ) as discovery:
            proposal = propose(
                *(url, wishes, values.token, discovery, agent.ports.vendor_api),
                *(agent.store.vendors(), agent.store.new_id()),
            )
        return replace(proposal, vendor=checked_vendor(proposal.vendor))

    def _show_proposal(self, texts: tuple[str, ...], proposal: Proposal) -> None:
        if texts != self._texts():
            self.message.say("The fields have changed meanwhile: look again.")
            return
        self._proposal = proposal
        token = self._session.settings.token
        rows: list[list[object]] = [[name, value] for name, value in proposal_rows(proposal, token)]
        self.preview.value = styled(table(("field", "what is to be recorded"), rows, "The vendor"))
        self.message.say("Look at whom it wants paid." if proposal.is_new else "It is on record as it is.")

    def _record(self) -> None:
        proposal = self._proposal
        if proposal is not None:
            self._task.run("Recording", lambda: self._write(proposal.vendor), self._recorded)

    def _write(self, vendor: Vendor) -> Vendor:
        agent = self._session.agent
        if not add_vendor(agent.database, vendor):
            raise BadInput(f"{vendor.vendor_id} is on record meanwhile: nothing was changed")
        return vendor

    def _recorded(self, vendor: Vendor) -> None:
        self._proposal = None
        self.message.say(f"Recorded {vendor.vendor_id}: it is paid at {vendor.pay_to} and nowhere else.")


def _address(payee: str) -> Html:
    """The ends of an address, which is whole where it is pinned; a stranger may write anything here."""
    return el("code", payee if len(payee) <= ADDRESS_MAX else f"{payee[:8]}…{payee[-6:]}", title=payee, class_="whole")


def _cells(match: Match) -> list[object]:
    listing = match.listing
    word = verdict(match)
    mark: Html = el("b", word, class_=f"whole {MARKS.get(word, '')}".strip())
    return [
        mark,
        el("span", listing.name, el("div", listing.resource, class_="faint")),
        "" if match.amount is None else el("span", show_usd(match.amount), class_="num"),
        "" if listing.payers is None else listing.payers,
        el("span", match.protocol or "none", class_="whole"),
        _address(match.payee),
        "; ".join(match.problems),
    ]
