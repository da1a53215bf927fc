"""An autonomous agent that buys GPU work within a budget and pays by x402. Start reading at tick.py."""
