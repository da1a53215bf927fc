"""The policy's rules that are no amounts: how large files are, who gets them, how long they and a signature live. Pure.

Amounts are in policy.LIMITS.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gpuagent.core.units import exact_duration, exact_size, parse_duration, parse_size
from gpuagent.errors import BadInput

LIFE_MAX_S = 86_400
"""No policy and no vendor's record allows an authorization a longer life."""
ANY_VENDOR, TRUSTED_VENDORS = "any", "trusted"
NONE = "none"
Value = int | str | None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the policy. name: the field of Policy; key: its name in MongoDB and JSON; label: for users.

    form: what a user writes. without: what stands for no rule, "" where there must be one.
    """

    name: str
    key: str
    label: str
    form: str
    read: Callable[[str], int | str]
    write: Callable[[int], str] = str
    without: str = ""
    loosens: bool = False
    """Whether a larger value allows more."""
    most: int | None = None
    """No value may be larger."""

    def of(self, policy: object) -> Value:
        """The rule in a Policy."""
        value: Value = getattr(policy, self.name)
        return value

    def parse(self, text: str) -> Value:
        """The value that a user wrote. Raises BadInput."""
        text = text.strip()
        if self.without and text in ("", NONE):
            return None
        try:
            return self.read(text)
        except ValueError as error:
            raise BadInput(f"{self.label}: {error}{f', or {NONE}' if self.without else ''}") from None

    def text(self, value: Value) -> str:
        """The value as parse() reads it; "" for none."""
        if value is None:
            return ""
        return value if isinstance(value, str) else self.write(value)

    def show(self, value: Value) -> str:
        return self.text(value) or self.without

    def problem(self, value: Value) -> str:
        """Why the value cannot be meant, "" where it can."""
        if isinstance(value, str):
            return "" if value in (ANY_VENDOR, TRUSTED_VENDORS) else f"{self.label}: write {self.form}"
        if value is None:
            return "" if self.without else f"{self.label}: there must be a limit"
        if self.most is not None and value > self.most:
            return f"{self.label}: at most {self.write(self.most)}"
        return "" if value > 0 else f"{self.label} is more than 0"

    def loosening(self, before: object, after: object) -> str:
        """In words, how the newer policy allows more than the older; "" where it does not."""
        old, new = self.of(before), self.of(after)
        allows_more = isinstance(old, int) and isinstance(new, int) and self.loosens and new > old
        if allows_more or (old, new) == (TRUSTED_VENDORS, ANY_VENDOR):
            return f"{self.name}: {self.show(old)} to {self.show(new)}"
        return ""


def _receivers(text: str) -> str:
    if text not in (ANY_VENDOR, TRUSTED_VENDORS):
        raise ValueError(f"{text!r} is neither {ANY_VENDOR} nor {TRUSTED_VENDORS}")
    return text


RULES = (
    Rule("inputs_to", "inputsTo", "inputs go to vendors", f"{ANY_VENDOR} or {TRUSTED_VENDORS}", _receivers),
    Rule("file_max", "fileMax", "a file", "64MB", parse_size, exact_size, loosens=True),
    Rule("run_files_max", "runFilesMax", "a run's files", "512MB", parse_size, exact_size, loosens=True),
    Rule(
        "keep_files_s", "keepFilesSeconds", "files are kept", "30d", parse_duration, exact_duration, without="for ever"
    ),
    Rule("keep_files_max", "keepFilesMax", "all kept files", "10GB", parse_size, exact_size, without="no limit"),
    Rule(
        "keep_observations_s",
        "keepObservationsSeconds",
        "observations stay in the database",
        "90d",
        parse_duration,
        exact_duration,
        without="for ever",
    ),
    Rule(
        "authorization_max_s",
        "authorizationMaxSeconds",
        "an authorization lives",
        "1h",
        parse_duration,
        exact_duration,
        loosens=True,
        most=LIFE_MAX_S,
    ),
)
