"""`make mutants`: take one protection away at a time, and see a named test go red.

Each mutant is a copy of the tree with one replacement. A test that stays green without its protection is no test.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory
from uuid import uuid4

from gpuagent.practice import stack
from tests.support.stack import DATABASE_NAME, STACK_FILE, STACK_SETTINGS, lend

WORKERS_MAX = 4
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """What is taken away, where, and which test must notice."""

    name: str
    file: str
    old: str
    new: str
    test: str


MUTANTS = (
    Mutant(
        "random nonce",
        "gpuagent/core/terms.py",
        '    return "0x" + keccak(text.encode()).hex()',
        '    import secrets\n\n    return "0x" + secrets.token_hex(32)',
        "tests/safety/test_faults.py -k F14",
    ),
    Mutant(
        "random job id",
        "gpuagent/core/terms.py",
        '    return hashlib.sha256(f"gpuagent/job/{run_id}/{ordinal}".encode()).hexdigest()[:24]',
        "    import secrets\n\n    return secrets.token_hex(12)",
        "tests/safety/test_faults.py -k F14",
    ),
    Mutant(
        "send before store",
        "gpuagent/agent/pay.py",
        "    return PaymentAuthorized(job_id, authorization, ports.wallet.sign(authorization, terms, identifier))",
        "    header = ports.wallet.sign(authorization, terms, identifier)\n"
        "    early = Authorized(job_id, job.quote, job.reserved_at, authorization, header)\n"
        "    ports.vendor_api.submit(vendor, early)\n"
        "    return PaymentAuthorized(job_id, authorization, header)",
        "tests/agent/test_crash.py -k before_it_is_stored",
    ),
    Mutant(
        "release on wall clock",
        "gpuagent/agent/pay.py",
        "    match outcome:\n        case Settlement():",
        "    if ports.clock.now() >= job.authorization.valid_before:\n"
        '        return PaymentVoided(job_id, "expired")\n'
        "    match outcome:\n        case Settlement():",
        "tests/safety/test_paid.py -k test_25",
    ),
    Mutant(
        "release on the vendor's word",
        "gpuagent/agent/pay.py",
        "            reply = str(error)  # says nothing about the money",
        "            return PaymentVoided(job_id, str(error))",
        "tests/safety/test_paid.py -k test_23",
    ),
    Mutant(
        "sign again instead of sending what is stored",
        "gpuagent/agent/pay.py",
        "    outcome = ports.chain.outcome(job.authorization)\n    reply",
        "    if job.last_reply:\n        return PaymentVoided(job_id, job.last_reply)\n"
        "    outcome = ports.chain.outcome(job.authorization)\n    reply",
        "tests/safety/test_paid.py -k test_25",
    ),
    Mutant(
        "no budget guard in apply",
        "gpuagent/core/budget.py",
        "    if available(run) < 0:",
        "    if False:",
        "tests/core/test_transitions.py -k budget",
    ),
    Mutant(
        "apply takes an event that does not fit",
        "gpuagent/core/transitions.py",
        '        raise IllegalTransition(f"{event} does not fit {job}")',
        "        return run",
        "tests/core/test_transitions.py -k only_events_that_fit",
    ),
    Mutant(
        "apply voids what is settled",
        "gpuagent/core/transitions.py",
        "        case Authorized(), PaymentVoided():",
        "        case Authorized() | Settled(), PaymentVoided():",
        "tests/core/test_transitions.py -k only_events_that_fit",
    ),
    Mutant(
        "apply takes an authorization of another amount",
        "gpuagent/core/transitions.py",
        "            if event.authorization.amount != job.quote.amount:",
        "            if False:",
        "tests/core/test_transitions.py -k quoted_amount_only",
    ),
    Mutant(
        "a completed run forgets what it signed",
        "gpuagent/core/transitions.py",
        "        if isinstance(job, Reserved)\n        else job",
        "        if isinstance(job, Reserved | Authorized)\n        else job",
        "tests/core/test_transitions.py -k follows_the_signed",
    ),
    Mutant(
        "no version guard on save",
        "gpuagent/adapters/mongo/store.py",
        '{"_id": ObjectId(before.run_id), "version": before.version}',
        '{"_id": ObjectId(before.run_id)}',
        "tests/adapters/mongo/test_store.py -k stale",
    ),
    Mutant(
        "payee taken from the vendor's word",
        "gpuagent/core/terms.py",
        "(_same_address(terms.pay_to, vendor.pay_to), ",
        "(True, ",
        "tests/agent/test_guard.py -k terms_other_than_agreed",
    ),
    Mutant(
        "amount not held against the quote",
        "gpuagent/core/terms.py",
        "(terms.amount == str(quote.amount), ",
        "(int(terms.amount) >= quote.amount, ",
        "tests/agent/test_guard.py -k terms_other_than_agreed",
    ),
    Mutant(
        "wallet signs whatever it is given",
        "gpuagent/adapters/wallets/signing.py",
        '    if wrong:\n        raise Refused(f"the wallet does not sign this',
        '    if False:\n        raise Refused(f"the wallet does not sign this',
        "tests/agent/test_guard.py -k wallet_signs_nothing",
    ),
    Mutant(
        "guard lets a planner pass the budget",
        "gpuagent/agent/guard.py",
        "    if quote.amount > available:",
        "    if False:",
        "tests/agent/test_guard.py -k guard_refuses",
    ),
    Mutant(
        "asking a planner costs nothing",
        "gpuagent/agent/guard.py",
        "context.available - cost\n",
        "context.available\n",
        "tests/agent/test_decide.py -k not_available_any_more",
    ),
    Mutant(
        "a planner passes the owner's policy",
        "gpuagent/agent/guard.py",
        "    if candidate.refusals:",
        "    if False:",
        "tests/agent/test_guard.py -k guard_refuses",
    ),
    Mutant(
        "what a planner cost is not charged",
        "gpuagent/core/transitions.py",
        "planner_cost=run.planner_cost + cost",
        "planner_cost=run.planner_cost",
        "tests/agent/test_decide.py -k charges",
    ),
    Mutant(
        "a failure is forgotten with its run",
        "gpuagent/agent/market.py",
        "*ports.store.past_jobs(run, network, names, PAST_JOBS_MAX), ",
        "",
        "tests/agent/test_plan.py -k begins_to_fail",
    ),
    Mutant(
        "transfer believed without its event",
        "gpuagent/adapters/chain/evm.py",
        '        if payment not in self._logs.transfers(receipt["logs"]):',
        "        if False:",
        "tests/adapters/chain/test_evm.py -k other_terms",
    ),
    Mutant(
        "a cancelled nonce counts as paid",
        "gpuagent/adapters/chain/evm.py",
        '        if log["topics"][0] == CANCELED_TOPIC:',
        "        if False:",
        "tests/adapters/chain/test_evm.py -k cancelled",
    ),
    Mutant(
        "the newest block decides",
        "gpuagent/adapters/chain/evm.py",
        "        if not self._confirmations:",
        "        if True:",
        "tests/adapters/chain/test_evm.py -k final",
    ),
    Mutant(
        "log lines stored at every poll",
        "gpuagent/agent/execute.py",
        "    return tuple(logs[stored:LOG_LINES_MAX])",
        "    return tuple(logs[:LOG_LINES_MAX])",
        "tests/agent/test_crash.py -k logs_appear_once",
    ),
    Mutant(
        "no deadline for the whole exchange",
        "gpuagent/wire/transport.py",
        "    remaining = ends_at - time.monotonic()",
        "    remaining = 3600.0",
        "tests/wire/test_bounded_http.py -k deadline",
    ),
    Mutant(
        "no cap on an answer's size",
        "gpuagent/wire/bounded_http.py",
        "            if len(body) > self._body_max:",
        "            if False:",
        "tests/wire/test_bounded_http.py -k one_error",
    ),
    Mutant(
        "a restored database is asked about the next job only",
        "gpuagent/core/terms.py",
        "for ordinal in range(run.jobs_max))",
        "for ordinal in range(len(run.jobs) - 1, len(run.jobs)))",
        "tests/safety/test_faults.py -k shifted",
    ),
    Mutant(
        "an authorization is looked for on any chain",
        "gpuagent/adapters/chain/evm.py",
        "        if (authorization.network, authorization.asset.lower()) != ",
        "        if False and (authorization.network, authorization.asset.lower()) != ",
        "tests/adapters/chain/test_evm.py -k another_network",
    ),
    Mutant(
        "the end of an authorization's life taken from our own clock",
        "gpuagent/agent/pay.py",
        "        valid_before=min(head.time + life_s, ",
        "        valid_before=min(int(ports.clock.now()) + life_s, ",
        "tests/safety/test_faults.py -k F12",
    ),
    Mutant(
        "one nonce for all jobs of a wallet",
        "gpuagent/core/terms.py",
        '{token.address}/{payer}/{job_id}"',
        '{token.address}/{payer}"',
        "tests/safety/test_faults.py -k F13",
    ),
    Mutant(
        "signs more than the wallet holds",
        "gpuagent/agent/guard.py",
        "    if head.balance < quote.amount:",
        "    if False:",
        "tests/safety/test_faults.py -k F16",
    ),
    Mutant(
        "sends again what the newest block has settled",
        "gpuagent/agent/pay.py",
        "    if not isinstance(outcome, Open) or outcome.used:",
        "    if not isinstance(outcome, Open):",
        "tests/safety/test_blackouts.py -k F09",
    ),
    Mutant(
        "a save that fails counts as done",
        "gpuagent/adapters/mongo/store.py",
        "            _raise_duplicate(error.details or {})\n            raise",
        "            _raise_duplicate(error.details or {})\n            raise\n"
        "        except Exception:\n            pass",
        "tests/safety/test_blackouts.py -k F15",
    ),
    Mutant(
        "deep JSON is parsed",
        "gpuagent/wire/strict_json.py",
        "        if depth > DEPTH_MAX:",
        "        if False:",
        "tests/agent/test_guard.py -k deep_json",
    ),
    Mutant(
        "the first of several nodes decides",
        "gpuagent/adapters/chain/agreeing.py",
        "        if undecided:",
        "        if isinstance(outcomes[0], Open):",
        "tests/adapters/chain/test_agreeing.py -k does_not_see_yet",
    ),
    Mutant(
        "nodes that contradict each other go unnoticed",
        "gpuagent/adapters/chain/agreeing.py",
        "        if len(set(outcomes)) > 1",
        "        if False",
        "tests/adapters/chain/test_agreeing.py -k alarm",
    ),
    Mutant(
        "the wallet cancels anybody's authorization",
        "gpuagent/adapters/wallets/signing.py",
        "    if foreign:",
        "    if False:",
        "tests/agent/test_cancel.py -k only_its_own",
    ),
    Mutant(
        "CDP: any signature is believed",
        "gpuagent/adapters/wallets/cdp.py",
        "        if not self._recovers(",
        "        if False and not self._recovers(",
        "tests/adapters/wallets/test_cdp.py -k over_other_terms",
    ),
    Mutant(
        "CDP: a high s passes",
        "gpuagent/adapters/wallets/cdp.py",
        "[32:64]) > HALF_ORDER",
        "[32:64]) > 2 * HALF_ORDER + 1",
        "tests/adapters/wallets/test_cdp.py -k no_other_answer",
    ),
    Mutant(
        "CDP: any transaction is sent",
        "gpuagent/adapters/wallets/cdp.py",
        "        if not self._is_ours(signed, transaction):",
        "        if False:",
        "tests/adapters/wallets/test_cdp.py -k another_transaction",
    ),
    Mutant(
        "CDP: only the signer of a transaction counts",
        "gpuagent/adapters/wallets/cdp.py",
        "        return signer == self._address and same ==",
        "        return signer == self._address or same ==",
        "tests/adapters/wallets/test_cdp.py -k dearer_transaction",
    ),
    Mutant(
        "CDP: its errors bring their frames",
        "gpuagent/adapters/wallets/cdp_client.py",
        "            problem = _explained(error)\n",
        "            raise _explained(error) from error\n",
        "tests/adapters/wallets/test_cdp.py -k no_failure_shows",
    ),
    Mutant(
        "CDP: a key beside it is ignored",
        "gpuagent/adapters/wallets/source.py",
        "            if rival and self.environ.get(variable):",
        "            if False:",
        "tests/adapters/wallets/test_source.py -k two_wallets",
    ),
    Mutant(
        "the token's domain is not asked for",
        "gpuagent/adapters/chain/evm.py",
        "        if separator != domain_separator(self._token):",
        "        if False:",
        "tests/doctor/test_examine.py -k domain_is_another",
    ),
    Mutant(
        "a facilitator is taken at its word",
        "mock_vendor/facilitator.py",
        "            verdict = self._ledger.look_up(payment.authorization)\n        except",
        "            verdict = Paid(settled.transaction) if settled.success else verdict\n        except",
        "tests/mock_vendor/test_mock_hosted.py -k not_settled_is_not_sold",
    ),
    Mutant(
        "the driver logs signed payments",
        "gpuagent/wiring.py",
        '"pymongo.command": logging.INFO',
        '"pymongo.command": logging.DEBUG',
        "tests/safety/test_secrets.py -k whole_run",
    ),
    Mutant(
        "a keystore is overwritten",
        "gpuagent/adapters/wallets/keystore.py",
        " | os.O_EXCL",
        "",
        "tests/adapters/wallets/test_keystore.py -k never_overwritten",
    ),
    Mutant(
        "a sweep does not care when a block was recorded",
        "gpuagent/books/findings.py",
        "    if payment.status is PaymentStatus.COMPLETED and payment.block_number > final.number:\n"
        "        return None\n",
        "",
        "tests/books/test_sweep.py -k while_the_ledgers_are_read",
    ),
    Mutant(
        "a reservation is released without asking for its nonce",
        "gpuagent/books/repair.py",
        "            if not chain.spent(run.payer, [nonce(chain.token, run.payer, job_id)]):",
        "            if True:",
        "tests/books/test_sweep.py -k lost_is_not_released",
    ),
    Mutant(
        "wallets without a payment are not swept",
        "gpuagent/adapters/mongo/ledgers.py",
        "        for group in (*runs, *payments):",
        "        for group in payments:",
        "tests/books/test_sweep.py -k older_database",
    ),
    Mutant(
        "a sweep believes a chain that was replaced meanwhile",
        "gpuagent/books/sweep.py",
        "    if chain.block(final.number) != final:",
        "    if False:",
        "tests/books/test_sweep.py -k reorganized",
    ),
    Mutant(
        "a cap checked outside the transaction",
        "gpuagent/adapters/mongo/store.py",
        "                version = policies.enforce(self._database, session, before, after, job, at)\n",
        "                version = None\n",
        "tests/agent/test_caps.py -k planned_apart",
    ),
    Mutant(
        "a cap on a tag counts one day",
        "gpuagent/adapters/mongo/policy.py",
        'total("tags", tags, ever)',
        'total("tags", tags, recent)',
        "tests/agent/test_caps.py -k no_day_lifts",
    ),
    Mutant(
        "the policy is loosened without a reason",
        "gpuagent/adapters/mongo/policy.py",
        "    if more and not why.strip():",
        "    if False:",
        "tests/agent/test_caps.py -k allowing_more",
    ),
    Mutant(
        "apply signs what is not approved",
        "gpuagent/core/transitions.py",
        "            if job.unapproved:",
        "            if False:",
        "tests/agent/test_approve.py -k signs_nothing",
    ),
    Mutant(
        "a rejected purchase is asked for again",
        "gpuagent/core/policy.py",
        "        if job.quote.vendor_id == quote.vendor_id and quote.amount >= job.quote.amount:",
        "        if False:",
        "tests/agent/test_approve.py -k rejected",
    ),
    Mutant(
        "a halt that comes while the wallet signs is not seen",
        "gpuagent/adapters/mongo/policy.py",
        "        case Reserved(approval=approved), Authorized():\n            rules = read(database, session)",
        "        case Reserved(approval=approved), Authorized():\n            return",
        "tests/agent/test_halt.py -k middle_of_signing",
    ),
    Mutant(
        "a halted wallet signs on",
        "gpuagent/agent/guard.py",
        "    if halt := policy.halt(rules, run.payer):",
        "    if halt := None:",
        "tests/agent/test_halt.py -k stands_still",
    ),
    Mutant(
        "what is not wanted any more is sent again",
        "gpuagent/agent/pay.py",
        "        if not _is_wanted(run, job, ports):",
        "        if False:",
        "tests/agent/test_halt.py -k still_reconciled",
    ),
    Mutant(
        "a cancelled run leaves its authorization to the vendor",
        "gpuagent/agent/pay.py",
        "            return _cancel(job, ports)",
        "            return None",
        "tests/agent/test_halt.py -k cancels_on_chain",
    ),
    Mutant(
        "a dry run writes its reservation down",
        "gpuagent/agent/dry_run.py",
        "    survey = market.survey(run, rules, ports)",
        "    from gpuagent.tick import step\n\n    step(run.run_id, ports)\n"
        "    survey = market.survey(run, rules, ports)",
        "tests/agent/test_dry_run.py -k would_be_paid",
    ),
    Mutant(
        "an echoed bearer token is stored",
        "gpuagent/adapters/vendors/answers.py",
        '            return value.replace(secret, "[token]")',
        "            return value",
        "tests/adapters/vendors/test_http.py -k echoed_in_a_report",
    ),
    Mutant(
        "a decision that lost the race costs nothing",
        "gpuagent/tick.py",
        "        if isinstance(event, VendorChosen | PlanPostponed | PlanAborted) and event.cost:",
        "        if False:",
        "tests/agent/test_overtaken.py -k charged_once",
    ),
    Mutant(
        "whatever waits is approved, at any price",
        "gpuagent/agent/approve.py",
        "        if job.quote.amount != amount:",
        "        if False:",
        "tests/agent/test_approve.py -k commands",
    ),
    Mutant(
        "a run cancelled meanwhile sends what this tick has signed",
        "gpuagent/agent/pay.py",
        "    running = ports.store.load(run.run_id).status is RunStatus.RUNNING",
        "    running = run.status is RunStatus.RUNNING",
        "tests/agent/test_halt.py -k after_its_signature",
    ),
    Mutant(
        "a run is paid on whatever network",
        "gpuagent/agent/guard.py",
        "    if ports.wallet.token.network != run.network:",
        "    if False:",
        "tests/agent/test_main_job.py -k own_network",
    ),
    Mutant(
        "a lost policy is replaced by the first",
        "gpuagent/adapters/mongo/policy.py",
        ' and database.runs.find_one(OURS, {"_id": 1}) is None:',
        ":",
        "tests/agent/test_caps.py -k without_a_policy",
    ),
    Mutant(
        "a token may do what its role does not allow",
        "gpuagent/api/auth.py",
        "    if not caller.permissions & set(permissions):",
        "    if not caller.permissions:",
        "tests/api/test_auth.py -k every_route",
    ),
    Mutant(
        "without tokens anybody is let in",
        "gpuagent/api/auth.py",
        "    if tokens.hosted or not local:",
        "    if False:",
        "tests/api/test_auth.py -k machine_itself",
    ),
    Mutant(
        "an Idempotency-Key changes nothing",
        "gpuagent/api/idempotency.py",
        "        if not self.key:",
        "        if True:",
        "tests/api/test_idempotency.py -k same_key",
    ),
    Mutant(
        "every worker gets the lease",
        "gpuagent/adapters/mongo/leases.py",
        '        return lease is not None and bool(lease["worker"] == worker)',
        "        return True",
        "tests/api/test_due.py -k one_lease",
    ),
    Mutant(
        "a signed header is told to whoever watches",
        "gpuagent/adapters/mongo/changes.py",
        'for part in ("fullDocument", "updated")',
        'for part in ("updated",)',
        "tests/adapters/mongo/test_changes.py -k tick_elsewhere",
    ),
    Mutant(
        "two schedules drive one run",
        "gpuagent/schedule/lock.py",
        "            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "            pass",
        "tests/cli/test_schedule.py -k locked_out",
    ),
    Mutant(
        "a named run is started anew each time",
        "gpuagent/schedule/run_name.py",
        '    return hashlib.sha256(f"gpuagent/scheduled/{text}".encode()).hexdigest()[:24]',
        "    import secrets\n\n    return secrets.token_hex(12)",
        "tests/schedule/test_run_name.py -k started_once",
    ),
    Mutant(
        "a click while another is at work counts",
        "gpuagent/panels/kit/tasks.py",
        "        if self.busy:",
        "        if False:",
        "tests/panels/test_console.py -k dropped",
    ),
    Mutant(
        "a vendor's text is markup in a report",
        "gpuagent/reports/tables.py",
        'return f"<td{_side(kind)}>{html.escape(text)}</td>"',
        'return f"<td{_side(kind)}>{text}</td>"',
        "tests/reports/test_page.py -k break_the_page",
    ),
)


class Worker:
    """Runs pytest on a copy of the tree, with a running stack of its own."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def kills(self, mutant: Mutant) -> bool:
        """Whether the named test goes red without the protection."""
        with TemporaryDirectory() as scratch:
            folder = Path(scratch) / "tree"
            shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".venv", ".git", ".*_cache", ".hypothesis"))
            source = folder / mutant.file
            text = source.read_text()
            if text.count(mutant.old) != 1:
                raise SystemExit(f"{mutant.name}: its text is not once in {mutant.file}; bring the mutant up to date")
            source.write_text(text.replace(mutant.old, mutant.new))
            return not self.passes([mutant], folder)

    def passes(self, mutants: Sequence[Mutant], folder: Path = ROOT) -> bool:
        """Whether the tests of these mutants are green in this tree."""
        environment = {
            **os.environ,
            # The copy goes before the installed package, in this process and in those that the tests start.
            "PYTHONPATH": str(folder),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # they take five seconds to import, and none is needed
            STACK_FILE: str(self._file),
            DATABASE_NAME: f"mutants_{uuid4().hex[:8]}",
        }
        files, words = zip(*(mutant.test.split(" -k ") for mutant in mutants), strict=True)
        chosen = [*dict.fromkeys(files), "-k", " or ".join(dict.fromkeys(words))]
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *chosen]
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if ended.returncode not in (0, 1):
            raise SystemExit(f"{' '.join(chosen)} did not run\n{ended.stdout[-2000:]}")
        if ended.returncode and folder == ROOT:
            print(ended.stdout[-4000:])
        return ended.returncode == 0


@contextmanager
def workers() -> Iterator[list[Worker]]:
    """As many as there are processors: each has chain, clocks and vendors to itself, mutant after mutant."""
    with ExitStack() as closing:
        scratch = Path(closing.enter_context(TemporaryDirectory()))
        files = [scratch / f"stack-{number}.json" for number in range(min(WORKERS_MAX, os.cpu_count() or 1))]
        for file in files:
            lend(closing.enter_context(stack.start(**STACK_SETTINGS)), file)
        yield [Worker(file) for file in files]


def hunt(found: Sequence[Worker], mutants: Sequence[Mutant]) -> list[str]:
    """The mutants that no test notices, and word of tests that are red with every protection in place.

    The latter are run last, so that a stack which some mutant broke does not pass for a test that noticed it.
    """
    idle: Queue[Worker] = Queue()
    for worker in found:
        idle.put(worker)

    def survives(mutant: Mutant) -> str:
        worker = idle.get()
        began = time.monotonic()
        try:
            killed = worker.kills(mutant)
        finally:
            idle.put(worker)
        verdict, took_s = "killed  " if killed else "SURVIVES", time.monotonic() - began
        print(f"{verdict} {took_s:5.1f} s  {mutant.name}  ({mutant.test})", flush=True)
        return "" if killed else mutant.name

    def is_red(number: int) -> str:
        share = mutants[number :: len(found)]
        return "" if not share or found[number].passes(share) else "tests that are red without any mutant"

    with ThreadPoolExecutor(len(found)) as pool:
        wrong = [*pool.map(survives, mutants), *pool.map(is_red, range(len(found)))]
        return [told for told in wrong if told]


def main(words: Sequence[str]) -> None:
    """All mutants, or those whose name holds one of the words."""
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    if not chosen:
        raise SystemExit(f"no mutant is named so; there are: {', '.join(mutant.name for mutant in MUTANTS)}")
    with workers() as found:
        wrong = hunt(found, chosen)
    if wrong:
        raise SystemExit(f"no test notices, or worse: {'; '.join(wrong)}")
    print(f"{len(chosen)} mutants, each noticed by a test that is green without it")


if __name__ == "__main__":
    main(sys.argv[1:])
