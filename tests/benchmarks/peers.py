"""Others at the same prompts: ``python peers.py name base_url items concurrency`` prints the seconds, imports apart."""

from __future__ import annotations

import asyncio
import os
import sys
import time


def main() -> None:
    name, base, items, concurrency = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    prompts = [f"Why is the sky number {i} blue?" for i in range(items)]
    {"litellm": litellm, "inspect_ai": inspect_ai}[name](base, prompts, concurrency)


def litellm(base: str, prompts: list[str], concurrency: int) -> None:
    """Its router, as many calls at once as asked for; nothing is kept or scored."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no network
    import litellm

    params = {"model": "openai/m", "api_base": base, "api_key": "none"}
    router = litellm.Router(model_list=[{"model_name": "m", "litellm_params": params}])
    left = iter(prompts)

    async def work() -> None:
        for prompt in left:
            answer = await router.acompletion(model="m", messages=[{"role": "user", "content": prompt}])
            assert answer.choices

    async def crowd() -> None:
        await asyncio.gather(*(work() for _ in range(concurrency)))

    started = time.perf_counter()
    asyncio.run(crowd())
    print(time.perf_counter() - started)


def inspect_ai(base: str, prompts: list[str], concurrency: int) -> None:
    """An evaluation with its log on disk and one scorer."""
    os.environ |= {"LOCAL_API_KEY": "none", "LOCAL_BASE_URL": base}
    import inspect_ai
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.scorer import exact
    from inspect_ai.solver import generate

    samples = [Sample(input=prompt, target="scattering", id=str(place)) for place, prompt in enumerate(prompts)]
    task = inspect_ai.Task(dataset=MemoryDataset(samples), solver=generate(), scorer=exact())
    options = {"max_connections": concurrency, "max_samples": concurrency, "display": "none", "log_dir": "logs"}
    started = time.perf_counter()
    (log,) = inspect_ai.eval(task, model="openai-api/local/m", log_level="error", **options)
    assert log.status == "success", log.error
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
