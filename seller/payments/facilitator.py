"""Our own facilitator: the SDK's, whose way to the chain is a lean client of the node."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import EncodingError
from eth_utils.abi import collapse_if_tuple
from x402 import x402FacilitatorSync
from x402.mechanisms.evm import FacilitatorWeb3Signer
from x402.mechanisms.evm.constants import FUNCTION_TRANSFER_WITH_AUTHORIZATION, TRANSFER_WITH_AUTHORIZATION_VRS_ABI
from x402.mechanisms.evm.data_suffix import append_data_suffix
from x402.mechanisms.evm.exact.facilitator import ExactEvmScheme, ExactEvmSchemeConfig
from x402.mechanisms.evm.multicall import encode_contract_call
from x402.mechanisms.evm.types import TransactionReceipt
from x402.schemas import PaymentRequirements

from seller.locks import Lock, ThreadLock
from seller.payments.market import GAS_PRICE_MAX
from seller.payments.node import Call, Node, NodeError
from seller.payments.numbering import SENDING_NUMBERS, next_number
from seller.payments.payment import Payment

Abi = list[dict[str, Any]]
CONFIRMATION_TIMEOUT_S = 15.0
"""Below the 30 s or so that buyers wait for an answer: a late receipt is then 503, not a cut connection."""
POLL_FIRST_S, POLL_MAX_S = 0.02, 0.5
"""Between looks for a receipt: each twice the one before, up to the second."""
SIGNATURE_BYTES = 65
FRESH_S = 5.0
"""How old the price of gas may be when the turn to send comes. It is asked before: others wait for that turn."""


class Signer(FacilitatorWeb3Signer):
    """Sends one transaction at a time, and survives one that could not be sent. Its methods raise NodeAway, NodeError.

    What is rare is the SDK's own, over web3.py: a contract's signature of typed data. sending: the turn to send, of all
    who do with this key, and what numbering.py keeps; of this process by default. monotonic: its clock, in seconds.
    gas_price_max: wei, above which it sends nothing, whatever the node says that gas costs.
    """

    def __init__(
        self,
        node: Node,
        chain_id: int,
        private_key: str,
        sending: Lock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        gas_price_max: int = GAS_PRICE_MAX,
    ) -> None:
        super().__init__(private_key, node.url, confirmation_timeout_seconds=CONFIRMATION_TIMEOUT_S)
        self._node, self._chain_id = node, chain_id
        self._monotonic, self._sending = monotonic, sending or ThreadLock(SENDING_NUMBERS)
        self._gas_price_max = gas_price_max

    def transfer(self, payment: Payment, offer: PaymentRequirements) -> Call | None:
        """The call that would settle an ordinary payment, one by an account without code; None for others."""
        exact = payment.payload.payload
        terms, signature = exact["authorization"], bytes.fromhex(exact["signature"][2:])
        if exact.keys() != {"authorization", "signature"} or len(signature) != SIGNATURE_BYTES:
            return None
        arguments = (
            *(terms["from"], terms["to"], int(terms["value"])),
            *(int(terms["validAfter"]), int(terms["validBefore"]), bytes.fromhex(terms["nonce"][2:])),
            *(signature[64] + (27 if signature[64] < 2 else 0), signature[:32], signature[32:64]),
        )
        abi, name = TRANSFER_WITH_AUTHORIZATION_VRS_ABI, FUNCTION_TRANSFER_WITH_AUTHORIZATION
        try:
            return self._call(offer.asset, abi, name, arguments)
        except EncodingError:
            return None  # no number or address that a contract takes: the verification will say so

    def reads(self, payment: Payment, offer: PaymentRequirements) -> list[Call]:
        """What a verification of this payment asks, as far as it is known before."""
        transfer = self.transfer(payment, offer)
        return [_code(payment.authorization.payer), *([transfer] if transfer else [])]

    def terms(self) -> list[Call]:
        """What is asked before a transaction is sent."""
        return [Call("eth_getTransactionCount", (self.address, "pending")), Call("eth_gasPrice")]

    def gas_problem(self) -> str:
        """Why it can send nothing, in words for the operator; "" where it can."""
        answers = self._node.many([Call("eth_getBalance", (self.address, "latest")), Call("eth_gasPrice")])
        balance, price = (int(answer, 16) for answer in answers)
        if price > self._gas_price_max:
            return f"the node says that gas costs {price} wei, more than payment.max_gas_price"
        due = price * self._gas_limit
        return "" if balance >= due else f"{self.address} has {balance} wei for gas: the next settlement takes {due}"

    def renumber(self) -> None:
        """Takes the next transaction's number from the chain, which has taken one back."""
        with self._sending.hold() as following:
            following[0] = 0

    def get_code(self, address: str) -> bytes:
        (code,) = self._node.many([_code(address)])
        return bytes.fromhex(code[2:])

    def read_contract(self, address: str, abi: Abi, function_name: str, *args: Any) -> Any:
        (answer,) = self._node.many([self._call(address, abi, function_name, args)])
        function = next(entry for entry in abi if entry.get("name") == function_name)
        outputs = [collapse_if_tuple(output) for output in function.get("outputs", [])]
        values = decode(outputs, bytes.fromhex(answer[2:]))
        return values[0] if len(values) == 1 else values

    def write_contract(
        self, address: str, abi: Abi, function_name: str, *args: Any, data_suffix: str | None = None
    ) -> str:
        data = "0x" + encode_contract_call(abi, function_name, *args).hex()
        return self._send(address, append_data_suffix(data, data_suffix) if data_suffix else data)

    def send_transaction(self, to: str, data: bytes) -> str:
        return self._send(to, "0x" + data.hex())

    def wait_for_transaction_receipt(self, tx_hash: str) -> TransactionReceipt:
        """Raises TimeoutError, too."""
        ends_at, wait_s = time.monotonic() + self._confirmation_timeout_seconds, POLL_FIRST_S
        while not (receipt := self._node.call("eth_getTransactionReceipt", tx_hash)):
            if time.monotonic() > ends_at:
                raise TimeoutError(f"no receipt within {self._confirmation_timeout_seconds} s")
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, POLL_MAX_S)
        return TransactionReceipt(
            status=int(receipt["status"], 16),
            block_number=int(receipt["blockNumber"], 16),
            tx_hash=tx_hash,
            logs=list(receipt["logs"]),
        )

    def _send(self, to: str, data: str) -> str:
        """Signs for the chain that is sold on, whatever the node says it is, and sends. Returns the transaction."""
        (count, price), fresh_until = self._node.many(self.terms()), self._monotonic() + FRESH_S
        with self._sending.hold() as following:
            if not following[0] or self._monotonic() > fresh_until:
                count, price = self._node.many(self.terms())
            nonce, replaces = next_number(following, int(count, 16), self._monotonic())
            gas_price = int(price, 16) * 9 // 8 + 1 if replaces else int(price, 16)  # nodes take no other for less
            if gas_price > self._gas_price_max:
                raise NodeError(f"the node says that gas costs {gas_price} wei, more than payment.max_gas_price")
            terms = {"nonce": nonce, "gasPrice": gas_price, "gas": self._gas_limit, "chainId": self._chain_id}
            signed = self._account.sign_transaction({"to": bytes.fromhex(to[2:]), "data": data, "value": 0, **terms})
            tx = str(signed.hash.to_0x_hex())
            # Counted once the node has it. One that is refused, or that a kill kept from the node, was not used: every
            # later transaction would wait behind the gap, so the next asks the chain again.
            following[0] = 0
            self._hand_in(signed.raw_transaction.to_0x_hex(), tx)
            following[0] = nonce + 1
            return tx

    def _hand_in(self, transaction: str, tx: str) -> None:
        """A repetition after a lost answer is refused, by each node in its own words: what it has is on its way."""
        try:
            self._node.call("eth_sendRawTransaction", transaction)
        except NodeError:
            if not self._node.call("eth_getTransactionByHash", tx):
                raise

    def _call(self, address: str, abi: Abi, name: str, arguments: Sequence[Any]) -> Call:
        data = "0x" + encode_contract_call(abi, name, *arguments).hex()
        return Call("eth_call", ({"from": self.address, "to": address.lower(), "data": data}, "latest"))


def _code(address: str) -> Call:
    return Call("eth_getCode", (address.lower(), "latest"))


def facilitator(signer: Signer, network: str) -> x402FacilitatorSync:
    """The SDK's facilitator, which settles by this signer, who pays the gas."""
    own = x402FacilitatorSync()
    own.register([network], ExactEvmScheme(signer, ExactEvmSchemeConfig(simulate_in_settle=True)))
    return own
