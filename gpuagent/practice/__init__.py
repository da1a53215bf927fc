"""A practice world on this machine: a chain of test money and vendors whose faults can be switched on."""
