"""Play one campaign, and print its report; exits with 1 when the report has problems."""

import argparse
import sys

from tests.tools.seller_campaign.play import Aims, campaign


def main() -> None:
    parser = argparse.ArgumentParser(description="the crash campaign of a seller")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=200, help="at least so many, at every point among them")
    parser.add_argument("--buyers", type=int, default=6, help="at once")
    parser.add_argument("--workers", type=int, default=1, help="processes of the seller, of which one dies at a time")
    options = parser.parse_args()
    aims = Aims(kills=options.kills, buyers=options.buyers, workers=options.workers)
    report = campaign(options.seed, aims, sys.stderr.write)
    sys.stdout.write(f"{report}\n")
    if report.problems:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
