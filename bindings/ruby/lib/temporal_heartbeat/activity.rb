# frozen_string_literal: true

module TemporalHeartbeat
  # The signals after which the work should stop.
  STOP_SIGNALS = SIGNALS.values_at(:CANCEL_REQUESTED, :RESET, :GONE, :LEASE_LOST).sum

  # An open activity: the library sends its heartbeats in the background, even while Ruby's threads are busy. A token has at
  # most one. Opening never waits for the server. Any thread may call any method. Times are seconds.
  class Activity
    # The errors of a block that fail the attempt. The others end the program, for example SystemExit.
    ERRORS = [StandardError, ScriptError, SystemStackError].freeze
    WHILE_PAUSED = STOP_SIGNALS | SIGNALS[:PAUSED]
    ALL_SIGNALS = 0xffff_ffff
    # The longest wait in one call of the library, so that Ctrl-C soon ends the wait.
    WAIT_SECONDS = 0.2

    @is_exiting = false
    # At the exit the library itself sends the recorded details.
    at_exit { @is_exiting = true }

    class << self
      # Opens the activity of a token, or, without one, of the ids in the options. With a block it runs the work.
      def open(token = nil, **options, &)
        activity = new(token, **options)
        block_given? ? activity.run(&) : activity
      end

      # Opens the activity that the parent process handed over in the environment.
      def from_env(**options, &) = self.open(nil, **options, from_env: true, &)

      # Takes ownership of the handle of an open activity.
      def adopt(handle) = allocate.tap { |activity| activity.send(:own, handle) }

      # Returns what is called when an object is collected that wasn't closed. Otherwise the library would heartbeat for
      # abandoned work.
      def closer(handle)
        proc do
          unless @is_exiting
            warn("an Activity was not closed: its heartbeats stop, and details that are not sent yet are lost")
            Library.raw(:thb_activity_close, handle, 0, nil)
          end
        end
      end
    end

    def initialize(token = nil, close_timeout: 10, fail_on_error: true, initial_details: nil, **options)
      options[:initial_details] = initial_details.none? ? "" : Values.base64(initial_details) if initial_details
      handle = Library.output
      Library.call(:thb_activity_open, *Values.token(token), *Values.options(options), handle)
      own(Library.uint64(handle), close_timeout, fail_on_error)
    end

    # Returns the Details that were recorded before this attempt. Call it before the first `heartbeat`.
    def details(timeout: 10) = Details.read(:thb_activity_get_details, @handle, Library.milliseconds(timeout))

    # Records progress, and returns the signals. Never waits. Without details it is `touch`.
    def heartbeat(*details)
      return touch if details.empty?

      call_for_signals(:thb_activity_heartbeat, *Values.encoded_all(details))
    end

    # Reports that the work continues, and returns the signals.
    def touch = call_for_signals(:thb_activity_touch)

    # Sets what the work is doing now; at most 4 KiB. The info shows it, and so does the failure of a stall (the option
    # stall_action). It is no progress. Don't put secrets into it.
    def set_status(text)
      text = text.dup.force_encoding(Encoding::BINARY)
      Library.call(:thb_activity_set_status, @handle, text, text.bytesize)
    end

    def signals = call_for_signals(:thb_activity_get_signals)

    # Returns the state of the activity, with the keys of thb_activity_get_info.
    def info = JSON.parse(Library.text(:thb_activity_get_info, @handle).force_encoding(Encoding::UTF_8))

    # Waits until a signal of the mask differs from the known ones, or the timeout has passed. Returns the signals.
    def wait(mask: ALL_SIGNALS, known: 0, timeout: nil)
      deadline = timeout && (now + timeout)
      loop do
        left = deadline ? [deadline - now, 0].max : WAIT_SECONDS
        milliseconds = Library.milliseconds([left, WAIT_SECONDS].min)
        signals = call_for_signals(:thb_activity_wait, mask, known, milliseconds)
        return signals if (signals ^ known).anybits?(mask) || (deadline && left.zero?)
      end
    end

    # Waits until the activity isn't paused, or the work should stop. The heartbeats continue.
    def wait_while_paused(timeout: nil) = wait(mask: WHILE_PAUSED, known: SIGNALS[:PAUSED], timeout: timeout)

    # Returns the reason of the cancellation after CANCEL_REQUESTED, else of the pause while PAUSED is set, as the request
    # for it contained it. nil without these signals, and if the server hasn't shown it: see the option follow_server.
    def reason
      current = info
      if current["signals"].anybits?(SIGNALS[:CANCEL_REQUESTED])
        current["cancel_reason"]
      elsif current["signals"].anybits?(SIGNALS[:PAUSED])
        current["pause_reason"]
      end
    end

    # Raises Cancelled if one of STOP_SIGNALS is set.
    def raise_if_cancelled
      current = signals
      raise Cancelled.new(current, reason) if current.anybits?(STOP_SIGNALS)
    end

    # Sends the recorded details, and waits for the acknowledgement.
    def flush(timeout: 10) = call_blocking(:flush, timeout)

    # Ends the activity successfully.
    def complete(result = nil, timeout: 10) = call_blocking(:complete, timeout, *Values.encoded(result))

    # Ends this attempt as failed, with an exception or a message. The fields are those of thb_fail.
    def fail(reason, timeout: 10, **fields) = call_blocking(:fail, timeout, *Values.failure(reason, fields))

    # Ends the activity as cancelled, after CANCEL_REQUESTED was set.
    def report_cancelled(*details, timeout: 10) = call_blocking(:report_cancelled, timeout, *Values.encoded_all(details))

    # Sends the recorded details, and stops the heartbeats. Doesn't end the activity. Closing again does nothing.
    def close(timeout: @close_timeout)
      return if @is_closed

      @is_closed = true
      ObjectSpace.undefine_finalizer(self)
      call_blocking(:close, timeout)
    rescue InvalidHandleError, ForkedError
      nil
    rescue TimeoutError
      raise unless timeout&.zero?
    end

    # Runs the block, and closes the activity after it. An error of the block fails the attempt, or, if it is a Cancelled
    # after CANCEL_REQUESTED, reports the cancellation. It is raised again.
    def run
      yield self
    rescue *ERRORS => error
      report(error) if @fail_on_error
      raise
    ensure
      # The error of the block is more important than that of the close.
      $! ? quietly { close } : close
    end

    private

    def own(handle, close_timeout = 10, fail_on_error = true)
      @handle = handle
      @close_timeout = close_timeout
      @fail_on_error = fail_on_error
      @is_closed = false
      ObjectSpace.define_finalizer(self, self.class.closer(handle))
    end

    def report(error)
      current = signals
      return if current.anybits?(SIGNALS[:GONE] | SIGNALS[:LEASE_LOST]) # the server has ended this attempt, or soon will

      is_cancelled = current.anybits?(SIGNALS[:CANCEL_REQUESTED]) && error.is_a?(Cancelled)
      quietly { is_cancelled ? report_cancelled(timeout: @close_timeout) : self.fail(error, timeout: @close_timeout) }
    rescue InvalidHandleError, ForkedError
      nil
    end

    def quietly
      yield
    rescue EndedError, NotFoundError, InvalidHandleError, ForkedError
      nil # the activity is over, or belongs to the parent process
    rescue Error => error
      warn("the activity could not be ended: #{error.message}")
    end

    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

    def call_for_signals(name, *arguments)
      signals = Library.output
      Library.call(name, @handle, *arguments, signals)
      Library.uint32(signals)
    end

    def call_blocking(name, timeout, *arguments)
      Library.call_blocking(:"thb_activity_#{name}", @handle, *arguments, Library.milliseconds(timeout))
      nil
    end
  end
end
