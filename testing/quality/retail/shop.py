"""A shop's orders, and the tools of its support: each reads or changes the data, or says what the shop's rules forbid.

The data and the tools have the form of tau-bench's retail domain, so that its tasks can be read too.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool

from qwendesk.tools.toolbox import risky

CHANGES = (
    "cancel_pending_order",
    "modify_pending_order_address",
    "modify_pending_order_items",
    "modify_pending_order_payment",
    "modify_user_address",
    "return_delivered_order_items",
    "exchange_delivered_order_items",
)
"""Tools that change the data."""
IDENTIFY = ("find_user_id_by_email", "find_user_id_by_name_zip")
"""Tools that find the customer."""
_REASONS = ("no longer needed", "ordered by mistake")
_ADDRESS = ("address1", "address2", "city", "state", "country", "zip")
_MAX_EXPRESSION = 120
_MODIFIED = "pending (items modified)"
Data = dict[str, Any]


class RuleBroken(Exception):
    """A call names something that does not exist, or that the rules forbid."""


class RetailShop:
    """A copy of the shop's data for one conversation.

    Args:
        data: products, users and orders by their ids.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.products: Data = data["products"]
        self.users: Data = copy.deepcopy(data["users"])
        self.orders: Data = copy.deepcopy(data["orders"])

    @property
    def state(self) -> Data:
        """What calls can change."""
        return {"users": self.users, "orders": self.orders}

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Run a tool and return its result; a call that is wrong changes nothing and returns an error."""
        if name not in _TOOLS:
            return f"Error: there is no tool {name!r}."
        try:
            done = getattr(self, name)(**arguments)
        except RuleBroken as error:
            return f"Error: {error}."
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            return f"Error: the arguments of {name} are wrong ({error})."
        return done if isinstance(done, str) else json.dumps(done, ensure_ascii=False)

    def tools(self) -> list[BaseTool]:
        """Return the tools for a model; those that change data are marked as risky."""
        return [self._tool(name) for name in _TOOLS]

    def _tool(self, name: str) -> BaseTool:
        description, parameters = _TOOLS[name]

        async def run(**arguments: Any) -> str:
            return self.call(name, arguments)

        schema = {
            "type": "object",
            "properties": {key: _parameter(key, meaning) for key, meaning in parameters.items()},
            "required": list(parameters),
        }
        tool = StructuredTool(name=name, description=description, args_schema=schema, coroutine=run)
        return risky(tool) if name in CHANGES else tool

    def find_user_id_by_email(self, email: str) -> str:
        """Return the id of the customer with an e-mail address."""
        return self._user_where(lambda user: user["email"].casefold() == email.strip().casefold())

    def find_user_id_by_name_zip(self, first_name: str, last_name: str, zip: str) -> str:
        """Return the id of the customer with a name and postcode."""
        wanted = (first_name.strip().casefold(), last_name.strip().casefold(), zip.strip())
        return self._user_where(lambda user: _name_and_zip(user) == wanted)

    def get_user_details(self, user_id: str) -> Data:
        """Return a customer's profile."""
        return dict(self._user(user_id))

    def get_order_details(self, order_id: str) -> Data:
        """Return an order."""
        return dict(self._order(order_id))

    def get_product_details(self, product_id: str) -> Data:
        """Return a product with its variants."""
        if product_id not in self.products:
            raise RuleBroken(f"there is no product {product_id!r}")
        return dict(self.products[product_id])

    def list_all_product_types(self) -> Data:
        """Return the ids of all products by name."""
        return {product["name"]: product_id for product_id, product in self.products.items()}

    def cancel_pending_order(self, order_id: str, reason: str) -> Data:
        """Cancel an order and refund it."""
        order = self._pending(order_id)
        if reason not in _REASONS:
            raise RuleBroken(f"the reason has to be one of {', '.join(map(repr, _REASONS))}")
        paid = order["payment_history"]
        refunds = [{**payment, "transaction_type": "refund"} for payment in paid]
        for refund in refunds:
            self._credit(order["user_id"], refund["payment_method_id"], refund["amount"])
        order.update(status="cancelled", cancel_reason=reason, payment_history=[*paid, *refunds])
        return dict(order)

    def modify_pending_order_address(self, order_id: str, **address: str) -> Data:
        """Change where an order is sent to."""
        order = self._pending(order_id)
        order["address"] = _address(address)
        return dict(order)

    def modify_user_address(self, user_id: str, **address: str) -> Data:
        """Change a customer's usual address."""
        user = self._user(user_id)
        user["address"] = _address(address)
        return dict(user)

    def modify_pending_order_payment(self, order_id: str, payment_method_id: str) -> Data:
        """Let an order be paid in another way."""
        order = self._pending(order_id)
        first = order["payment_history"][0]
        if len(order["payment_history"]) > 1 or first["payment_method_id"] == payment_method_id:
            raise RuleBroken("the payment can be changed once, to another method")
        self._debit(order["user_id"], payment_method_id, first["amount"])
        self._credit(order["user_id"], first["payment_method_id"], first["amount"])
        order["payment_history"] += [
            {"transaction_type": "payment", "amount": first["amount"], "payment_method_id": payment_method_id},
            {**first, "transaction_type": "refund"},
        ]
        return dict(order)

    def modify_pending_order_items(
        self, order_id: str, item_ids: Sequence[str], new_item_ids: Sequence[str], payment_method_id: str
    ) -> Data:
        """Change items of an order to other variants of the same products."""
        order = self._pending(order_id)
        pairs = self._variants(order, item_ids, new_item_ids)
        difference = _difference(pairs)
        self._settle(order["user_id"], payment_method_id, difference)
        for item, variant in pairs:
            item.update(item_id=variant["item_id"], price=variant["price"], options=variant["options"])
        order["payment_history"].append(
            {
                "transaction_type": "payment" if difference > 0 else "refund",
                "amount": abs(difference),
                "payment_method_id": payment_method_id,
            }
        )
        order["status"] = _MODIFIED
        return dict(order)

    def return_delivered_order_items(self, order_id: str, item_ids: Sequence[str], payment_method_id: str) -> Data:
        """Take items of an order back."""
        order = self._delivered(order_id)
        self._items(order, item_ids)
        method = self._payment(order["user_id"], payment_method_id)
        if method["source"] != "gift_card" and payment_method_id != order["payment_history"][0]["payment_method_id"]:
            raise RuleBroken("a refund goes to the original payment method or to a gift card")
        order.update(
            status="return requested", return_items=sorted(item_ids), return_payment_method_id=payment_method_id
        )
        return dict(order)

    def exchange_delivered_order_items(
        self, order_id: str, item_ids: Sequence[str], new_item_ids: Sequence[str], payment_method_id: str
    ) -> Data:
        """Exchange items of an order for other variants of the same products."""
        order = self._delivered(order_id)
        difference = _difference(self._variants(order, item_ids, new_item_ids))
        method = self._payment(order["user_id"], payment_method_id)
        if method["source"] == "gift_card" and method["balance"] < difference:
            raise RuleBroken("the gift card has not enough balance")
        order.update(
            status="exchange requested",
            exchange_items=sorted(item_ids),
            exchange_new_items=sorted(new_item_ids),
            exchange_payment_method_id=payment_method_id,
            exchange_price_difference=difference,
        )
        return dict(order)

    def calculate(self, expression: str) -> str:
        """Return the value of a sum of numbers, as far as it is one of plain arithmetic."""
        # no powers: their results may be too long to be computed
        if not set(expression) <= set("0123456789+-*/(). ") or "**" in expression or len(expression) > _MAX_EXPRESSION:
            raise RuleBroken("only short sums of numbers with + - * / ( ) can be calculated")
        from sympy import sympify

        return str(round(float(sympify(expression)), 2))

    def transfer_to_human_agents(self, summary: str) -> str:
        """Pass the conversation on."""
        return "A colleague takes over."

    def _user_where(self, holds: Callable[[Data], bool]) -> str:
        found = [user_id for user_id, user in self.users.items() if holds(user)]
        if len(found) != 1:
            raise RuleBroken("no customer was found")
        return str(found[0])

    def _user(self, user_id: str) -> Data:
        if user_id not in self.users:
            raise RuleBroken(f"there is no customer {user_id!r}")
        user: Data = self.users[user_id]
        return user

    def _order(self, order_id: str) -> Data:
        if order_id not in self.orders:
            raise RuleBroken(f"there is no order {order_id!r} (ids begin with '#')")
        order: Data = self.orders[order_id]
        return order

    def _pending(self, order_id: str) -> Data:
        order = self._order(order_id)
        if order["status"] != "pending":
            raise RuleBroken(f"the order is {order['status']}, and only pending orders can be changed")
        return order

    def _delivered(self, order_id: str) -> Data:
        order = self._order(order_id)
        if order["status"] != "delivered":
            raise RuleBroken(f"the order is {order['status']}, and only delivered orders can be returned or exchanged")
        return order

    def _items(self, order: Data, item_ids: Sequence[str]) -> list[Data]:
        left = list(order["items"])
        found = []
        for item_id in item_ids:
            item = next((one for one in left if one["item_id"] == item_id), None)
            if item is None:
                raise RuleBroken(f"the order has no item {item_id!r}")
            left.remove(item)
            found.append(item)
        if not found:
            raise RuleBroken("no item is named")
        return found

    def _variants(self, order: Data, item_ids: Sequence[str], new_item_ids: Sequence[str]) -> list[tuple[Data, Data]]:
        if len(item_ids) != len(new_item_ids):
            raise RuleBroken("each item needs one new item")
        pairs = []
        for item, new_id in zip(self._items(order, item_ids), new_item_ids, strict=True):
            variant = self.products[item["product_id"]]["variants"].get(new_id)
            if variant is None or not variant["available"]:
                raise RuleBroken(f"the item {new_id!r} is no available variant of {item['name']}")
            pairs.append((item, variant))
        return pairs

    def _payment(self, user_id: str, payment_method_id: str) -> Data:
        method: Data | None = self._user(user_id)["payment_methods"].get(payment_method_id)
        if method is None:
            raise RuleBroken(f"the customer has no payment method {payment_method_id!r}")
        return method

    def _debit(self, user_id: str, payment_method_id: str, amount: float) -> None:
        method = self._payment(user_id, payment_method_id)
        if method["source"] == "gift_card":
            if method["balance"] < amount:
                raise RuleBroken("the gift card has not enough balance")
            method["balance"] = round(method["balance"] - amount, 2)

    def _credit(self, user_id: str, payment_method_id: str, amount: float) -> None:
        method = self._user(user_id)["payment_methods"].get(payment_method_id)
        if method and method["source"] == "gift_card":
            method["balance"] = round(method["balance"] + amount, 2)

    def _settle(self, user_id: str, payment_method_id: str, difference: float) -> None:
        if difference > 0:
            self._debit(user_id, payment_method_id, difference)
        else:
            self._payment(user_id, payment_method_id)
            self._credit(user_id, payment_method_id, -difference)


def _name_and_zip(user: Data) -> tuple[str, str, str]:
    name = user["name"]
    return name["first_name"].casefold(), name["last_name"].casefold(), user["address"]["zip"]


def _difference(pairs: Sequence[tuple[Data, Data]]) -> float:
    return round(float(sum(variant["price"] - item["price"] for item, variant in pairs)), 2)


def _address(given: Mapping[str, str]) -> Data:
    if set(given) != set(_ADDRESS):
        raise RuleBroken(f"an address has {', '.join(_ADDRESS)}")
    return {key: given[key] for key in _ADDRESS}


def _parameter(name: str, meaning: str) -> Data:
    if name.endswith("item_ids"):
        return {"type": "array", "items": {"type": "string"}, "description": meaning}
    return {"type": "string", "description": meaning}


_ORDER = {"order_id": "Number of the order with its sign, such as '#W1001'."}
_USER = {"user_id": "Id of the customer."}
_PAYMENT = {"payment_method_id": "Id of a payment method of the customer."}
_PLACE = {
    "address1": "Street and number.",
    "address2": "Further line; empty if there is none.",
    "city": "City.",
    "state": "State or canton.",
    "country": "Country.",
    "zip": "Postcode.",
}
_OLD_ITEMS = {"item_ids": "Ids of the items of the order."}
_NEW_ITEMS = {"new_item_ids": "Ids of the new items, in the same order."}
_TOOLS: dict[str, tuple[str, dict[str, str]]] = {
    "find_user_id_by_email": ("Find the customer by e-mail address.", {"email": "E-mail address."}),
    "find_user_id_by_name_zip": (
        "Find the customer by name and postcode.",
        {"first_name": "First name.", "last_name": "Last name.", "zip": "Postcode."},
    ),
    "get_user_details": ("Get a customer's profile: address, payment methods, orders.", _USER),
    "get_order_details": ("Get an order: status, items with their ids, payments, tracking.", _ORDER),
    "get_product_details": ("Get a product's variants with price and availability.", {"product_id": "Id."}),
    "list_all_product_types": ("List all products with their ids.", {}),
    "cancel_pending_order": (
        "Cancel a pending order, after the customer has confirmed it.",
        {**_ORDER, "reason": "'no longer needed' or 'ordered by mistake'."},
    ),
    "modify_pending_order_address": ("Change the address of a pending order, once confirmed.", {**_ORDER, **_PLACE}),
    "modify_pending_order_items": (
        "Change items of a pending order to other variants, once confirmed; possible once.",
        {**_ORDER, **_OLD_ITEMS, **_NEW_ITEMS, **_PAYMENT},
    ),
    "modify_pending_order_payment": ("Change the payment of a pending order, once confirmed.", {**_ORDER, **_PAYMENT}),
    "modify_user_address": ("Change the customer's usual address, once confirmed.", {**_USER, **_PLACE}),
    "return_delivered_order_items": (
        "Return items of a delivered order, once confirmed.",
        {**_ORDER, **_OLD_ITEMS, **_PAYMENT},
    ),
    "exchange_delivered_order_items": (
        "Exchange items of a delivered order for other variants, once confirmed; possible once.",
        {**_ORDER, **_OLD_ITEMS, **_NEW_ITEMS, **_PAYMENT},
    ),
    "calculate": ("Calculate with numbers.", {"expression": "Such as '12.50 + 3'."}),
    "transfer_to_human_agents": ("Pass the customer to a colleague.", {"summary": "What the customer wants."}),
}
"""Description and parameters of each tool."""
