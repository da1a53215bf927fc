"""`make mutants`: take one protection away at a time, and see a named test go red.

Each mutant is a copy of the tree with one replacement. A test that stays green without its protection is no test.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]


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
        "gpuagent/pay.py",
        '    return "0x" + keccak(text.encode()).hex()',
        '    import secrets\n\n    return "0x" + secrets.token_hex(32)',
        "tests/test_crash.py -k older_database",
    ),
    Mutant(
        "random job id",
        "gpuagent/pay.py",
        '    return hashlib.sha256(f"gpuagent/job/{run_id}/{ordinal}".encode()).hexdigest()[:24]',
        "    import secrets\n\n    return secrets.token_hex(12)",
        "tests/test_crash.py -k older_database",
    ),
    Mutant(
        "send before store",
        "gpuagent/pay.py",
        "    return PaymentAuthorized(job_id, authorization, ports.wallet.sign(authorization, terms, identifier))",
        "    header = ports.wallet.sign(authorization, terms, identifier)\n"
        "    early = Authorized(job_id, job.quote, job.reserved_at, authorization, header)\n"
        "    ports.vendor_api.submit(vendor, early)\n"
        "    return PaymentAuthorized(job_id, authorization, header)",
        "tests/test_crash.py -k before_it_is_stored",
    ),
    Mutant(
        "release on wall clock",
        "gpuagent/pay.py",
        "    match outcome:\n        case Settlement():",
        "    if ports.clock.now() >= job.authorization.valid_before:\n"
        '        return PaymentVoided(job_id, "expired")\n'
        "    match outcome:\n        case Settlement():",
        "tests/test_bad_vendors.py -k released_by_the_chain_alone",
    ),
    Mutant(
        "release on the vendor's word",
        "gpuagent/pay.py",
        "            reply = str(error)  # says nothing about the money",
        "            return PaymentVoided(job_id, str(error))",
        "tests/test_bad_vendors.py -k says_nothing_about_money",
    ),
    Mutant(
        "sign again instead of sending what is stored",
        "gpuagent/pay.py",
        "    outcome = ports.chain.outcome(job.authorization)\n    reply",
        "    if job.last_reply:\n        return PaymentVoided(job_id, job.last_reply)\n"
        "    outcome = ports.chain.outcome(job.authorization)\n    reply",
        "tests/test_bad_vendors.py -k released_by_the_chain_alone",
    ),
    Mutant(
        "no budget guard in apply",
        "gpuagent/budget.py",
        "    if available(run) < 0:",
        "    if False:",
        "tests/test_transitions.py -k budget",
    ),
    Mutant(
        "no version guard on save",
        "gpuagent/adapters/mongo_store.py",
        '{"_id": ObjectId(before.run_id), "version": before.version}',
        '{"_id": ObjectId(before.run_id)}',
        "tests/test_mongo_store.py -k stale",
    ),
    Mutant(
        "payee taken from the vendor's word",
        "gpuagent/pay.py",
        "(_same(terms.pay_to, vendor.pay_to), ",
        "(True, ",
        "tests/test_guards.py -k terms_other_than_agreed",
    ),
    Mutant(
        "amount not held against the quote",
        "gpuagent/pay.py",
        "(terms.amount == str(quote.amount), ",
        "(int(terms.amount) >= quote.amount, ",
        "tests/test_guards.py -k terms_other_than_agreed",
    ),
    Mutant(
        "wallet signs whatever it is given",
        "gpuagent/adapters/local_wallet.py",
        "        if wrong:",
        "        if False:",
        "tests/test_guards.py -k wallet_signs_nothing",
    ),
    Mutant(
        "guard lets a planner pass the budget",
        "gpuagent/deliberate.py",
        "    if quote.amount > available:",
        "    if False:",
        "tests/test_guards.py -k guard_refuses",
    ),
    Mutant(
        "asking a planner costs nothing",
        "gpuagent/deliberate.py",
        "context.available - cost\n",
        "context.available\n",
        "tests/test_deliberate.py -k not_available_any_more",
    ),
    Mutant(
        "a planner passes the owner's policy",
        "gpuagent/deliberate.py",
        "    if candidate.refusals:",
        "    if False:",
        "tests/test_guards.py -k guard_refuses",
    ),
    Mutant(
        "what a planner cost is not charged",
        "gpuagent/transitions.py",
        "planner_cost=run.planner_cost + cost",
        "planner_cost=run.planner_cost",
        "tests/test_deliberate.py -k charges",
    ),
    Mutant(
        "a failure is forgotten with its run",
        "gpuagent/survey.py",
        "*ports.store.outcomes(run, network, names, OUTCOMES_MAX), ",
        "",
        "tests/test_planning.py -k begins_to_fail",
    ),
    Mutant(
        "transfer believed without its event",
        "gpuagent/adapters/evm_chain.py",
        "        if wanted not in moved:",
        "        if False:",
        "tests/test_evm_chain.py -k other_terms",
    ),
    Mutant(
        "a cancelled nonce counts as paid",
        "gpuagent/adapters/evm_chain.py",
        '        if log["topics"][0] == CANCELED:',
        "        if False:",
        "tests/test_evm_chain.py -k cancelled",
    ),
    Mutant(
        "the newest block decides",
        "gpuagent/adapters/evm_chain.py",
        "        if not self._confirmations:",
        "        if True:",
        "tests/test_evm_chain.py -k final",
    ),
    Mutant(
        "log lines stored at every poll",
        "gpuagent/execute.py",
        "    return tuple(logs[seen:LOG_LINES_MAX])",
        "    return tuple(logs[:LOG_LINES_MAX])",
        "tests/test_crash.py -k logs_appear_once",
    ),
    Mutant(
        "no deadline for the whole exchange",
        "gpuagent/wire/bounded_http.py",
        "    left = _ends_at.get() - time.monotonic()",
        "    left = 3600.0",
        "tests/test_bounded_http.py -k deadline",
    ),
    Mutant(
        "no cap on an answer's size",
        "gpuagent/wire/bounded_http.py",
        "            if len(body) > self._body_max:",
        "            if False:",
        "tests/test_bounded_http.py -k one_error",
    ),
    Mutant(
        "a restored database is asked about the next job only",
        "gpuagent/pay.py",
        "for ordinal in range(run.jobs_max))",
        "for ordinal in range(len(run.jobs) - 1, len(run.jobs)))",
        "tests/test_crash.py -k shifted",
    ),
    Mutant(
        "an authorization is looked for on any chain",
        "gpuagent/adapters/evm_chain.py",
        "        if (authorization.network, authorization.asset.lower()) != ",
        "        if False and (authorization.network, authorization.asset.lower()) != ",
        "tests/test_evm_chain.py -k another_network",
    ),
    Mutant(
        "deep JSON is parsed",
        "gpuagent/wire/strict_json.py",
        "        if depth > DEPTH_MAX:",
        "        if False:",
        "tests/test_guards.py -k deep_json",
    ),
    Mutant(
        "the first of several nodes decides",
        "gpuagent/adapters/agreeing_chain.py",
        "        if undecided:",
        "        if isinstance(said[0], Open):",
        "tests/test_agreeing_chain.py -k does_not_see_yet",
    ),
    Mutant(
        "nodes that contradict each other go unnoticed",
        "gpuagent/adapters/agreeing_chain.py",
        "        if len(set(said)) > 1",
        "        if False",
        "tests/test_agreeing_chain.py -k alarm",
    ),
    Mutant(
        "the wallet cancels anybody's authorization",
        "gpuagent/adapters/local_wallet.py",
        "        if foreign:",
        "        if False:",
        "tests/test_cancel.py -k only_its_own",
    ),
    Mutant(
        "the driver logs signed payments",
        "gpuagent/settings.py",
        '"pymongo.command": logging.INFO',
        '"pymongo.command": logging.DEBUG',
        "tests/test_secrets.py -k whole_run",
    ),
    Mutant(
        "a keystore is overwritten",
        "gpuagent/adapters/keystore.py",
        " | os.O_EXCL",
        "",
        "tests/test_keystore.py -k never_overwritten",
    ),
)


def survives(mutant: Mutant, folder: Path) -> bool:
    """Whether the named test stays green without the protection."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".venv", ".git", ".*_cache", ".hypothesis"))
    source = folder / mutant.file
    text = source.read_text()
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: its text is not once in {mutant.file}; bring the mutant up to date")
    source.write_text(text.replace(mutant.old, mutant.new))
    # The copy goes before the installed package, in this process and in those that the tests start.
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutant.test.split()]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode not in (0, 1):
        raise SystemExit(f"{mutant.name}: {mutant.test} did not run\n{ended.stdout[-2000:]}")
    return ended.returncode == 0


def main() -> None:
    survivors = []
    for mutant in MUTANTS:
        with TemporaryDirectory() as scratch:
            alive = survives(mutant, Path(scratch) / "tree")
        sys.stdout.write(f"{'SURVIVES' if alive else 'killed'}  {mutant.name}  ({mutant.test})\n")
        sys.stdout.flush()
        survivors += [mutant.name] if alive else []
    if survivors:
        raise SystemExit(f"no test notices: {', '.join(survivors)}")


if __name__ == "__main__":
    main()
