"""How long a caller waits for the first word, with memory and without.

Four agents answer the same caller, who speaks 1.5 s after pick-up: one without memory, ours, and TAC with two memory
modes of its own. The simulated Twilio takes as long as the real one was measured to: 0.9 s to look up a caller, 2 s
until a conversation is listed, 40 ms to recall without a query, 3 s when it has to write the query itself. The model
takes 0.3 s. Runs alternate. Exits with 1 when ours takes more than LIMIT times as long as no memory.
"""

from __future__ import annotations

import sys

from benchmarks.project import measure, repetitions

LIMIT = 1.1


def main(rounds: int) -> int:
    milliseconds = measure("inside_first_turn.py", ["path=tac", "level=2"], rounds)
    floor = milliseconds["no memory"]
    for name, taken in milliseconds.items():
        print(f"{name:<10} {taken:7.0f} ms to the first word  {taken / floor:6.2f} times as long as no memory")
    return milliseconds["ours"] / floor > LIMIT


if __name__ == "__main__":
    sys.exit(main(repetitions(__doc__, 5)))
