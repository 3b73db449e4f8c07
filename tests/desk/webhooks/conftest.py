"""The counter of the tests of tickets, on both databases."""

from tests.desk.service_times.conftest import counter
from tests.desk.tickets.conftest import counter as counter_on_both

__all__ = ["counter", "counter_on_both"]
