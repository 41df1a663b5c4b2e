"""The order in which a run's units go, and lanes that rest."""

from __future__ import annotations

from itertools import pairwise

from routerlab.experiments.lanes import Lanes, Rest, Unit
from routerlab.experiments.order import BLOCK, shuffled
from routerlab.experiments.strikes import Strikes


def test_all_arms_of_an_item_go_together_and_its_repeats_after_the_other_items():
    lanes = Lanes(2, 2, 2)
    taken = [lanes.take(0.0)[0] for _ in range(8)]
    assert taken == [Unit(item, arm, repeat) for repeat in (0, 1) for item in (0, 1) for arm in (0, 1)]
    assert lanes.take(0.0) == (None, None)


def test_repeats_go_block_by_block_so_that_a_stop_leaves_whole_items():
    size, repeats = 5 * BLOCK + 7, 3
    lanes = Lanes(size, 1, repeats, seed=3)
    taken = [lanes.take(0.0)[0] for _ in range(size * repeats)]
    assert len(set(taken)) == size * repeats
    places = {}
    for place, unit in enumerate(taken):
        places.setdefault(unit.item, []).append((unit.repeat, place))
    assert all([repeat for repeat, _ in met] == [0, 1, 2] for met in places.values())
    gaps = [second - first for met in places.values() for (_, first), (_, second) in pairwise(met)]
    assert BLOCK <= min(gaps) <= max(gaps) < 2 * BLOCK
    for stop in range(0, size * repeats, 37):
        begun = {unit.item for unit in taken[:stop]}
        whole = [item for item in begun if places[item][-1][1] < stop]
        assert len(begun) - len(whole) < 2 * BLOCK


def test_a_lane_without_room_does_not_hold_the_others():
    lanes = Lanes(3, 2, 1)
    assert [lanes.take(0.0, lambda arm: arm == 1)[0].arm for _ in range(3)] == [1, 1, 1]
    unit, wait_s = lanes.take(0.0, lambda arm: arm == 1)
    assert unit is None
    assert wait_s > 1, "whoever makes room says so"
    assert lanes.take(0.0)[0] == Unit(0, 0, 0)


def test_with_a_lead_a_fast_lane_waits_for_a_slow_one_but_not_for_one_that_is_out():
    lanes = Lanes(99, 2, 1, lead=3, lead_patience_s=60.0)
    slow = lanes.take(0.0)[0]
    ahead = [lanes.take(0.0, lambda arm: arm == 1)[0] for _ in range(6)]
    assert [unit and unit.item for unit in ahead] == [0, 1, 2, 3, 4, None]
    lanes.put_back(slow, 300.0, "circuit open", 0.0)
    assert lanes.take(59.0)[0] is None
    assert lanes.take(61.0)[0] == Unit(5, 1, 0)
    assert lanes.take(300.0)[0] == slow


def test_an_arrival_is_an_item_for_all_arms_and_what_comes_back_keeps_its_time():
    lanes = Lanes(3, 2, 1, arrivals=[0.0, 2.0, 5.0])
    lanes.begin(100.0)
    first, second = lanes.take(100.0)[0], lanes.take(100.0)[0]
    assert [first, second] == [Unit(0, 0, 0, due=100.0), Unit(0, 1, 0, due=100.0)]
    assert lanes.take(101.5) == (None, 0.5)
    assert lanes.late_s(101.5) == 0.0
    lanes.put_back(first, None, "not answering", 101.0, struck=True)
    lanes.settled(second, ok=True)
    assert [lanes.take(103.0)[0] for _ in range(2)] == [Unit(1, 0, 0, due=102.0), Unit(1, 1, 0, due=102.0)]
    assert lanes.late_s(106.5) == 1.5
    lanes.settled(Unit(1, 0, 0, due=102.0), ok=True)
    assert lanes.take(104.0) == (first, None)


def test_what_failed_is_tried_again_before_the_next_arrival():
    lanes = Lanes(2, 1, 1, arrivals=[0.0, 3600.0], give_up_after_s=1800.0)
    lanes.begin(0.0)
    first = lanes.take(0.0)[0]
    lanes.put_back(first, None, "not answering", 1.0, struck=True)
    assert lanes.take(1.0)[0] == first
    lanes.settled(first, ok=True)
    assert lanes.take(2.0) == (None, 3598.0)
    assert lanes.take(3600.0)[0] == Unit(1, 0, 0, due=3600.0)


def test_a_run_that_goes_on_begins_with_the_next_arrival():
    lanes = Lanes(4, 2, 1, arrivals=[0.0, 10.0, 20.0, 40.0], done={(0, 0, 0), (0, 1, 0), (1, 1, 0), (2, 0, 0)})
    lanes.begin(500.0)
    assert lanes.take(500.0)[0] == Unit(1, 0, 0, due=500.0)
    assert lanes.take(500.0) == (None, 10.0)
    assert lanes.take(510.0)[0] == Unit(2, 1, 0, due=510.0)
    assert lanes.take(530.0)[0] == Unit(3, 0, 0, due=530.0)


def test_the_order_is_shuffled_by_the_seed_and_the_same_for_all_arms():
    lanes = Lanes(50, 2, 1, seed=7)
    taken = [lanes.take(0.0)[0] for _ in range(100)]
    assert [unit.item for unit in taken[::2]] == [unit.item for unit in taken[1::2]] == list(shuffled(50, 7))
    assert sorted(shuffled(50, 7)) == list(range(50)) != list(shuffled(50, 7))
    assert list(shuffled(50, 7)) != list(shuffled(50, 8))
    assert list(shuffled(5, 0)) == [3, 2, 4, 1, 0] or len(shuffled(5, 0)) == 5


def test_what_is_done_already_is_left_out():
    lanes = Lanes(3, 2, 1, done={(0, 0, 0), (1, 0, 0), (1, 1, 0)})
    assert (lanes.left, lanes.left_of(0), lanes.left_of(1)) == (3, 1, 2)
    assert [lanes.take(0.0)[0] for _ in range(4)] == [Unit(2, 0, 0), Unit(0, 1, 0), Unit(2, 1, 0), None]


def test_a_resting_lane_does_not_hold_the_others_and_catches_up_afterwards():
    lanes = Lanes(3, 2, 1)
    first, _ = lanes.take(0.0)
    assert first == Unit(0, 0, 0)
    lanes.put_back(first, 10.0, "cooling", 0.0)
    assert [lanes.take(1.0)[0] for _ in range(2)] == [Unit(0, 1, 0), Unit(1, 1, 0)]
    assert lanes.rests(1.0) == [Rest(0, "cooling", 9.0)]
    assert lanes.take(10.0) == (first, None)
    lanes.settled(first, ok=True)
    assert lanes.take(10.0) == (Unit(1, 0, 0), None)
    assert lanes.take(10.0) == (Unit(2, 0, 0), None)
    assert lanes.take(10.0) == (Unit(2, 1, 0), None)
    assert lanes.take(10.0) == (None, None)


def test_after_a_rest_one_unit_goes_ahead():
    lanes = Lanes(9, 1, 1)
    unit, _ = lanes.take(0.0)
    lanes.put_back(unit, 1.0, "cooling", 0.0)
    assert lanes.take(0.5) == (None, 0.5)
    scout, _ = lanes.take(1.0)
    assert scout == unit
    assert lanes.take(1.0)[0] is None
    lanes.settled(scout, ok=True)
    assert lanes.take(1.0)[0] == Unit(1, 0, 0)
    assert lanes.take(1.0)[0] == Unit(2, 0, 0)


def test_a_scout_that_fails_otherwise_makes_room_for_the_next():
    lanes = Lanes(9, 1, 1)
    unit, _ = lanes.take(0.0)
    lanes.put_back(unit, 1.0, "cooling", 0.0)
    scout, _ = lanes.take(1.0)
    lanes.settled(scout, ok=False)
    assert lanes.take(1.0)[0] == Unit(1, 0, 0)
    assert lanes.take(1.0)[0] is None


def test_rests_grow_where_nobody_knows_how_long_and_the_lane_gives_up_in_the_end():
    lanes, now, rests = Lanes(9, 1, 1, give_up_after_s=200.0), 0.0, []
    while (unit := lanes.take(now)[0]) is not None:
        lanes.put_back(unit, None, "the provider refused the key", now)
        rest = lanes.take(now)[1]
        if rest is not None:
            rests.append(rest)
            now += rest
    assert rests == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert lanes.rests(now) == [Rest(0, "the provider refused the key", None)]
    assert lanes.left == 9


def test_a_rest_longer_than_the_patience_ends_the_lane_at_once():
    lanes = Lanes(2, 1, 1, give_up_after_s=1800.0)
    unit, _ = lanes.take(0.0)
    lanes.put_back(unit, 7200.0, "no credit or quota left", 0.0)
    assert lanes.take(0.0) == (None, None)
    assert lanes.left == 2


def test_a_success_makes_the_trouble_forgotten():
    lanes, now = Lanes(99, 1, 1, give_up_after_s=100.0), 0.0
    for _ in range(20):
        unit, _ = lanes.take(now)
        lanes.put_back(unit, 60.0, "cooling", now)
        now += 60.0
        scout, _ = lanes.take(now)
        lanes.settled(scout, ok=True)
    assert lanes.take(now)[0] is not None


def test_a_lost_model_ends_its_lane_alone():
    lanes = Lanes(2, 2, 1)
    unit, _ = lanes.take(0.0)
    lanes.lost(unit, "the provider does not know this model")
    assert [lanes.take(0.0)[0] for _ in range(3)] == [Unit(0, 1, 0), Unit(1, 1, 0), None]
    assert (lanes.left_of(0), lanes.left_of(1)) == (2, 0)


def test_a_single_failure_rests_nobody_and_its_unit_comes_again_after_a_success_of_another():
    lanes = Lanes(9, 1, 1)
    bad, good = lanes.take(0.0)[0], lanes.take(0.0)[0]
    lanes.put_back(bad, None, "not answering", 0.0, struck=True)
    third, _ = lanes.take(0.0)
    assert third == Unit(2, 0, 0)
    lanes.settled(good, ok=True)
    assert lanes.take(0.0)[0] == bad


def test_three_rounds_while_others_succeed_condemn_an_item():
    strikes, key = Strikes(2), (0, 0, 0)
    for _ in range(3):
        assert not strikes.condemned(key)
        sent = strikes.successes(0)
        strikes.succeeded(0)
        strikes.struck(key, sent)
    assert strikes.condemned(key)
    strikes.cleared(key)
    assert not strikes.condemned(key)


def test_failures_of_an_outage_and_successes_of_other_lanes_condemn_nobody():
    strikes, key = Strikes(2), (0, 0, 0)
    strikes.succeeded(0)
    for _ in range(50):
        strikes.struck(key, strikes.successes(0))
        strikes.succeeded(1)
    assert not strikes.condemned(key)
    strikes.succeeded(0)
    assert not strikes.condemned(key)


def test_at_the_end_of_a_lane_an_item_that_still_fails_is_condemned_after_a_while():
    lanes = Lanes(2, 1, 1)
    bad, good = lanes.take(0.0)[0], lanes.take(0.0)[0]
    lanes.settled(good, ok=True)
    now = 0.0
    for _ in range(20):
        lanes.put_back(bad, None, "not answering", now, struck=True)
        rest = 0.0
        while (unit := lanes.take(now + rest)[0]) is None:
            rest += 1.0
        now += rest
        if lanes.condemned(unit, now):
            break
    assert 15.0 <= now < 40.0
