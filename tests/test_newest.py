"""What is kept of what was noted lately."""

from qwendesk.newest import Newest


def test_the_oldest_goes_and_what_is_set_again_is_new() -> None:
    noted = Newest[str, int](2)
    noted["a"] = 1
    noted["b"] = 2
    noted["a"] = 3
    noted["c"] = 4
    assert dict(noted) == {"a": 3, "c": 4} and "b" not in noted
