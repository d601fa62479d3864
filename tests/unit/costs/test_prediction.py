"""What decisions are predicted to take."""

from dataclasses import replace

import pytest
from surveys import KIB, MIB, candidate, large, survey, tiny
from wardgate.compiler.costs.choose import choose, situation
from wardgate.compiler.costs.prediction import TRAFFIC, loads_of, part_of, predict
from wardgate.compiler.lowering.survey import Candidate, Survey


def predicted(*candidates: Candidate, of: Survey | None = None):
    offered = of or survey(*candidates)
    return predict({one.structure: one for one in candidates}, offered, situation(offered))


@pytest.mark.parametrize("of", [tiny(), large()], ids=["tiny", "large"])
def test_more_flows_are_never_faster(of):
    decisions = predict(choose(of).chosen, of, situation(of)).decisions
    for version in decisions["hot"]:
        times = [decisions[traffic][version] for traffic in TRAFFIC]
        assert times == pytest.approx(sorted(times))


def test_a_tiny_policy_is_as_fast_with_any_traffic_from_few_devices():
    few = replace(situation(tiny()), devices=16)
    decisions = predict(choose(tiny()).chosen, tiny(), few).decisions
    assert decisions["spread"][4] == pytest.approx(decisions["hot"][4])


def test_bytes_that_one_takes_make_the_loads_of_others_dearer():
    judge = candidate("judge", "plain", size=900 * KIB)
    alone = predicted(candidate("reach", "plain", size=KIB), judge)
    crowded = predicted(candidate("reach", "plain", loads=9, size=2 * MIB), judge)
    assert crowded.parts["spread"]["judge"] > 2 * alone.parts["spread"]["judge"]
    assert crowded.parts["hot"]["judge"] == pytest.approx(alone.parts["hot"]["judge"])


def test_a_search_takes_its_steps():
    steps = [candidate("route4", "search", loads=1 + n, steps=n) for n in (0, 1, 2, 3, 4)]
    assert [loads_of(one) for one in steps] == [1, 2, 4, 5, 7]
    assert [part_of(one, 1).loads for one in steps] == [1, 2, 2, 3, 3]
    wide = candidate("route6", "search", 8, loads=5, steps=3, wide=True)
    assert loads_of(wide) == 8
    assert loads_of(replace(wide, wide=False)) == part_of(wide, 1).loads == 5


def test_what_an_index_of_addresses_does_not_cover_is_hashed():
    full, half, none = (
        part_of(candidate("tunnel4", variant, size, size=8 * size), 1000)
        for variant, size in (("index", 1000), ("index", 500), ("hash", 0))
    )
    assert full.loads < half.loads < none.loads
    assert full.work < half.work < none.work
    assert full.touched < half.touched < none.touched
    assert half.loads == pytest.approx((full.loads + none.loads) / 2)


def test_predictions_are_for_as_many_devices_as_the_tunnels_have_room_for():
    assert situation(tiny()).devices == 256
    assert situation(large()).devices == 1 << 17
    assert situation(survey()).devices == 65_536
    assert situation(survey(classes=1 << 16)).class_bytes == 2
    assert situation(survey(classes=(1 << 16) + 1)).class_bytes == 4
