"""The crash campaign of a seller: `python -m tests.tools.seller_campaign --seed N --kills M`.

`python -m seller` on a chain of its own is killed at every named point between verification, settlement, start and end
of a job, and at random moments, and started again, while buyers come, repeat themselves, wait, or never return. Then
all is quiet, and each transfer on chain must have one sale and one job, which ran once or failed in words.
"""
