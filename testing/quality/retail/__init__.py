"""Support conversations about orders: a shop with its tools, scripted customers, and their tasks."""
