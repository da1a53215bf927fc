"""Visitors of the page: let in by the tokens of the REST server, known again by a signed cookie."""

import hashlib
from collections.abc import Mapping
from html import escape
from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.auth.login import LoginFormHandler
from jupyter_server.auth.logout import LogoutHandler

from gpuagent.api.tokens import Caller, Tokens
from gpuagent.core.rights import READ

LOGIN_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>gpuagent console</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; margin: 12vh auto; max-width: 22rem; padding: 0 1rem }}
input, button {{ font: inherit; width: 100%; box-sizing: border-box; margin: .3rem 0; padding: .4rem }}</style></head>
<body><h1>gpuagent console</h1><form method="post" action="{action}">{xsrf}
<label for="token">Your token</label><input id="token" name="password" type="password" autocomplete="current-password"
required autofocus><button type="submit">Log in</button></form><p role="alert">{problem}</p></body></html>
"""


class Visitors:
    """Who may come in: the callers of these tokens who may look."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._callers = {_name_of(token): caller for token, caller in tokens.callers.items() if _may_look(caller)}

    @property
    def callers(self) -> tuple[Caller, ...]:
        return tuple(self._callers.values())

    def caller(self, name: str) -> Caller | None:
        """The caller of a visitor's name in a cookie, or None."""
        return self._callers.get(name)

    def name(self, token: str) -> str:
        """The visitor's name in a cookie, which follows from their token; "" for a token that may not come in."""
        caller = self._tokens.caller(token)
        return _name_of(token) if caller and _may_look(caller) else ""


def _may_look(caller: Caller) -> bool:
    return READ in caller.permissions


def _name_of(token: str) -> str:
    return hashlib.sha256(f"gpuagent console {token}".encode()).hexdigest()


class LoginPage(LoginFormHandler):
    """The form that asks for a token."""

    def _render(self, message: Mapping[str, Any] | None = None) -> None:
        self.finish(
            LOGIN_PAGE.format(
                action=escape(f"{self.base_url}login"),
                xsrf=self.xsrf_form_html(),
                problem="No such token: ask the operator of this page." if message else "",
            )
        )


class LogoutPage(LogoutHandler):
    """Forgets the visitor."""

    def get(self) -> None:
        self.identity_provider.clear_login_cookie(self)
        self.redirect(f"{self.base_url}login")


class Identities(IdentityProvider):
    """jupyter_server's way to ask who a request is of. visitors: set on the class that the server makes of it."""

    visitors: Visitors

    @property
    def auth_enabled(self) -> bool:
        return True

    @property
    def login_available(self) -> bool:
        return True

    @property
    def logout_available(self) -> bool:
        return True

    async def get_user_token(self, handler: Any) -> User | None:
        return self._user(self.get_token(handler) or "")

    def process_login_form(self, handler: Any) -> User | None:
        return self._user(handler.get_argument("password", default="").strip())

    def user_from_cookie(self, cookie_value: str) -> User | None:
        user = super().user_from_cookie(cookie_value)
        return user if user and self.visitors.caller(user.username) else None

    def get_handlers(self) -> list[tuple[str, object]]:
        return [("/login", LoginPage), ("/logout", LogoutPage)]

    def _user(self, token: str) -> User | None:
        name = self.visitors.name(token) if token else ""
        return User(name) if name else None
