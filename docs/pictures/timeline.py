"""Throttle, lease and automatic heartbeats of an activity with a heartbeat timeout of 10 s, on one scale."""

from draw import Picture

LEFT, SECOND = 176, 18.4
RECORDS, HEARTBEATS, LEASE = 62, 138, 232
END = 40
TIMEOUT = 10


def picture() -> Picture:
    drawn = Picture(
        940,
        330,
        "With a heartbeat timeout of 10 s, the library sends at most one heartbeat in 5 s, each with the "
        "newest record. Without new records, it sends automatic heartbeats with the last one. Each "
        "acknowledged heartbeat renews the lease for 10 s. If the server can't be reached for 10 s, the lease "
        "is lost, until a heartbeat is acknowledged.",
    )
    for second in range(0, END + 1, 5):
        drawn.line([(x(second), 34), (x(second), 286)], color="edge", width=1)
        drawn.text((x(second), 306), f"{second} s", anchor="middle", size=13.5, color="muted")
    rows = (
        (RECORDS, "Records", "an item per second"),
        (HEARTBEATS, "Heartbeats", "at most one in 5 s"),
        (LEASE, "Lease", "10 s, the timeout"),
    )
    for y, title, below in rows:
        drawn.text((12, y), title, bold=True)
        drawn.text((12, y + 19), below, size=13.5, color="muted")

    for second in range(TIMEOUT + 1):
        drawn.dot((x(second), RECORDS), 4, "green")
    drawn.text((x(0), RECORDS - 14), "1", size=13, anchor="middle", color="green")
    drawn.text((x(10), RECORDS - 14), "11", size=13, anchor="middle", color="green")
    drawn.text((x(10) + 14, RECORDS + 5), "a long computation: no record, until the end", size=13.5, color="muted")

    drawn.box((x(22), HEARTBEATS - 26), (x(36) - x(22), 64), fill="red-fill", edge="red", radius=5, dashed=True)
    drawn.text(
        ((x(22) + x(36)) / 2, HEARTBEATS + 30), "the server can't be reached", size=13.5, anchor="middle", color="red"
    )
    for second, item, is_new in (
        (0, "1", True),
        (5, "6", True),
        (10, "11", True),
        (15, "11", False),
        (20, "11", False),
    ):
        heartbeat(drawn, second, item, is_new)
    for second in (25, 28, 31, 34):
        drawn.cross((x(second), HEARTBEATS), size=5)
    heartbeat(drawn, 37, "11", False)
    drawn.text((x(2.5), HEARTBEATS + 30), "the newest", size=13.5, anchor="middle", color="green")
    drawn.text((x(2.5), HEARTBEATS + 47), "record", size=13.5, anchor="middle", color="green")
    drawn.text((x(17.5), HEARTBEATS + 36), "automatic", size=13.5, anchor="middle", color="blue")

    drawn.box((x(0), LEASE - 20), (x(30) - x(0), 30), fill="green-fill", edge="green", radius=5)
    drawn.text((x(10), LEASE), "each acknowledgement renews it", size=14, anchor="middle")
    drawn.box((x(30), LEASE - 20), (x(37) - x(30), 30), fill="amber-fill", edge="amber", radius=5)
    drawn.text((x(33.5), LEASE), "LEASE_LOST", size=13, anchor="middle", color="amber", mono=True)
    drawn.box((x(37), LEASE - 20), (x(END) - x(37), 30), fill="green-fill", edge="green", radius=5)
    drawn.line([(x(20), LEASE + 26), (x(30), LEASE + 26)], color="green", arrow=True)
    drawn.line([(x(30), LEASE + 26), (x(20), LEASE + 26)], color="green", arrow=True)
    drawn.text((x(25), LEASE + 46), "10 s after the last one", size=13.5, anchor="middle", color="green")
    return drawn


def x(second: float) -> float:
    return LEFT + second * SECOND


def heartbeat(drawn: Picture, second: float, item: str, is_new: bool) -> None:
    """Draws a heartbeat with the record that it carries, and the lease that its acknowledgement renews."""
    color = "green" if is_new else "blue"
    drawn.line([(x(second), HEARTBEATS + 12), (x(second), LEASE - 20)], color=color, arrow=True)
    drawn.badge((x(second), HEARTBEATS), item, color)
