"""Any program that can call and be called, with signed bodies."""
