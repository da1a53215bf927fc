"""Play one campaign, and print its report; exits with 1 when the report has problems."""

import argparse
import sys

from tests.tools.campaign.play import TICKERS, Aims, campaign


def main() -> None:
    parser = argparse.ArgumentParser(description="the crash campaign")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--purchases", type=int, default=60, help="at least so many")
    parser.add_argument("--kills", type=int, default=200, help="of tickers, at least so many")
    parser.add_argument("--works", type=float, default=0.5, help="the share of runs that have a job file")
    parser.add_argument("--fleet", type=int, default=TICKERS // 2, help="how many of the tickers are a fleet's")
    parser.add_argument("--short", action="store_true", help="not until every point, fault and outage has come")
    options = parser.parse_args()
    aims = Aims(options.purchases, options.kills, options.works, options.fleet, not options.short)
    report = campaign(options.seed, aims, sys.stderr.write)
    sys.stdout.write(f"{report}\n")
    if report.problems:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
