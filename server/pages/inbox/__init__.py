"""The inbox of the operators: lists of tickets, one ticket, and everything that is done with them."""
