"""Play one campaign, and print its report; exits with 1 when the report has problems."""

import argparse
import sys

from tests.tools.campaign.play import campaign


def main() -> None:
    parser = argparse.ArgumentParser(description="the crash campaign")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--purchases", type=int, default=60)
    options = parser.parse_args()
    report = campaign(options.seed, options.purchases)
    sys.stdout.write(f"{report}\n")
    if report.problems:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
