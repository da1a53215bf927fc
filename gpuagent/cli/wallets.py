"""`gpuagent wallet`: the key that pays, in a file that a password opens."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpuagent.cli.common import AsJson, errors_explained, print_json
from gpuagent.errors import BadInput, ConfigError

if TYPE_CHECKING:
    from gpuagent.adapters.keystore import Sealed
    from gpuagent.settings import Settings

NewFile = Annotated[Path, typer.Argument(help="Where to write the keystore; it must not be there yet.")]

wallets = typer.Typer(
    no_args_is_help=True,
    help="The wallet that pays: its key in a file that a password opens. The password is taken from "
    "X402_KEYSTORE_PASSWORD or X402_KEYSTORE_PASSWORD_FILE, or asked for.",
)


@wallets.command("new")
def wallet_new(file: NewFile, as_json: AsJson = False) -> None:
    """Make a new key and write it, encrypted, to a new file. Prints the address."""
    from gpuagent import settings
    from gpuagent.adapters import keystore

    with errors_explained():
        _must_be_new(file)
        _write(file, keystore.seal(keystore.new_key(), _password(settings.read())), as_json)


@wallets.command("import")
def wallet_import(file: NewFile, as_json: AsJson = False) -> None:
    """Write the key in X402_PRIVATE_KEY, encrypted, to a new file. Prints the address."""
    from gpuagent import settings
    from gpuagent.adapters import keystore

    with errors_explained():
        _must_be_new(file)
        current = settings.read()
        _write(file, keystore.seal(current.key.plain_key, _password(current)), as_json)


@wallets.command("show")
def wallet_show(as_json: AsJson = False) -> None:
    """Show the wallet's address, and what it holds where CHAIN_RPC_URL is set. As JSON, gas is in wei."""
    from gpuagent import settings
    from gpuagent.adapters.local_wallet import address_of
    from gpuagent.money import show_usd

    with errors_explained():
        current = settings.read()
        address = address_of(current.private_key)
        shown: dict[str, Any] = {"address": address, "network": current.network}
        lines = [f"wallet   {address}", f"network  {current.network}"]
        if current.environ.get("CHAIN_RPC_URL"):
            with settings.open_chain(current) as chain:
                balance, gas = chain.head(address).balance, chain.gas(address).balance
            shown |= {"asset": current.token.address, "balance": str(balance), "gas": str(gas)}
            lines += [f"holds    {show_usd(balance)}", f"for gas  {Decimal(gas).scaleb(-18).normalize():f} ETH"]
        if as_json:
            print_json(shown)
        else:
            typer.echo("\n".join(lines))


def _must_be_new(file: Path) -> None:
    """Before a password is asked for; keystore.write() is what makes sure."""
    if file.exists():
        raise BadInput(f"{file} is there already, and may hold a key: choose another name")


def _password(settings: "Settings") -> bytes:
    given = settings.key.password
    if given:
        return given
    asked: str = typer.prompt("Password of the new keystore", hide_input=True, confirmation_prompt=True, err=True)
    return asked.encode()


def _write(file: Path, sealed: "Sealed | None", as_json: bool) -> None:
    from gpuagent.adapters import keystore

    if sealed is None:
        raise ConfigError("X402_PRIVATE_KEY is not a private key: write 0x and 64 hex digits")
    keystore.write(file, sealed)
    if as_json:
        print_json({"address": sealed.address, "keystore": str(file.absolute())})
    else:
        typer.echo(f"{sealed.address} is in {file}; without file and password its money is lost: keep both")
        typer.echo(f"to pay with it: export X402_KEYSTORE='{file.absolute()}'")
