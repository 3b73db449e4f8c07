"""The durable desk: admits messages, runs their turns, delivers the answers.

The subpackages are inbox, turns, delivery and commands; ``runtime`` starts and stops them in a process.
"""
