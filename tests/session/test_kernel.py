"""A lab in a real Jupyter kernel: verbs beside the kernel's own loop, queued cells, interrupts, background runs."""

import itertools
import time

import pytest


def questions(number):
    return f"[f'question {{i}}' for i in range({number})]"


# -- verbs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "print(lab.chat('hi').model)",
        "stream = lab.stream('hi'); text = ''.join(stream)\nprint(stream.reply.model if text else 'empty')",
        "print(lab.embed(['a', 'b']).model)",
        "run = lab.replay(['a', 'b']); print(*set(run.df['model']))",
        "print((await lab.achat('hi')).model)",
        "stream = lab.astream('hi')\nasync for piece in stream: pass\nprint(stream.reply.model)",
        "print((await lab.aembed('a')).model)",
        "run = await lab.areplay(['a', 'b']); print(*set(run.df['model']))",
        "print(*{reply.model for reply in await asyncio.gather(*(lab.achat(f'{i}') for i in range(50)))})",
        "async with lab.astream('hi') as stream: print(*{piece.model async for piece in stream})",
    ],
)
def test_every_verb_works_where_a_loop_runs_already(kernel, code):
    kernel.ok("assert asyncio.get_running_loop().is_running()")
    assert kernel.ok(code).stdout == "sim/alpha\n"


def test_a_failed_call_is_an_error_in_the_cell_and_nothing_else(kernel):
    kernel.ok("for model in lab.models: lab.faults.outage(model)")
    for code in ("lab.chat('hi')", "await lab.achat('hi')", "for piece in lab.stream('hi'): pass"):
        assert kernel.run(code).error.startswith("FailoverExhaustedError: "), code
    assert kernel.ok("lab.faults.clear(); lab.reset('sim'); print(lab.chat('hi').model)").stdout == "sim/alpha\n"


# -- queued cells --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["lab.replay({}, concurrency=2)", "await lab.areplay({}, concurrency=2)"])
def test_cells_queued_behind_a_long_one_all_run_in_their_order(kernel, first):
    kernel.ok("slow(0.05)")
    long = kernel.submit("run = " + first.format(questions(30)) + "\nprint(run.status)")
    queued = [
        kernel.submit("print('second', run.status)"),
        kernel.submit("reply = await lab.achat('hi'); print('third', reply.model)"),
        kernel.submit("print('fourth', lab.chat('hi').model)"),
        kernel.submit("print('fifth', len([piece async for piece in lab.astream('hi')]) > 0)"),
    ]
    kernel.finish(long, *queued)
    cells = [long, *queued]
    assert [cell.status for cell in cells] == ["ok"] * 5
    assert long.ended - long.began > 0.5  # the others did wait behind it
    assert [cell.stdout for cell in cells] == [
        "done\n",
        "second done\n",
        "third sim/alpha\n",
        "fourth sim/alpha\n",
        "fifth True\n",
    ]
    assert all(before.ended <= after.began for before, after in itertools.pairwise(cells))


# -- interrupts ----------------------------------------------------------------------------------------------------


def interrupted(kernel, code, *, requests, shown="begun", presses=1, held=False):
    """Run a cell that would last for ever, interrupt it in the middle of its work, and give back how it ended.

    Args:
        requests: that are at the models by then.
        shown: what the cell has printed by then, or how many rows its panel says are done.
        presses: of the stop button.
        held: the lab cannot clean up before the last of them.
    """
    files = on_screen, under_way, released = [kernel.folder / name for name in ("shown", "under_way", "released")]
    for file in files:
        file.unlink(missing_ok=True)
    cell = kernel.submit(f"under_way({requests}, hold={held})\nprint('begun', flush=True)\n{code}")
    if isinstance(shown, int):
        kernel.wait_for_panel(shown)
    else:
        kernel.wait_for(cell, shown)
    on_screen.touch()
    kernel.wait_for_file(under_way)
    pressed = time.time()
    for _ in range(presses):
        kernel.interrupt()
        time.sleep(0.03)
    released.touch()
    kernel.finish(cell)
    assert cell.ended - pressed < 40
    return cell


def assert_all_is_well(kernel):
    """Nothing goes on in the background; the same kernel and the same lab work."""
    assert kernel.value("working()") == 0
    assert kernel.value("'running' in lab.calls()['outcome'].tolist()") is False
    kernel.ok("lab.faults.clear()")
    assert kernel.ok("print(lab.chat('hi').model, (await lab.achat('hi')).model)").stdout == "sim/alpha sim/alpha\n"


@pytest.mark.parametrize(
    ("code", "error", "attempts"),
    [
        ("lab.chat('hi')", "KeyboardInterrupt", 1),
        ("lab.embed('hi')", "KeyboardInterrupt", 1),
        ("for piece in lab.stream('hi'): pass", "KeyboardInterrupt", 1),
        ("await lab.achat('hi')", "CancelledError", 1),
        ("async for piece in lab.astream('hi'): pass", "CancelledError", 1),
        ("await asyncio.gather(*(lab.achat('hi') for _ in range(5)))", "CancelledError", 5),
        ("await lab.areplay(['a', 'b'], preflight=False)", "CancelledError", 2),
    ],
)
def test_an_interrupt_ends_a_call_to_a_stalled_model(kernel, code, error, attempts):
    kernel.ok("stall()")
    cell = interrupted(kernel, code, requests=attempts)
    assert cell.status == "error"
    assert cell.error.partition(":")[0] == error
    assert kernel.value("outcomes()") == ["cancelled"] * attempts
    assert kernel.value("lab.calls()['outcome'].tolist()") == ["cancelled"] * attempts
    assert_all_is_well(kernel)


@pytest.mark.parametrize("loop", ["for piece in stream: print('piece')", "async for piece in stream: print('piece')"])
def test_an_interrupt_in_the_middle_of_a_stream_keeps_what_was_shown(kernel, loop):
    kernel.ok("stall('stall_midway')")
    cell = interrupted(kernel, f"stream = lab.stream('hi')\n{loop}", requests=1, shown="piece")
    assert cell.status == "error"
    assert kernel.value("outcomes()") == ["cancelled"]
    assert kernel.ok("print(stream)").stdout == "<Stream closed>\n"
    assert kernel.run("stream.reply").error == "RouterLabError: the stream was closed before its end"
    assert_all_is_well(kernel)


@pytest.mark.parametrize("presses", [1, 3])
def test_an_interrupted_replay_gives_back_what_is_finished(kernel, presses):
    kernel.ok("run = None; lab.faults.outage('beta', how='stall')")
    replay = f"run = lab.replay({questions(12)}, ['sim/alpha', 'sim/beta'], concurrency=24, preflight=False)"
    kernel.told.clear()
    cell = interrupted(kernel, replay, requests=24, shown=12, presses=presses, held=presses > 1)
    assert cell.status == "ok"
    stills = [bundle["text/plain"] for _, bundle in cell.updates if "image/png" in bundle]
    assert "stopped · 12 of 24" in stills[-1]
    shown = kernel.ok("run").outputs[0]
    assert "stopped · 12 of 24" in shown["text/plain"]
    assert "stopped · 12 of 24" in shown["text/html"]
    assert kernel.value("run.df['status'].value_counts().to_dict()") == {"ok": 12, "pending": 12}
    assert kernel.value("run.df.query('status == \"ok\"')['text'].notna().all().item()") is True
    assert kernel.value("sorted(outcomes())") == ["cancelled"] * 12 + ["ok"] * 12
    assert_all_is_well(kernel)


@pytest.mark.parametrize(
    ("call", "presses"),
    [
        ("lab.chat('hi')", 3),
        ("for piece in lab.stream('hi'): pass", 1),  # it does not wait for the cleanup: a second one is IPython's
        ("await lab.achat('hi')", 3),
    ],
)
def test_interrupts_during_the_cleanup_do_no_harm(kernel, call, presses):
    kernel.ok("stall()")
    cell = interrupted(kernel, call, requests=1, presses=presses, held=True)
    assert cell.status == "error"
    assert cell.error.partition(":")[0] in {"KeyboardInterrupt", "CancelledError"}
    assert kernel.value("(working(), outcomes())") == [0, ["cancelled"]]
    assert_all_is_well(kernel)


@pytest.mark.parametrize("code", ["lab.replay(['a', 'b'])", "lab.chat('hi')", "for piece in lab.stream('hi'): pass"])
def test_an_interrupt_at_the_very_beginning_leaves_nothing_running(kernel, code):
    kernel.ok("lab.chat('hi'); stall()")
    for after_ms in (0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12):
        cell = kernel.submit("print('begun', flush=True)\n" + code)
        kernel.wait_for(cell, "begun")
        time.sleep(after_ms / 1000)
        kernel.interrupt()
        kernel.finish(cell)
    assert_all_is_well(kernel)


def test_cells_queued_behind_an_interrupted_one_still_run(kernel):
    kernel.ok("stall()")
    stuck = kernel.submit("print('begun', flush=True)\nlab.chat('hi')")
    queued = [kernel.submit("print('next')"), kernel.submit("lab.faults.clear(); print(lab.chat('hi').model)")]
    kernel.wait_for(stuck, "begun")
    time.sleep(0.2)
    kernel.interrupt()
    kernel.finish(stuck, *queued)
    assert stuck.error.startswith("KeyboardInterrupt")
    assert [cell.stdout for cell in queued] == ["next\n", "sim/alpha\n"]


# -- runs in the background ----------------------------------------------------------------------------------------


def test_a_run_in_the_background_leaves_the_kernel_free(kernel):
    """It goes on between cells, while a cell awaits something, and while one keeps the main thread."""
    kernel.ok("slow(0.1)")
    kernel.ok(f"run = lab.replay({questions(2000)}, concurrency=2, wait=False)")  # of two minutes
    first = kernel.value("run.progress.done")
    kernel.ok(f"while run.progress.done <= {first}: await asyncio.sleep(0.01)")
    second = kernel.value("run.progress.done")
    kernel.ok(f"while run.progress.done <= {second}: time.sleep(0.01)")
    third = kernel.value("run.progress.done")
    assert 0 <= first < second < third < 2000
    stop = kernel.ok("run.stop()\nrun.wait()\nprint(run.status)")
    assert stop.stdout == "stopped\n"
    assert stop.ended - stop.began < 40
    done = kernel.value("run.progress.done")
    assert kernel.value("run.df['status'].value_counts().to_dict()") == {"ok": done, "pending": 2000 - done}
    assert kernel.value("working()") == 0
    assert kernel.value("run.progress.done") == done >= third


def test_a_run_in_the_background_can_be_waited_for(kernel):
    assert (
        kernel.ok("run = lab.replay(['a', 'b'], wait=False)\nprint(run.wait().status, len(run.df))").stdout
        == "done 2\n"
    )


def test_an_interrupt_while_waiting_for_a_run_stops_it(kernel):
    kernel.ok("stall(); run = lab.replay(['a', 'b'], wait=False, preflight=False)")
    assert interrupted(kernel, "print(run.wait().status)", requests=2).stdout == "begun\nstopped\n"
    assert_all_is_well(kernel)
