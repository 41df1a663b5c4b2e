"""The past in a bounded number of points: nothing is lost but detail."""

from hypothesis import given
from hypothesis import strategies as st

from routerlab.views.points import Point, Points, Sample


def point(at, ok=1, failed=0, width=1.0):
    return Point(at, width, (Sample(at / 1000, 1.0, 0.1, ok, failed),), {"calls": at})


@given(st.integers(0, 400), st.integers(8, 40), st.integers(4, 50))
def test_counts_and_times_are_kept_whatever_is_merged(number, limit, most):
    points = Points(limit)
    for at in range(1, number + 1):
        points.add(point(at, ok=at, failed=1))
    for shown in (points.newest(10**6), points.newest(most)):
        assert sum(one.samples[0].ok for one in shown) == number * (number + 1) // 2
        assert sum(one.samples[0].failed for one in shown) == number
        assert sum(one.width for one in shown) == number, "they cover the whole time"
        assert [one.at for one in shown] == sorted(one.at for one in shown)
        if number:
            assert shown[-1].at == number
            assert shown[-1].counters == {"calls": number}
    assert len(points) <= limit
    assert len(points.newest(most)) <= most


def test_the_newest_stay_as_they_are():
    points = Points(16)
    for at in range(1, 200):
        points.add(point(at))
    assert [one.width for one in points.newest(100)[-8:]] == [1.0] * 8
