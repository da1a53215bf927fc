"""Paper markets: the agent itself buys on a scenario in memory, without a vendor, a chain or a database."""
