"""The crash campaign: `python -m tests.tools.campaign --seed N --purchases M`.

Up to six tickers buy from faulty vendors, and are killed at every named point and at random moments, while mongod is
killed, the connection to the chain is cut, and all clocks run on. Then all heals, and every cent must be where the
ledger says. A seed fixes what is drawn; the machine's own timing decides what the draws fall upon.
"""
