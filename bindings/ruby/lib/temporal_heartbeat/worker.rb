# frozen_string_literal: true

module TemporalHeartbeat
  # One attempt of an activity, which a Worker has taken. Its activity is open and heartbeats.
  class Task
    # activity: the open Activity. activity_type: what to do. input: the arguments, as Details. details: what the previous
    # attempt recorded. token: the task token. info: facts about the attempt, with the keys of thb_task_info.
    attr_reader :activity, :activity_type, :input, :details, :token, :info

    def initialize(pointer)
      @activity = Activity.adopt(Library.raw(:thb_task_activity, pointer))
      @activity_type = Library.string(:thb_task_activity_type, pointer)
      @input = Details.new(Library.raw(:thb_task_input, pointer))
      @details = Details.new(Library.raw(:thb_task_details, pointer))
      @token = Library.bytes(:thb_task_token, pointer)
      @info = JSON.parse(Library.string(:thb_task_info, pointer))
    end
  end

  # An activity worker: takes tasks from a task queue, without an SDK. Connect first. Any thread may call any method.
  class Worker
    # The longest wait in one call of the library, so that Ctrl-C soon ends the wait.
    WAIT_SECONDS = 0.2

    # Opens a worker, which polls at once. The options are those of thb_worker_open.
    def initialize(task_queue, max_concurrent: 1, **options)
      handle = Library.output
      Library.call(:thb_worker_open, *Values.options({ task_queue: task_queue, max_concurrent: max_concurrent, **options }), handle)
      @handle = Library.uint64(handle)
    end

    # Yields each task until the worker is shut down. An error of the block fails the attempt, as with Activity.open, and the
    # worker continues. To work on several tasks at once, call it in several threads, and set max_concurrent.
    def run
      while (task = self.next)
        begin
          task.activity.run { yield task }
        rescue *Activity::ERRORS => error
          warn("#{task.activity_type}: #{error.message}")
        end
      end
    end

    # Returns the next task; nil if the worker was shut down, and all its tasks were taken. The caller closes its activity.
    def next
      loop do
        task = Library.output
        Library.call_blocking(:thb_worker_next, @handle, Library.milliseconds(WAIT_SECONDS), task)
        next if task.ptr.null?

        begin
          return Task.new(task.ptr)
        ensure
          Library.raw(:thb_task_free, task.ptr)
        end
      end
    rescue EndedError
      nil
    end

    # Stops polling, and waits until no poll is in progress. After that `next` returns the tasks that have arrived.
    def shutdown(timeout: 30) = Library.call_blocking(:thb_worker_shutdown, @handle, Library.milliseconds(timeout))

    # Closes the worker. Tasks that weren't taken fail as retryable.
    def close(timeout: 10) = Library.call_blocking(:thb_worker_close, @handle, Library.milliseconds(timeout))
  end
end
