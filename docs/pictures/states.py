"""The states of an open activity, and the signals by which the program sees them."""

from draw import Picture

MAIN, MAIN_WIDTH = 166, 550
ROW = 218


def picture() -> Picture:
    drawn = Picture(
        940,
        382,
        "An open activity sends heartbeats. While it is paused, heartbeats continue. Without progress for the "
        "stall timeout, they stop until the next record. Without an acknowledgement for the heartbeat "
        "timeout, the lease is lost until the next one. The program ends the attempt, or the server does.",
    )
    drawn.labelled_box((12, 56), (116, 60), "Opened", fill="blue-fill", edge="blue")
    drawn.line([(128, 86), (MAIN, 86)], arrow=True)
    drawn.labelled_box(
        (MAIN, 36),
        (MAIN_WIDTH, 100),
        "Sending heartbeats",
        "the newest record as soon as a heartbeat is due,\nwithout a new record an automatic heartbeat",
        fill="green-fill",
        edge="green",
    )
    waits = (
        ("Paused", "PAUSED", "an operator paused it;\nheartbeats continue", "unpaused"),
        ("Stalled", "STALLED", "nothing recorded for\nthe stall timeout: no\nautomatic heartbeats", "the next\nrecord"),
        (
            "Lease lost",
            "LEASE_LOST",
            "none acknowledged for\nthe heartbeat timeout;\nanother attempt may run",
            "the next\nheartbeat",
        ),
    )
    for number, (title, signal, when, until) in enumerate(waits):
        x = MAIN + 6 + number * 184
        drawn.box((x, ROW), (170, 60), fill="amber-fill", edge="amber")
        drawn.text((x + 85, ROW + 26), title, anchor="middle", bold=True)
        drawn.text((x + 85, ROW + 46), signal, anchor="middle", size=13, color="amber", mono=True)
        drawn.line([(x + 26, 136), (x + 26, ROW)], arrow=True, color="amber", width=2)
        drawn.line([(x + 70, ROW), (x + 70, 136)], arrow=True, color="green", width=2)
        drawn.text((x + 78, 172), until, size=13, color="green")
        drawn.text((x + 85, ROW + 82), when, anchor="middle", size=13.5, color="muted")

    ends = (
        (20, "Ended", "by the program", "complete, fail,\nreport_cancelled", "blue"),
        (152, "Gone", "by the server", "timed out, reset,\nended elsewhere", "red"),
    )
    for y, title, who, how, color in ends:
        drawn.labelled_box((764, y), (160, 92), title, f"{who}:\n{how}", fill=f"{color}-fill", edge=color)
    drawn.line([(MAIN + MAIN_WIDTH, 66), (764, 66)], arrow=True)
    drawn.line([(MAIN + MAIN_WIDTH, 106), (740, 106), (740, 198), (764, 198)], arrow=True)
    drawn.text((844, 264), "GONE", anchor="middle", size=13, color="red", mono=True)
    return drawn
