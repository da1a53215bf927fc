"""The test USDC keeps the rules of EIP-3009 and says no in the words of Circle's contract."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from eth_account import Account
from web3 import Web3
from web3.exceptions import ContractLogicError
from web3.logs import DISCARD

from mock_vendor import contracts
from mock_vendor.chain import advance_time, anvil, connect, deploy_usdc, mint

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
UINT, BYTES32 = "uint256", "bytes32"
TERMS = [
    ("from", "address"),
    ("to", "address"),
    ("value", UINT),
    ("validAfter", UINT),
    ("validBefore", UINT),
    ("nonce", BYTES32),
]
DOMAIN = [("name", "string"), ("version", "string"), ("chainId", UINT), ("verifyingContract", "address")]


@dataclass(frozen=True)
class Terms:
    payer: str
    payee: str
    amount: int
    valid_after: int
    valid_before: int
    nonce: bytes

    def values(self) -> tuple[Any, ...]:
        return (self.payer, self.payee, self.amount, self.valid_after, self.valid_before, self.nonce)


@dataclass(frozen=True)
class World:
    """A fresh chain with the token on it, and a payer who has 10 USDC."""

    rpc_url: str
    token: Any
    owner: str
    payer: Any
    payee: str

    def terms(self) -> Terms:
        return Terms(self.payer.address, self.payee, 1_000_000, 0, self.now() + 1000, secrets.token_bytes(32))

    def now(self) -> int:
        return int(connect(self.rpc_url).eth.get_block("latest")["timestamp"])

    def sign(self, kind: str, fields: list[tuple[str, str]], values: tuple[Any, ...]) -> tuple[Any, ...]:
        message = {name: value for (name, _), value in zip(fields, values, strict=True)}
        domain = {
            "name": "USD Coin",
            "version": "2",
            "chainId": 31337,
            "verifyingContract": self.token.address,
        }
        types = {kind: fields, "EIP712Domain": DOMAIN}
        signed = Account.sign_typed_data(
            self.payer.key,
            full_message={
                "types": {name: [{"name": n, "type": t} for n, t in parts] for name, parts in types.items()},
                "primaryType": kind,
                "domain": domain,
                "message": message,
            },
        )
        return signed.v, signed.r.to_bytes(32), signed.s.to_bytes(32)

    def transfer(self, terms: Terms, signature: tuple[Any, ...] | None = None) -> Any:
        signature = signature or self.sign("TransferWithAuthorization", TERMS, terms.values())
        call = self.token.functions.transferWithAuthorization(*terms.values(), *signature)
        digest = call.transact({"from": self.owner})
        return connect(self.rpc_url).eth.wait_for_transaction_receipt(digest)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with anvil() as chain:
        owner, payee = chain.accounts[0].address, chain.accounts[1].address
        asset, fresh = deploy_usdc(chain.rpc_url, owner)
        assert fresh
        assert deploy_usdc(chain.rpc_url, owner) == (asset, False)
        payer = Account.create()
        mint(chain.rpc_url, asset, payer.address, 10_000_000)
        token = connect(chain.rpc_url).eth.contract(address=Web3.to_checksum_address(asset), abi=contracts.load().abi)
        yield World(chain.rpc_url, token, owner, payer, payee)


def refuses(reason: str) -> Any:
    return pytest.raises(ContractLogicError, match=reason)


def test_the_committed_artifact_is_what_the_source_compiles_to() -> None:
    assert contracts.compile_source().to_json() + "\n" == contracts.ARTIFACT.read_text()


def test_it_names_itself(world: World) -> None:
    answers = [getattr(world.token.functions, name)().call() for name in ("name", "symbol", "version", "decimals")]
    assert answers == ["USD Coin", "USDC", "2", 6]


def test_an_authorization_pays_once(world: World) -> None:
    terms = world.terms()
    before = world.token.functions.balanceOf(world.payee).call()
    receipt = world.transfer(terms)
    assert world.token.functions.balanceOf(world.payee).call() == before + terms.amount
    assert world.token.functions.authorizationState(terms.payer, terms.nonce).call() is True
    [used] = world.token.events.AuthorizationUsed().process_receipt(receipt, errors=DISCARD)
    assert (used.args.authorizer, used.args.nonce) == (terms.payer, terms.nonce)
    [moved] = world.token.events.Transfer().process_receipt(receipt, errors=DISCARD)
    assert (moved.args.sender, moved.args.receiver, moved.args.amount) == (
        terms.payer,
        terms.payee,
        terms.amount,
    )
    with refuses("FiatTokenV2: authorization is used or canceled"):
        world.transfer(terms)


def test_its_bounds_are_strict(world: World) -> None:
    with refuses("FiatTokenV2: authorization is expired"):
        world.transfer(replace(world.terms(), valid_before=world.now()))
    with refuses("FiatTokenV2: authorization is not yet valid"):
        world.transfer(replace(world.terms(), valid_after=world.now() + 60))
    short = replace(world.terms(), valid_before=world.now() + 100)
    signature = world.sign("TransferWithAuthorization", TERMS, short.values())
    advance_time(world.rpc_url, 101)
    with refuses("FiatTokenV2: authorization is expired"):
        world.transfer(short, signature)


def test_signatures_are_checked(world: World) -> None:
    terms = world.terms()
    v, r, s = world.sign("TransferWithAuthorization", TERMS, terms.values())
    with refuses("FiatTokenV2: invalid signature"):
        world.transfer(replace(terms, amount=terms.amount + 1), (v, r, s))
    with refuses("FiatTokenV2: invalid signature"):
        world.transfer(replace(terms, payer=world.payee), (v, r, s))
    with refuses("ECRecover: invalid signature 's' value"):
        world.transfer(terms, (55 - v, r, (ORDER - int.from_bytes(s)).to_bytes(32)))
    with refuses("ECRecover: invalid signature 'v' value"):
        world.transfer(terms, (v - 27, r, s))
    with refuses("ECRecover: invalid signature"):
        world.transfer(terms, (v, bytes(32), s))


def test_there_must_be_money_and_somebody_to_have_it(world: World) -> None:
    with refuses("ERC20: transfer amount exceeds balance"):
        world.transfer(replace(world.terms(), amount=10**12))
    with refuses("ERC20: transfer to the zero address"):
        world.transfer(replace(world.terms(), payee="0x" + "00" * 20))


def test_only_the_payee_receives(world: World) -> None:
    terms = world.terms()
    signature = world.sign("ReceiveWithAuthorization", TERMS, terms.values())
    call = world.token.functions.receiveWithAuthorization(*terms.values(), *signature)
    with refuses("FiatTokenV2: caller must be the payee"):
        call.transact({"from": world.owner})
    call.transact({"from": world.payee})
    assert world.token.functions.authorizationState(terms.payer, terms.nonce).call() is True


def test_a_canceled_authorization_never_pays(world: World) -> None:
    terms = world.terms()
    cancel = [("authorizer", "address"), ("nonce", BYTES32)]
    signature = world.sign("CancelAuthorization", cancel, (terms.payer, terms.nonce))
    call = world.token.functions.cancelAuthorization(terms.payer, terms.nonce, *signature)
    call.transact({"from": world.owner})
    with refuses("FiatTokenV2: authorization is used or canceled"):
        world.transfer(terms)
    with refuses("FiatTokenV2: authorization is used or canceled"):
        call.transact({"from": world.owner})


def test_only_the_owner_mints(world: World) -> None:
    with refuses("caller is not a minter"):
        world.token.functions.mint(world.payee, 1).transact({"from": world.payee})


def test_allowances_are_those_of_erc20(world: World) -> None:
    functions = world.token.functions
    mint(world.rpc_url, world.token.address, world.payee, 100)
    functions.approve(world.owner, 60).transact({"from": world.payee})
    functions.transferFrom(world.payee, world.payer.address, 50).transact({"from": world.owner})
    assert functions.allowance(world.payee, world.owner).call() == 10
    with refuses("ERC20: transfer amount exceeds allowance"):
        functions.transferFrom(world.payee, world.payer.address, 50).transact({"from": world.owner})
