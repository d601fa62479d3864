"""What is no text: its hidden characters are reported, and not all of the millions."""

import pytest
from wardgate.compiler.language import PolicyError, parse_policy_text


@pytest.mark.parametrize("text", ["\0" * 2_000_000, "a\u202e\n" * 200_000])
def test_hidden_characters_are_reported_up_to_a_hundred(text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy_text(text)
    errors = caught.value.errors
    assert len(errors) == 100
    assert errors[0].position.line == 1
    assert "the last of those that are shown" in errors[-1].message
    assert "the last" not in errors[-2].message


def test_each_of_a_few_has_its_place() -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy_text("version: 1\r\n#\u202e\n#x\u200b\n")
    assert [(one.position.line, one.position.column) for one in caught.value.errors] == [(2, 2), (3, 3)]
