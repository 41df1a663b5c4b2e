"""What it costs that no key comes back: calls and streamed chunks of a lab with a key, against one without."""

from __future__ import annotations

from local_lab import SPEC, STREAM, local_lab
from measure import bar, crowd, interleave, ratio, show

from routerlab.lab import Lab

KEY = "sk-benchmark-0123456789abcdefghij"  # made up
CHUNKS = 100


def main(*, quick: bool) -> None:
    chunks, rounds = (5, 2) if quick else (CHUNKS, 20)
    with local_lab(chunks) as (bare, _), local_lab(chunks, key=KEY) as (keyed, _):
        for title, spec, count, unit in (("16 calls at once", SPEC, 200, "call"), ("16 streams", STREAM, 32, "chunk")):
            units = 4 if quick else count

            def batch(lab: Lab, spec=spec, units=units, unit=unit) -> int:
                lab._session.run(crowd(units, 16, lambda: lab._session.call(spec)))
                return units * (chunks if unit == "chunk" else 1)

            timings = interleave({"no key": lambda: batch(bare), "a key": lambda: batch(keyed)}, rounds)
            show(title, timings, base="no key", unit=unit)
            bar(f"CPU of a {unit}", ratio(timings, "a key", "no key", "cpu_s"), 1.1, at_least=False)


if __name__ == "__main__":
    main(quick=False)
