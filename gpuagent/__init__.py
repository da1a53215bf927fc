"""Buy GPU work within a budget, pay for it with x402. Start reading at tick.py."""
