"""`python -m seller`: sell GPU jobs for x402. `gpuagent sell` is the same."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from seller.command import bound_recursion, spare_local_chain, stop_cleanly, worker_count
from seller.config import Config, read_config
from seller.errors import BadSetting, ChainError, Unreadable
from seller.events import log_to_stderr
from seller.home import DATABASE, DRAIN
from seller.unreadable import existing_database, explained

EXIT_WRONG, EXIT_UNREADABLE = 2, 1


def main() -> None:
    arguments = _arguments()
    log_to_stderr()
    try:
        config = read_config(arguments.config)
        if arguments.command == "serve":
            _serve(config, arguments)
        else:
            with explained(config.folder / DATABASE):
                COMMANDS[arguments.command](config, arguments)
    except (BadSetting, ChainError) as error:
        sys.stderr.write(f"seller: {error}\n")
        sys.exit(EXIT_WRONG)
    except Unreadable as error:
        sys.stderr.write(f"seller: {error}\n")
        sys.exit(EXIT_UNREADABLE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read it has read enough


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m seller", description=__doc__)
    parser.add_argument("command", nargs="?", default="serve", choices=tuple(COMMANDS))
    parser.add_argument("--config", type=Path, default=Path("seller.yaml"))
    parser.add_argument("--json", action="store_true", help="of status, check and sales: JSON")
    parser.add_argument("--csv", action="store_true", help="of sales: CSV")
    parser.add_argument("--workers", type=worker_count, default=1, help="of serve: processes that share the port")
    parser.add_argument("--off", action="store_true", help="of drain: sell again")
    return parser.parse_args()


def _serve(config: Config, arguments: argparse.Namespace) -> None:
    stop_cleanly()
    spare_local_chain()
    # Imported here: it takes two seconds, and a mistake in the configuration is said at once.
    from seller.serve import sell

    bound_recursion()
    sell(config, os.environ, arguments.workers)


def _status(config: Config, arguments: argparse.Namespace) -> None:
    from seller.database import Database
    from seller.opening import vendor_of
    from seller.report.overview import read_overview
    from seller.report.tables import overview_table

    database = Database(_database_path(config))
    try:
        overview = read_overview(database, {config.id: vendor_of(config)}, config.folder)
    finally:
        database.close()
    draining = (config.folder / DRAIN).exists()
    if arguments.json:
        _print(json.dumps(overview.as_json() | {"draining": draining}))
    else:
        _print(overview_table(config.name, overview, draining=draining))


def _sales(config: Config, arguments: argparse.Namespace) -> None:
    from seller.database import Database
    from seller.report.sales import sales, write_csv
    from seller.report.tables import sales_table

    database = Database(_database_path(config))
    try:
        rows = sales(database)
        if arguments.csv:
            write_csv(rows, sys.stdout)
        elif arguments.json:
            _print(json.dumps([row.as_json() for row in rows]))
        else:
            _print(sales_table(rows))
    finally:
        database.close()


def _check(config: Config, arguments: argparse.Namespace) -> None:
    from seller.report.check import check, serving
    from seller.report.tables import findings_table

    findings = check(config, os.environ)
    if arguments.json:
        document = {
            "checks": [{"check": item.name, "passed": item.passed, "said": item.detail} for item in findings],
            "serving": serving(config),
            "vendorId": config.id,
            "gpu": config.offers[0].gpu,
            "bearerVariable": config.bearer_variable,
        }
        _print(json.dumps(document))
    else:
        _print(findings_table(findings))
    if not all(finding.passed for finding in findings):
        sys.exit(1)


def _drain(config: Config, arguments: argparse.Namespace) -> None:
    _database_path(config)
    marker = config.folder / DRAIN
    if arguments.off:
        marker.unlink(missing_ok=True)
        _print("selling again")
    else:
        marker.touch()
        _print("nothing more is sold; the seller ends once all that was paid for has ended")


def _database_path(config: Config) -> Path:
    path = existing_database(config.folder, DATABASE)
    if not path.exists():
        raise BadSetting(f"{config.folder} has no seller in it: start it first (gpuagent sell --config FILE)")
    return path


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


COMMANDS: dict[str, Callable[[Config, argparse.Namespace], None]] = {
    "serve": _serve,
    "status": _status,
    "sales": _sales,
    "check": _check,
    "drain": _drain,
}

if __name__ == "__main__":
    main()
