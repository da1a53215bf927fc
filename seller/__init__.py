"""A seller of jobs: it runs what was ordered and paid. It meets buyers over HTTP and the chain, and shares no code."""
