"""An order arrives as it was given."""

from __future__ import annotations

from knarr.supervise.messages import Adoption, LogOptions, Order, RestartPolicy


def test_an_order_survives() -> None:
    order = Order(
        "id", "/root", "/run", "/bundle", "/control", {"process": {"args": ["a", "ü"]}},
        rootfs=(("lowerdir+", "/a"), ("upperdir", "/b")), terminal=True, window=(24, 80),
        attach=("stdin", "stdout"), log=LogOptions(max_size=5, attributes=(("a", "b"),)),
        restart=RestartPolicy("on-failure", 3), adopt=Adoption(7, 8), auto_remove=True,
    )  # fmt: skip
    assert Order.decode(order.encode()) == order


def test_defaults_survive() -> None:
    order = Order("id", "/root", "/run", "/bundle", "/control", {})
    assert Order.decode(order.encode()) == order
