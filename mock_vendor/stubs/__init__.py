"""Sellers of GPU jobs that speak other protocols than ours, as their public sources describe them, to practise on."""
