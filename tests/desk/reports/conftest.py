from tests.desk.tickets.conftest import counter

__all__ = ["counter"]
