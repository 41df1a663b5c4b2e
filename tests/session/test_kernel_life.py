"""A lab in a real Jupyter kernel: re-run cells, what cells show, progress, the end of a kernel."""

import time

import pytest

SECRET = "sk-never-to-be-seen-0123456789"
PROMPT = "<i>question</i>"
SCRIPT = "<script>alert('x')</script> & more"
HOSTILE = f"""
lab = rl.Lab({{"providers": {{"sim": {{"kind": "simulated", "api_key": "{SECRET}", "models": {{
    "al<b>pha": {{"ttft_s": 0.002, "tokens_per_s": 5000, "answers": {{"{PROMPT}": "{SCRIPT}"}}}},
    "beta": {{"ttft_s": 0.002, "tokens_per_s": 5000, "capabilities": ["chat-completion", "embedding"]}},
}}}}}}, "pools": {{"chat": {{"capability": "chat-completion", "retry": {{"max_retries": 0}}}}}}}}, store=False)
lab.faults.outage("beta")
"""

# -- cells that are run again --------------------------------------------------------------------------------------


def rerun(kernel, code, times, warm_up):
    """Run a cell again and again; gives back what the process held after the warm-up."""
    after_warm_up = {}
    for number in range(1, times + 1):
        kernel.run(code)
        if number == warm_up:
            after_warm_up = kernel.value("held()")
    return after_warm_up


def assert_constant(kernel, before):
    """It holds no more now; what the last cell left may need its time to go."""
    # connections that are kept or about to go, two files each: those of a call, and of traffic that is under way
    # and the helper thread of the lab's loop, which begins when a run in the background ends
    limits = before | {"files": before["files"] + 20, "threads": before["threads"] + 1}
    end = time.monotonic() + 60
    while not all((after := kernel.value("held()"))[name] <= limit for name, limit in limits.items()):
        assert time.monotonic() < end, (limits, after)


def test_fifty_runs_of_the_same_cell_leave_nothing_behind(kernel):
    started = kernel.value("held()")
    before = rerun(kernel, 'lab = rl.Lab.demo(); lab.chat("hi")', 50, 5)
    assert_constant(kernel, before)
    assert_constant(kernel, before | {"threads": started["threads"]})  # `lab` was one before, and is one now


@pytest.mark.parametrize(
    "code",
    [
        "lab = fast(); lab.chat('hi')\n1 / 0",
        "lab = fast(); lab.chat('data.csv')",
        "lab = fast(); lab.faults.inject('alpha', 'status', status=400); lab.chat('hi')",
        "lab = fast(); stream = lab.stream('hi')\nfor piece in stream: break",
        "lab = fast(); replies = [await lab.achat('hi') for _ in range(3)]",
        "lab = fast(); run = lab.replay(['a', 'b'])\nrun",
        "lab = fast(); run = lab.replay(['a'] * 100, wait=False)",
        "lab = fast(); traffic = lab.traffic('50/s'); time.sleep(0.05)",
        "with fast() as lab: lab.chat('hi')",
    ],
)
def test_however_the_cell_ends_running_it_again_leaves_nothing_behind(kernel, code):
    assert_constant(kernel, rerun(kernel, code, 12, 3))


def test_a_cell_that_shows_its_lab_can_be_run_again_and_again(kernel):
    """IPython keeps every value that it shows (``Out[4]``, ``_4``, ``_``): such labs are closed by the next one."""
    assert_constant(kernel, rerun(kernel, "lab = fast(); lab.chat('hi'); lab", 12, 3))


def test_what_a_variable_holds_is_not_closed(kernel):
    kernel.ok("shown = fast(); shown")
    kernel.ok("listed = [fast()]; listed[0]")
    for _ in range(3):
        kernel.ok("lab = fast(); lab")
    assert kernel.ok("print(shown.closed, listed[0].closed, lab.closed)").stdout == "False False False\n"
    kernel.ok("shown.close(); listed[0].close(); del shown, listed")


# -- what cells show -----------------------------------------------------------------------------------------------

TABLE = {"text/plain", "text/html"}
PICTURE = {*TABLE, "image/svg+xml"}


@pytest.mark.parametrize(
    ("expression", "kinds"),
    [
        (f"lab.chat({PROMPT!r})", TABLE),
        ("await lab.achat('hi')", TABLE),
        (f"lab.chat({PROMPT!r}).trace", PICTURE),
        (f"lab.explain({PROMPT!r})", TABLE),
        ("run", TABLE),
        ("run.df", TABLE),
        ("run.summary()", TABLE),
        ("run.plot()", PICTURE),
        ("run.traces(failovers=False)[0]", PICTURE),
        ("lab.calls(text=True)", TABLE),
        ("lab.attempts()", TABLE),
        ("lab.metrics()", TABLE),
        ("lab.health()", TABLE),
        ("lab", {"text/plain"}),
        ("lab.config", {"text/plain"}),
        ("lab.faults", {"text/plain"}),
        ("lab.breaker('sim/beta')", {"text/plain"}),
        ("run.progress", {"text/plain"}),
    ],
)
def test_what_a_cell_shows(kernel, expression, kinds):
    kernel.ok(HOSTILE + f"run = lab.replay([{PROMPT!r}] * 3, name='<u>run')")
    bundle = kernel.ok(expression).outputs[0]
    assert kinds <= set(bundle)
    assert all(bundle.values())
    for kind in kinds & {"text/html", "image/svg+xml"}:
        for text in ("<script>alert", PROMPT, "<u>run", "al<b>pha"):
            assert text not in bundle[kind]
    assert SECRET not in str(bundle)
    kernel.ok("lab.close(); lab = None")


@pytest.mark.parametrize("call", ["lab.chat('hi', model='sim/beta')", "await lab.achat('hi', model='sim/beta')"])
def test_an_error_in_a_cell_shows_no_key(kernel, call):
    kernel.ok(HOSTILE)
    cell = kernel.run(call)
    assert cell.error.startswith("ProviderUnavailableError: ")
    assert "ProviderUnavailableError" in cell.traceback
    assert SECRET not in cell.traceback


def test_an_embedding_shows_its_size_not_its_numbers(kernel):
    bundle = kernel.ok("lab.embed(['a', 'b', 'c'])").outputs[0]
    assert set(bundle) == TABLE
    assert "3 vectors" in bundle["text/html"]
    assert len(bundle["text/plain"]) < 200


def test_progress_is_updated_gently_and_ends_complete(kernel):
    kernel.ok("slow(0.1)")
    kernel.told.clear()
    cell = kernel.ok("run = lab.replay([f'q {i}' for i in range(60)], concurrency=2)")
    view, still = cell.outputs
    assert "application/vnd.jupyter.widget-view+json" in view
    assert {"image/svg+xml", "image/png", "text/html", "text/plain"} == set(still)
    times = [at for at, _ in kernel.runs()]
    assert times[-1] - times[0] > 1.0
    assert len(times) >= 4
    # four, and what comes with the panel, with a picture of it and with its end; 20 rows are done in that time
    assert all(sum(start <= at < start + 1.0 for at in times) <= 8 for start in times)
    done = [run["done"] for _, run in kernel.runs()]
    assert done == sorted(done)
    assert "60 of 60" in cell.updates[-2][1]["text/plain"]
    assert "done" in cell.updates[-2][1]["text/plain"]
    assert cell.updates[-1][1] == {"text/plain": ""}, "the live part is gone"


# -- the end of a kernel -------------------------------------------------------------------------------------------

RUNNING = "slow(0.2); run = lab.replay([f'q {i}' for i in range(1000)], wait=False)\n"
ENDS = [
    RUNNING,
    RUNNING + "lab.replay(['a'] * 1000)",
    RUNNING + "stall(); await lab.achat('hi')",
    "traffic = lab.traffic('50/s'); stream = lab.stream('hi'); next(iter(stream))",
]


def at_work(kernel, code):
    """A kernel in the middle of a cell; how patient its manager is before it kills is not what we measure."""
    kernel.ok("lab.replay(['a'])")
    kernel.wait_for(kernel.submit("print('begun', flush=True)\n" + code), "begun")
    time.sleep(0.4)
    kernel.manager.shutdown_wait_time = 240.0


@pytest.mark.parametrize("code", ENDS)
def test_a_kernel_in_the_middle_of_work_shuts_down_promptly(own_kernel, code):
    at_work(own_kernel, code)
    process, start = own_kernel.manager.provisioner.process, time.monotonic()
    own_kernel.manager.shutdown_kernel()
    assert time.monotonic() - start < 90
    assert process.returncode == 0


def test_a_kernel_in_the_middle_of_work_restarts_promptly(own_kernel):
    at_work(own_kernel, ENDS[1])
    before, start = own_kernel.pid, time.monotonic()
    own_kernel.manager.restart_kernel()
    assert time.monotonic() - start < 90
    own_kernel.client.wait_for_ready(timeout=180)
    assert own_kernel.pid != before
    assert own_kernel.ok("import routerlab as rl; print(rl.Lab.demo().chat('hi').model)").stdout == "sim/alpha\n"


def test_asyncio_run_works_in_a_cell_once_it_is_allowed(own_kernel):
    nested = "async def main(): return (await lab.achat('hi')).model\nprint(asyncio.run(main()))"
    assert own_kernel.run(nested).error.startswith("RuntimeError: asyncio.run() cannot be called")
    own_kernel.ok("rl.allow_nested_loops()")
    assert own_kernel.ok(nested).stdout == "sim/alpha\n"
    assert own_kernel.ok("print(lab.chat('hi').model, (await lab.achat('hi')).model)").stdout == "sim/alpha sim/alpha\n"
