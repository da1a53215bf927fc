"""`gpuagent wallet`: the wallet that pays, its key and its money."""

import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpuagent.cli.common import AsJson, errors_explained, print_json
from gpuagent.cli.groups import command_group
from gpuagent.errors import BadInput, ConfigError

if TYPE_CHECKING:
    from gpuagent.core.model import Payer, SealedKey
    from gpuagent.settings import Settings

NewFile = Annotated[Path, typer.Argument(help="The keystore to write; the file must not exist yet.")]

wallets = command_group(
    "The wallet that pays. `new` and `import` write its key to a file that a password opens; the password is "
    "read from X402_KEYSTORE_PASSWORD or X402_KEYSTORE_PASSWORD_FILE, or prompted for; it has 12 characters or more.",
)


@wallets.command("new")
def wallet_new(file: NewFile, as_json: AsJson = False) -> None:
    """Make a new key and write it, encrypted, to a new file. Print the address."""
    from gpuagent import settings
    from gpuagent.wiring.keys import seal_key

    with errors_explained():
        _check_new(file)
        _write(file, seal_key(None, _password(settings.read())), as_json)


@wallets.command("import")
def wallet_import(file: NewFile, as_json: AsJson = False) -> None:
    """Write the key in X402_PRIVATE_KEY, encrypted, to a new file. Print the address."""
    from gpuagent import settings, wiring
    from gpuagent.wiring.keys import seal_key

    with errors_explained():
        _check_new(file)
        current = settings.read()
        key = seal_key(wiring.key_source(current).plain_key, _password(current))
        _write(file, key, as_json)


@wallets.command("show")
def wallet_show(as_json: AsJson = False) -> None:
    """Show the wallet's address, and what it holds where the chain is known. As JSON, gas is in wei."""
    from gpuagent import settings, wiring
    from gpuagent.core.money import show_usd
    from gpuagent.core.networks import address_url

    with errors_explained():
        current = settings.read()
        payer = wiring.key_source(current).payer()
        fields: dict[str, Any] = {"address": payer.address, "heldBy": payer.kind, "network": current.network}
        lines = [f"wallet   {payer.address}", f"key      {_key_holder(payer)}", f"network  {current.network}"]
        if url := address_url(current.network, payer.address):
            fields["explorerUrl"] = url
            lines.append(f"see      {url}")
        if payer.kind == "cdp":
            fields["cdpPolicies"] = list(payer.cdp_policies)
        if current.environ.get("CHAIN_RPC_URL") or current.profile.rpc_url:
            with wiring.open_chain(current) as chain:
                balance, gas = chain.head(payer.address).balance, chain.gas(payer.address).balance
            fields |= {"asset": current.token.address, "balance": str(balance), "gas": str(gas)}
            lines += [f"holds    {show_usd(balance)}", f"for gas  {Decimal(gas).scaleb(-18).normalize():f} ETH"]
        if as_json:
            print_json(fields)
        else:
            typer.echo("\n".join(lines))


@wallets.command("fund-info")
def wallet_fund_info(as_json: AsJson = False) -> None:
    """Show what to send where, so that the wallet can pay. Asks no chain."""
    from gpuagent import settings, wiring

    with errors_explained():
        current = settings.read()
        payer, token, profile = wiring.key_source(current).payer(), current.token, current.profile
        if as_json:
            print_json(
                {
                    "address": payer.address,
                    "network": current.network,
                    "chainId": token.chain_id,
                    "asset": token.address,
                    "faucet": profile.faucet,
                }
            )
            return
        typer.echo(f"send     USDC, and nothing else that it should keep, on {profile.name} (chain {token.chain_id})")
        typer.echo(f"token    {token.address}")
        typer.echo(f"to       {payer.address}")
        typer.echo("gas      none to pay; a little ETH there (0.001) lets it cancel what it no longer wants")
        if profile.faucet:
            typer.echo(f"faucet   {profile.faucet} gives test USDC away")
        if profile.name == "local":
            typer.echo("local    `gpuagent up` begins with 1000 test USDC in the wallet that it prints")
        typer.echo("keep little in it: what it holds is the most that can be lost; `gpuagent policy show` has the caps")


@wallets.command("policy")
def wallet_policy(as_json: AsJson = False) -> None:
    """Print the CDP policy for this wallet: the vendors' payees, the token, our own cap on one payment.

    It is JSON either way, for CDP's portal or API.
    """
    from gpuagent import settings, wiring
    from gpuagent.wiring.database import open_database
    from gpuagent.wiring.keys import cdp_policy

    with errors_explained():
        current = settings.read()
        payer = wiring.key_source(current).payer()
        with open_database(current) as db:
            rules, vendors = db.store.policy(), db.store.vendors()
            print_json(cdp_policy(current.token, payer.address, vendors, rules.per_payment))
        if not as_json:
            typer.echo("attach it to the account as its account policy; make it again when a vendor changes", err=True)


def _key_holder(payer: "Payer") -> str:
    """Where the key is, and the policy that its holder keeps."""
    if payer.kind != "cdp":
        return payer.custody
    policies = ", ".join(payer.cdp_policies)
    policy = f"policy {policies}" if policies else "with no policy: `gpuagent wallet policy` prints one"
    return f"{payer.custody}, {policy}"


def _check_new(file: Path) -> None:
    """Raises BadInput for a file that exists, before the user types a password; keystore.write() makes sure."""
    if file.exists():
        raise BadInput(f"{file} is there already, and may hold a key: choose another name")


def _password(settings: "Settings") -> bytes:
    """The password of a new keystore. Raises BadInput for a weak one, in a frame that does not hold it."""
    from gpuagent import wiring
    from gpuagent.wiring.keys import password_weakness

    password = wiring.key_source(settings).password or _typed_password()
    if weakness := password_weakness(password):
        del password
        raise BadInput(weakness)
    return password


def _typed_password() -> bytes:
    try:
        typed: str = typer.prompt("Password of the new keystore", hide_input=True, confirmation_prompt=True, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        raise ConfigError("there is no terminal to ask for a password: set X402_KEYSTORE_PASSWORD_FILE") from None
    return typed.encode()


def _write(file: Path, key: "SealedKey | None", as_json: bool) -> None:
    from gpuagent.wiring.keys import write_keystore

    if key is None:
        raise ConfigError("X402_PRIVATE_KEY is not a private key: write 0x and 64 hex digits")
    write_keystore(file, key)
    if as_json:
        print_json({"address": key.address, "keystore": str(file.absolute())})
    else:
        typer.echo(f"{key.address} is in {file}; without file and password its money is lost: keep both")
        typer.echo(f"to pay with it: export X402_KEYSTORE='{file.absolute()}'")
