"""The hand-off: the programs, and the messages between them."""

from draw import Picture


def picture() -> Picture:
    drawn = Picture(
        940,
        350,
        "The workflow schedules an Activity. The server gives attempt 1 to the worker. The worker starts the "
        "process with the task token and returns without completing the Activity. The process sends "
        "heartbeats, gets signals, and completes the Activity. The workflow gets the result.",
    )
    drawn.labelled_box((12, 60), (150, 84), "Workflow", "schedules\nthe Activity")
    drawn.labelled_box(
        (300, 24),
        (170, 156),
        "Temporal Server",
        "keeps the details,\nenforces the timeouts",
        fill="blue-fill",
        edge="blue",
    )
    drawn.labelled_box((690, 24), (238, 92), "Parent: the worker", "any Temporal SDK\nits Activity is a few lines")
    drawn.labelled_box(
        (690, 226),
        (238, 100),
        "Child: your process",
        "any language, with this library\nno SDK, no worker",
        fill="green-fill",
        edge="green",
    )

    arrow(drawn, "1", (162, 84), (300, 84), "schedule")
    arrow(drawn, "2", (470, 48), (690, 48), "attempt 1, its token")
    arrow(drawn, "4", (690, 96), (470, 96), "returns, not completed")
    drawn.line([(809, 116), (809, 226)], arrow=True, width=2)
    drawn.badge((809, 146), "3")
    drawn.text((797, 178), "starts, with the token,", size=13.5, anchor="end")
    drawn.text((797, 196), "the details, the timeouts", size=13.5, anchor="end")
    drawn.line([(690, 262), (440, 262), (440, 180)], color="green", width=2, arrow=True)
    drawn.badge((640, 262), "5", "green")
    drawn.text((618, 252), "heartbeats with details", size=13.5, anchor="end", color="green")
    drawn.text((618, 283), "answered with signals", size=13.5, anchor="end", color="muted")
    drawn.line([(690, 300), (350, 300), (350, 180)], color="green", width=2, arrow=True)
    drawn.badge((640, 300), "6", "green")
    drawn.text((618, 320), "complete, fail, or report_cancelled", size=13.5, anchor="end", color="green")
    arrow(drawn, "7", (300, 124), (162, 124), "result")
    return drawn


def arrow(drawn: Picture, number: str, start: tuple[float, float], end: tuple[float, float], label: str) -> None:
    drawn.line([start, end], arrow=True, width=2)
    middle = (start[0] + end[0]) / 2
    drawn.badge((min(start[0], end[0]) + 26, start[1]), number)
    drawn.text((middle + 18, start[1] - 9), label, size=13.5, anchor="middle")
