"""`make bigdata N=1000000 URL=mongodb://…/bigdata`: a seeded history of so many runs, in a database that is empty."""

import argparse
import sys

from pymongo import MongoClient
from rich.progress import Progress

from gpuagent.adapters.mongo.connection import Connection
from tests.support import big_history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="how many runs")
    parser.add_argument("url", help="a replica set, with the name of the database")
    parser.add_argument("--seed", type=int, default=7)
    wanted = parser.parse_args()
    client: MongoClient[dict[str, object]] = MongoClient(wanted.url)
    database = client.get_default_database()
    if database.runs.find_one({}, {"_id": 1}):
        sys.exit(f"the database {database.name!r} has runs already: name one that is empty")
    Connection(wanted.url, database.name).close()  # collections, validators and indexes
    with Progress(transient=True) as progress:
        bar = progress.add_task(f"{wanted.count:,} runs into {database.name}", total=wanted.count)
        big_history.write(database, wanted.count, wanted.seed, lambda runs: progress.advance(bar, runs))
    client.close()


if __name__ == "__main__":
    main()
