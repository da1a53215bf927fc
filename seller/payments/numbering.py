"""The numbers of an account's transactions: each once, without gaps, and from the chain's own count where it stalls.

What was sent may be lost: a reorganization leaves it out, or nodes drop it for its price. All that is sent later would
wait behind it for ever.
"""

from seller.locks import Numbers

STALLED_S = 30
"""How long the chain may count no further while a transaction waits, until that one is taken for lost."""
SENDING_NUMBERS = 3
"""Of the turn to send: the next transaction's number, 0 for unknown; the chain's count, and since when it is that."""
_NEXT, _COUNT, _SINCE = range(SENDING_NUMBERS)


def next_number(numbers: Numbers, count: int, now: float) -> tuple[int, bool]:
    """The next transaction's number, and whether it replaces one that is lost, or may be.

    count: of the account's transactions, as the chain has it. now: seconds of a clock that all who send share.
    """
    waits = numbers[_NEXT] > count
    stalls = waits and count == numbers[_COUNT] and now - numbers[_SINCE] > STALLED_S
    if stalls or not waits or count != numbers[_COUNT]:
        numbers[_COUNT], numbers[_SINCE] = count, int(now)
    return (count, True) if stalls else (max(count, numbers[_NEXT]), False)
