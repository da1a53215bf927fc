"""Rights: what each role may ask for."""

import pytest

from gpuagent.core.rights import OWNER, Right, Rights
from gpuagent.errors import NotPermitted

MAY = {
    "read": {Right.LOOK},
    "approve": {Right.LOOK, Right.APPROVE, Right.CANCEL},
    "operate": {Right.LOOK, Right.OPERATE, Right.CANCEL},
    "operate+approve": set(Right),
    "": set(),
}


@pytest.mark.parametrize("roles", MAY)
def test_a_role_has_its_rights_and_no_other(roles: str) -> None:
    permissions = frozenset({"read", *roles.split("+")}) if roles else frozenset[str]()
    rights = Rights("ada", permissions)
    assert {right for right in Right if rights.has(right)} == MAY[roles]
    for right in set(Right) - MAY[roles]:
        with pytest.raises(NotPermitted, match=r"ada may not do this: it takes the role .*Nothing was changed"):
            rights.check(right)


def test_limits_take_both_roles_and_a_users_own_machine_has_all() -> None:
    with pytest.raises(NotPermitted, match="the role approve and operate"):
        Rights("otto", frozenset({"read", "operate"})).check(Right.ADMINISTER)
    assert all(OWNER.has(right) for right in Right)
