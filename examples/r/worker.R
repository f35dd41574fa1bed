# An activity worker in R. Compile worker.c first; its comment says how.
#
#     Rscript worker.R TASK_QUEUE TASKS
#
# Takes tasks from the task queue, does ten steps for each, and ends after this number of tasks. A task continues after the
# last step that a killed worker recorded. The server's address is read from TEMPORAL_ADDRESS.

arguments <- commandArgs(trailingOnly = TRUE)
dyn.load(Sys.getenv("WORKER_SO", "worker.so"))
STEPS <- 10

work_on <- function(task) {
  details <- .Call("heartbeat_details", task)
  last <- if (is.null(details)) 0 else as.integer(details)
  for (step in seq_len(STEPS)) {
    if (step <= last) next
    # ... the work ...
    .Call("heartbeat_record", task, as.character(step))
  }
  .Call("heartbeat_complete", task, sprintf('"%d steps"', STEPS))
}

.Call("heartbeat_connect")
options <- sprintf('{"task_queue": "%s", "max_concurrent": 1, "max_tasks": %s}', arguments[1], arguments[2])
worker <- .Call("heartbeat_worker", options)
cat("running\n")
while (!is.null(task <- .Call("heartbeat_next", worker))) work_on(task)
