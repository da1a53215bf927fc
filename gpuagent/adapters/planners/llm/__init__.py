"""The planner that asks a language model: prompt, call, reading of the answer, prices."""
