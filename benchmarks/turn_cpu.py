"""How much CPU a turn costs the server, beside Twilio's quickstart for TAC with the same model, prompt and tools.

Both answer a caller who only counts frames; the floor answers the same frames without a brain. They take calls in turn,
so that other work of the machine costs all of them the same. Exits with 1 when ours takes more than LIMIT times as much
as the quickstart.
"""

from __future__ import annotations

import sys

from benchmarks.project import measure, repetitions

LIMIT = 1.25


def main(rounds: int) -> int:
    milliseconds = measure("inside_turn_cpu.py", ["path=tac"], rounds)
    rival = milliseconds["quickstart"]
    for name, taken in milliseconds.items():
        print(f"{name:<10} {taken:6.2f} ms of CPU a turn  {taken / rival:5.2f} times as much as TAC's quickstart")
    return milliseconds["ours"] / rival > LIMIT


if __name__ == "__main__":
    sys.exit(main(repetitions(__doc__, 5)))
