"""Secrets and the variables of a job: which values look like secrets, and which variables no job may have.

A job names its secrets; their values are sent when it is, and stored nowhere.
"""

import re

_SECRET_NAME = re.compile(r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"(?:hf_|sk-|ghp_|gho_|github_pat_|glpat-|xox[abp]-|AKIA|ASIA|AIza)[\w-]{12,}|(?:0x)?[0-9a-fA-F]{64}|-----BEGIN .*",
    re.DOTALL,
)
_OWN_VARIABLE = re.compile(
    r"(?:X402|CDP|MONGODB|GPUAGENT_API|GPU_VENDOR|PLANNER|FACILITATOR|CRON|CHAIN_RPC|ALERTS|CONSOLE|SELLER)_.*|EVM_PRIVATE_KEY",
    re.IGNORECASE,
)


def is_own_variable(name: str) -> bool:
    """Whether the agent keeps a variable for itself: keys that pay, passwords, tokens. No job gets it as a secret."""
    return bool(_OWN_VARIABLE.fullmatch(name))


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable is likely to hold a secret, by its name or by the form of its value."""
    return bool(value and (_SECRET_NAME.search(name) or _SECRET_VALUE.fullmatch(value.strip())))
