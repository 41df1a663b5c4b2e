"""The engine room: pools, health by hand, records, and the end of everything."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import routerlab as rl
from routerlab.core.errors import ConfigurationError, LabClosedError, RouterLabError
from routerlab.core.failures import Fault, ProviderError
from routerlab.core.types import CompletionResponse, Delta, TokenUsage
from routerlab.mixins import ConfigValidatorMixin
from routerlab.providers.base import ProviderConnector
from routerlab.session.config import load_config
from routerlab.session.needs import needs_of
from routerlab.session.recorder import Recorder
from routerlab.session.results import CallSpec
from routerlab.session.session import Session

pytestmark = pytest.mark.usefixtures("no_leaks")

CHAT = "generation.text-generation.chat-completion"


class Echo(ProviderConnector):
    """Answers at once with the model's name; fails with what is in ``fail``."""

    fail: ProviderError | None = None
    usage: TokenUsage | None = None

    async def complete(self, request):
        if self.fail is not None:
            raise self.fail
        return CompletionResponse(request.model, finish_reason="stop", usage=self.usage)

    async def stream(self, request):
        yield Delta(text=request.model, finish_reason="stop")


class Sulky(Echo):
    """Does not want to be closed."""

    async def close(self):
        raise OSError("no")


class Stuck(Echo):
    """Cannot even be made."""

    def __init__(self, name, config):
        raise ConfigurationError("not me", [f"providers.{name}: not me"])


class Picky(ConfigValidatorMixin, Echo):
    """Takes what it needs as the mixin offers it."""

    def __init__(self, name, config):
        super().__init__(name, config)
        self._require_field(config, "base_url", str)


def config(**top):
    provider = {
        "kind": f"{__name__}:Echo",
        "models": {"one": {}, "two": {}, "vectors": {"capabilities": ["embedding"]}},
    }
    return {"providers": {"p": provider}, **top}


@pytest.fixture
def make(no_leaks):
    sessions = []

    def build(data):
        sessions.append(Session(load_config(data), Recorder()))
        return sessions[-1]

    yield build
    for session in sessions:
        session.close()


def ask(session, **spec):
    messages = ({"role": "user", "content": "hi"},)
    return session.run(session.call(CallSpec(messages=messages, **spec)))


# -- pools -------------------------------------------------------------------------------------------------------------


def test_without_pools_all_models_of_the_capability_serve(make):
    session = make(config())
    assert ask(session).response.text == "one"
    pool, pinned = session.pool_for(CallSpec())
    assert (pool.models, pinned) == (("p/one", "p/two"), False)
    assert session.pool_for(CallSpec())[0] is pool  # with one memory


def test_a_declared_pool_hides_the_models_that_it_leaves_out(make):
    session = make(config(pools={"chat": {"models": ["p/two"]}}))
    assert ask(session).response.text == "two"
    assert ask(session).row["pool"] == "chat"
    with pytest.raises(ConfigurationError, match="serves 'reranking'"):
        session.pool_for(CallSpec(capability="reranking"))


def test_a_capability_that_nobody_has_names_the_nearest_that_somebody_has(make):
    session = make(config())
    with pytest.raises(ConfigurationError, match=rf"\(the nearest: {CHAT} of p/one\): declare a pool"):
        session.pool_for(CallSpec(capability="text-completion"))
    with pytest.raises(ConfigurationError, match=r"the nearest: representation\.embedding of p/vectors"):
        load_config(config(pools={"pictures": {"capability": "image-embedding"}}))


def test_a_pool_for_something_else_is_refused_and_the_right_one_named(make):
    pools = {"chat": {"models": ["p/one"]}, "vectors": {"capability": "embedding"}}
    session = make(config(pools=pools))
    with pytest.raises(ConfigurationError, match=r"pool 'chat' is for .*, not 'representation\.embedding'.*'vectors'"):
        session.pool_for(CallSpec(inputs=("x",), capability="representation.embedding", pool="chat"))
    assert session.pool_for(CallSpec(capability=CHAT, pool="chat"))[0].models == ("p/one",)


def test_the_default_pool_goes_first_among_several(make):
    pools = {"a": {"models": ["p/one"]}, "b": {"models": ["p/two"], "default": True}}
    assert ask(make(config(pools=pools))).response.text == "two"
    pools["b"]["default"] = False
    session = make(config(pools=pools))
    assert ask(session).response.text == "one"
    assert ask(session, pool="b").response.text == "two"


def test_a_pinned_call_takes_the_policy_of_the_first_pool_that_holds_its_model(make):
    pools = {"a": {"models": ["p/one"]}, "b": {"models": ["p/two", "p/one"], "retry": {"max_retries": 0}}}
    session = make(config(pools=pools))
    session.connectors["p"].fail = ProviderError("down", status=503)
    for model, tries in (("p/one", 2), ("p/two", 1)):
        result = ask(session, model=model)
        assert len(result.attempts) == tries
        assert (result.row["requested_model"], result.row["pool"]) == (model, None)
        assert result.decisions[0]["strategy"] == "pinned"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"model": "p/onne"}, "no model 'p/onne'; did you mean 'p/one'"),
        ({"pool": "chta"}, "no pool 'chta'; did you mean 'chat'"),
    ],
)
def test_an_unknown_name_names_the_nearest(make, spec, message):
    session = make(config(pools={"chat": {"models": ["p/one"]}}))
    with pytest.raises(ConfigurationError, match=message):
        ask(session, **spec)
    assert session.recorder.count("calls") == 0


def test_a_record_that_does_not_fit_takes_no_answer_away(make):
    session = make(config())
    with pytest.warns(RuntimeWarning, match=r"a record is incomplete: events\.cause takes text, not list"):
        session.record("events", {"kind": "breaker", "cause": ["x"]})
    assert session.recorder.columns("events")["kind"] == []


# -- explain -----------------------------------------------------------------------------------------------------------


def test_explain_says_what_happens_next_and_changes_nothing(make):
    session = make(config(pools={"chat": {"models": ["p/one", "p/two"], "strategy": "round-robin"}}))
    for _ in range(5):
        before = session.snapshots(), session.pools["chat"].memory, session.recorder.version
        told = [session.explain(CallSpec())["chosen"] for _ in range(3)]
        again = session.snapshots(), session.pools["chat"].memory, session.recorder.version
        assert [s.in_flight for s in before[0]] == [s.in_flight for s in again[0]]
        assert before[1:] == again[1:]
        assert {*told} == {ask(session).row["model"]}


def test_explain_says_why_not(make):
    session = make(config(pools={"chat": {"models": ["p/one", "p/two"]}}))
    session.by_hand("open", "p/one")
    told = session.explain(CallSpec())
    assert told["chosen"] == "p/two"
    assert "circuit open" in told["candidates"][0]["excluded_because"]


# -- by hand -----------------------------------------------------------------------------------------------------------


def test_breakers_by_hand_are_obeyed_and_recorded(make):
    session = make(config(pools={"chat": {"models": ["p/one", "p/two"]}}))
    session.by_hand("open", "p/one")
    assert session.snapshot("p/one").breaker == "open"
    assert ask(session).row["model"] == "p/two"
    session.by_hand("close", "p/one")
    assert ask(session).row["model"] == "p/one"
    events = session.recorder.columns("events")
    assert list(zip(events["old"], events["new"], strict=True)) == [("closed", "open"), ("open", "closed")]
    assert events["call_id"] == [None, None]


def test_reset_takes_a_model_or_a_provider_and_names_the_nearest(make):
    session = make(config())
    session.connectors["p"].fail = ProviderError("who are you", status=401)
    assert isinstance(ask(session).error, rl.AuthenticationError)
    session.connectors["p"].fail = None
    assert isinstance(ask(session).error, rl.NoModelAvailableError)
    session.by_hand("reset", "p")
    assert ask(session).error is None
    with pytest.raises(ConfigurationError, match="did you mean 'p/one'"):
        session.by_hand("reset", "p/on")
    with pytest.raises(ConfigurationError):
        session.by_hand("open", "p")  # a provider has no breaker


# -- money, needs ------------------------------------------------------------------------------------------------------


def test_costs_are_the_users_own_price_or_unknown(make):
    data = config()
    data["providers"]["p"]["models"]["one"] = {"price": {"input": 1, "output": 2}}
    session = make(data)
    session.connectors["p"].usage = TokenUsage(1_000_000, 500_000, 1_500_000)
    assert ask(session, model="p/one").row["cost_usd"] == 2.0
    assert ask(session, model="p/two").row["cost_usd"] is None
    session.connectors["p"].usage = None
    assert ask(session, model="p/one").row["cost_usd"] is None


@pytest.mark.parametrize(
    ("content", "params", "features", "tokens"),
    [
        ("x" * 60, {}, set(), 10),
        ("x", {"tools": [{}]}, {"tools"}, 0),
        ("x", {"tools": []}, set(), 0),
        ("x", {"response_format": {"type": "json_object"}}, {"json"}, 0),
        ("x", {"response_format": "json"}, {"json"}, 0),
        ("x", {"response_format": {"type": "text"}}, set(), 0),
        ([{"type": "text", "text": "x" * 12}, {"type": "image_url", "image_url": {}}], {}, {"vision"}, 2),
        (None, {}, set(), 0),
    ],
)
def test_what_a_call_needs(content, params, features, tokens):
    spec = CallSpec(messages=({"role": "user", "content": content},), params=params)
    needs = needs_of(spec, drop_params=False)
    assert (needs.features, needs.tokens) == (features, tokens)
    assert needs_of(spec, drop_params=True).features == features & {"vision"}


@pytest.mark.parametrize(
    ("roles", "features"),
    [
        (["user"], set()),
        (["system", "user"], {"system"}),
        (["developer", "user", "assistant", "user"], {"system"}),
        (["user", "assistant"], {"prefill"}),
        (["system", "user", "assistant"], {"system", "prefill"}),
    ],
)
def test_roles_of_messages_need_features_that_no_parameter_could_leave_out(roles, features):
    spec = CallSpec(messages=tuple({"role": role, "content": "x"} for role in roles))
    assert needs_of(spec, drop_params=False).features == needs_of(spec, drop_params=True).features == features


# -- the beginning and the end -----------------------------------------------------------------------------------------


def threads():
    return {thread for thread in threading.enumerate() if thread.name.startswith("routerlab")}


def test_connectors_that_cannot_be_made_leave_nothing_behind_and_are_told_together():
    before = threads()
    data = {
        "providers": {
            "sim": {"kind": "simulated", "models": ["alpha"]},
            "a": {"kind": f"{__name__}:Stuck", "models": ["x"]},
            "b": {"kind": f"{__name__}:Stuck", "models": ["x"]},
        }
    }
    with pytest.raises(ConfigurationError, match="not me") as caught:
        Session(load_config(data), Recorder())
    assert caught.value.problems == ["providers.a: not me", "providers.b: not me"]
    end = time.monotonic() + 30
    while threads() - before and time.monotonic() < end:
        time.sleep(0.01)
    assert threads() <= before


def test_a_connector_that_cannot_be_closed_does_not_keep_the_others_open(make):
    data = config()
    data["providers"] = {
        "bad": {"kind": f"{__name__}:Sulky", "models": ["x"]},
        "sim": {"kind": "simulated", "models": ["a"]},
    }
    session = make(data)
    server = session.connectors["sim"].server
    with pytest.warns(RuntimeWarning, match=r"provider 'bad' \(OSError\) was not closed"):
        session.close()
    assert server._running is None


def test_closing_twice_from_many_threads_is_fine(make):
    session = make(config())
    closers = [threading.Thread(target=session.close) for _ in range(8)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join(30)
    session.close()
    assert session.closed
    with pytest.raises(LabClosedError):
        ask(session)
    with pytest.raises(LabClosedError):
        session.check_open()


def test_closing_in_its_own_loop_does_not_block(make):
    session = make(config())

    async def inside():
        session.close()
        await asyncio.sleep(0)
        return "went on"

    assert session.run(inside()) == "went on"
    end = time.monotonic() + 30
    while not session.closed and time.monotonic() < end:
        time.sleep(0.005)
    assert session.closed


def test_what_is_cut_off_by_closing_is_told_as_such(make):
    session = make(config())
    errors = []

    def wait():
        try:
            session.run(asyncio.sleep(30))
        except Exception as error:  # noqa: BLE001 - whatever it is
            errors.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(0.05)
    session.close()
    waiter.join(30)
    assert [type(error) for error in errors] == [LabClosedError]

    async def foreign(other):
        waiting = asyncio.ensure_future(other.loop.bridge(asyncio.sleep(30)))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(other.close)
        with pytest.raises(LabClosedError):
            await waiting

    asyncio.run(foreign(make(config())))


def test_snapshots_from_the_own_loop_are_a_clear_error(make):
    session = make(config())

    async def inside():
        return session.snapshots()

    with pytest.raises(RouterLabError, match="a… twin"):
        session.run(inside())


def test_a_local_fault_is_the_callers(make):
    session = make(config())
    session.connectors["p"].fail = ProviderError("not sent", fault=Fault.LOCAL, sent=False)
    result = ask(session)
    assert isinstance(result.error, rl.InvalidRequestError)
    assert not result.attempts[0].maybe_billed


def test_what_a_connector_misses_is_told_like_any_other_mistake():
    providers = {name: {"kind": f"{__name__}:Picky", "models": ["one"]} for name in ("a", "b")}
    providers["b"]["base_url"] = 3
    with pytest.raises(ConfigurationError) as caught:
        Session(load_config({"providers": providers}), Recorder())
    assert caught.value.problems == [
        "providers.a: 'base_url' is required (str) and missing",
        "providers.b: 'base_url' must be str, found int",
    ]
