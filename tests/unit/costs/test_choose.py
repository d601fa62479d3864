"""The plan that is chosen from a survey."""

from dataclasses import replace
from itertools import product

import pytest
from surveys import MIB, candidate, large, survey, tiny
from wardgate.compiler.costs import TooLargeError, choose
from wardgate.compiler.costs.choose import plan_bytes, weigh
from wardgate.compiler.costs.memory import MOST_TABLE_BYTES
from wardgate.compiler.costs.reasons import reason
from wardgate.compiler.lowering.plan import chosen as meant


def plans(of):
    structures = sorted({one.structure for one in of.candidates})
    for combination in product(*(of.of(structure) for structure in structures)):
        yield dict(zip(structures, combination, strict=True))


@pytest.mark.parametrize("of", [tiny(), large()], ids=["tiny", "large"])
@pytest.mark.parametrize("budget", [None, 12 * MIB, 5 * MIB])
def test_no_plan_that_fits_weighs_less(of, budget):
    decision = choose(of, budget)
    fitting = [plan for plan in plans(of) if budget is None or plan_bytes(plan, of) <= budget]
    assert decision.weight == min(weigh(plan, of) for plan in fitting) == weigh(decision.chosen, of)
    assert meant(decision.plan, of) == decision.chosen


def test_a_tiny_policy_is_a_few_steps_over_one_line_of_keys():
    plan = choose(tiny()).plan
    assert (plan.route4, plan.route4_index_bits) == ("search", 0)
    assert (plan.reach, plan.judge, plan.tunnel4_size) == ("plain", "plain", 256)


def test_a_large_policy_is_not_written_out():
    plan = choose(large()).plan
    assert plan.reach == "ranked"
    assert plan.tunnel4_size


def test_a_budget_takes_bytes_from_where_they_cost_least():
    free, bound = choose(large()), choose(large(), 5 * MIB)
    assert plan_bytes(bound.chosen, large()) <= 5 * MIB < plan_bytes(free.chosen, large())
    assert bound.weight >= free.weight


def test_nothing_fits():
    least = min(plan_bytes(plan, large()) for plan in plans(large()))
    assert plan_bytes(choose(large(), least).chosen, large()) == least
    with pytest.raises(TooLargeError) as refused:
        choose(large(), least - 1)
    assert (refused.value.needed, refused.value.allowed) == (least, least - 1)
    assert refused.value.structure is None


def test_what_no_kernel_takes_is_not_chosen():
    huge = candidate("reach", "plain", size=MOST_TABLE_BYTES + 8, touched=64)
    assert choose(survey(huge, candidate("reach", "paged", loads=90))).plan.reach == "paged"
    with pytest.raises(TooLargeError) as refused:
        choose(survey(huge), 1 << 40)
    assert refused.value.structure == "reach"
    assert refused.value.allowed == MOST_TABLE_BYTES


def test_the_order_of_candidates_does_not_matter():
    turned = replace(large(), candidates=large().candidates[::-1])
    assert choose(turned).plan == choose(large()).plan


def test_the_reason_names_the_next_best():
    decision = choose(tiny())
    assert reason(decision, "reach") == "paged: 2 loads, 300 B, +1.8 ns"
    assert choose(survey(candidate("reach", "plain"))).rejected["reach"] is None
    assert reason(choose(survey(candidate("reach", "plain"))), "reach") == "nothing else fits"


def test_a_policy_without_rules():
    decision = choose(survey(rules=0))
    assert decision.chosen == {}
    assert decision.plan.tunnel4_size == 0
