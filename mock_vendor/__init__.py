"""A seller of GPU jobs to practise on: paid with x402 on a real chain, with faults to switch on."""
