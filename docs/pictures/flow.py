"""The flow: one Activity, two processes, and a kill between them."""

from draw import Picture

WORKER, SERVER, PROCESS = 46, 148, 260
# The center of the bars.
LEFT = 196


def picture() -> Picture:
    drawn = Picture(
        940,
        306,
        "A worker launches a process for attempt 1. The process sends heartbeats with its progress, items 1 "
        "to 12, and is killed. After the heartbeat timeout the server starts attempt 2. The worker launches a "
        "process in another language. It gets the saved progress, continues with item 13, and completes the "
        "Activity.",
    )
    lanes = (
        (WORKER, "Worker", "any Temporal SDK"),
        (SERVER, "Temporal Server", "keeps the progress"),
        (PROCESS, "Your process", "any language"),
    )
    for y, title, below in lanes:
        drawn.box((8, y - 38), (924, 78))
        drawn.text((24, y - 2), title, bold=True, size=16)
        drawn.text((24, y + 19), below, color="muted", size=14)

    # The worker starts one process for each attempt.
    for x, label in ((LEFT + 4, "launch with the task token"), (620, "launch again")):
        drawn.line([(x, SERVER - 15), (x, WORKER + 24)], arrow=True)
        drawn.dot((x, WORKER + 14), 5, "line")
        drawn.line([(x + 20, WORKER + 14), (x + 20, PROCESS - 17)], arrow=True)
        drawn.line([(x, WORKER + 14), (x + 20, WORKER + 14)])
        drawn.text((x + 28, WORKER + 19), label, size=14)
        drawn.text((x - 8, WORKER - 14), "the Activity starts", size=13.5, color="muted")

    # The server: the saved progress, and the silence.
    bar(drawn, LEFT, 452, SERVER, "blue", "attempt 1")
    drawn.box((452, SERVER - 15), (164, 30), fill="none", edge="amber", radius=5, dashed=True)
    drawn.text((534, SERVER + 5), "heartbeat timeout", color="amber", size=14, anchor="middle")
    bar(drawn, 616, 872, SERVER, "blue", "attempt 2")
    drawn.text((534, SERVER + 33), "silence; item 12 is saved", color="muted", size=13.5, anchor="middle")

    # The processes, and their heartbeats.
    bar(drawn, 216, 446, PROCESS, "green", "C: items 1 to 12")
    drawn.cross((452, PROCESS))
    drawn.text((464, PROCESS + 5), "killed", color="red", bold=True)
    bar(drawn, 636, 872, PROCESS, "green", "Python: items 13 to 40")
    for x, item in ((276, "1"), (336, "5"), (396, "12"), (740, "20"), (796, "33")):
        drawn.line([(x, PROCESS - 15), (x, SERVER + 17)], color="green", width=2, arrow=True)
        drawn.text((x + 6, PROCESS - 50), item, size=14, color="green", bold=True)
    drawn.text((216, PROCESS + 34), "heartbeats carry the progress", size=13.5, color="green")

    # The next process continues, and ends the Activity.
    drawn.line([(680, SERVER + 15), (680, PROCESS - 17)], color="blue", width=2, arrow=True)
    drawn.text((686, PROCESS - 50), "12", size=14, color="blue", bold=True)
    drawn.text((636, PROCESS + 34), "continues with item 13", size=13.5, color="blue")
    drawn.line([(862, PROCESS - 15), (862, SERVER + 17)], color="green", width=2, arrow=True)
    drawn.text((868, PROCESS - 50), "result", size=14, color="green", bold=True)
    drawn.text((882, SERVER + 5), "done", color="blue", bold=True)
    return drawn


def bar(drawn: Picture, start: float, end: float, y: float, color: str, label: str) -> None:
    drawn.box((start, y - 15), (end - start, 30), fill=f"{color}-fill", edge=color, radius=5)
    drawn.text(((start + end) / 2, y + 5), label, anchor="middle", size=14)
