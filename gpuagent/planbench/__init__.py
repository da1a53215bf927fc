"""Planner comparison: scenario files played in memory or end to end, recorded decisions replayed, paired statistics."""
