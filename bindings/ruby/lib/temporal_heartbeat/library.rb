# frozen_string_literal: true

require "fiddle"
require "fiddle/cparser"

module TemporalHeartbeat
  # Opens the native library, and calls its functions.
  module Library
    extend Fiddle::CParser

    FILE = RUBY_PLATFORM.include?("darwin") ? "libtemporal_heartbeat.0.dylib" : "libtemporal_heartbeat.so.0"
    BUNDLED = File.expand_path("native/#{FILE}", __dir__)
    FOREVER = 0xffff_ffff
    # The space for one output: a pointer, a handle or a number.
    OUTPUT_BYTES = 8

    # The longest waits at the exit: for the calls, and then for the recorded details.
    EXIT_SECONDS = 1
    # The threads of the blocking calls in progress.
    CALLS = ThreadGroup.new

    @lock = Mutex.new
    @functions = {}

    class << self
      # Chooses the library's path, instead of the places where it is searched.
      def load(path)
        path = File.expand_path(path)
        @lock.synchronize do
          raise ArgumentError, "the library is already loaded from #{@path}" if @path && @path != path

          open(path)
        end
      end

      # Calls a function without an error.
      def raw(name, *arguments) = function(name).call(*arguments)

      # Calls a function whose last argument is the error, which is added.
      def call(name, *arguments)
        error = output
        status = raw(name, *arguments, error)
        raise error_of(status, error.ptr) unless status.zero?
      ensure
        raw(:thb_error_free, error.ptr) if error
      end

      # Like call, for a function that may block. Ruby can't interrupt a foreign function. But it can interrupt the wait for
      # a thread, for example after Ctrl-C. The call then continues in that thread.
      def call_blocking(name, *arguments)
        thread = Thread.new { call(name, *arguments) }
        thread.report_on_exception = false
        CALLS.add(thread)
        thread.value
      end

      # Ends the calls in progress, because Ruby exits only after the foreign functions have returned.
      def end_calls
        wait_end = now + EXIT_SECONDS
        sleep(0.01) while CALLS.list.any? && now < wait_end
      ensure
        raw(:thb_disconnect, milliseconds(EXIT_SECONDS), nil) if CALLS.list.any?
      end

      def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

      def output = Fiddle::Pointer.malloc(OUTPUT_BYTES, Fiddle::RUBY_FREE).tap { |memory| memory[0, OUTPUT_BYTES] = "\0" * OUTPUT_BYTES }

      def uint32(memory) = memory[0, 4].unpack1("L")
      def uint64(memory) = memory[0, 8].unpack1("Q")

      # Returns a copy of the bytes that a function returns, whose last argument is the length.
      def bytes(name, *arguments)
        length = output
        data = raw(name, *arguments, length)
        data.null? ? "".b : data[0, uint64(length)].b
      end

      # Returns the bytes of a thb_text_t that a function outputs.
      def text(name, *arguments)
        text = output
        call(name, *arguments, text)
        bytes(:thb_text_data, text.ptr)
      ensure
        raw(:thb_text_free, text.ptr) if text
      end

      # Returns the text of a function that returns one.
      def string(name, *arguments) = raw(name, *arguments).to_s.force_encoding(Encoding::UTF_8)

      # Converts seconds to milliseconds; nil is for ever.
      def milliseconds(seconds)
        return FOREVER if seconds.nil?
        raise ArgumentError, "timeout is #{seconds}: it must not be negative" if seconds.negative?

        (seconds * 1000).ceil
      end

      private

      def function(name)
        @functions[name] || @lock.synchronize do
          open(default_path)
          _, result, parameters = parse_signature(FUNCTIONS.fetch(name))
          @functions[name] = Fiddle::Function.new(@handle[name.to_s], parameters, result, name: name.to_s)
        end
      end

      def default_path
        chosen = ENV["TEMPORAL_HEARTBEAT_LIBRARY"].to_s
        return chosen unless chosen.empty?

        File.exist?(BUNDLED) ? BUNDLED : FILE
      end

      def open(path)
        return if @handle

        handle = dlopen(path)
        check_abi = Fiddle::Function.new(handle["thb_check_abi"], [-Fiddle::TYPE_INT], Fiddle::TYPE_INT)
        unless check_abi.call(ABI_VERSION).zero?
          message = "the library has another ABI version than this program needs: install a matching library instead of #{path}"
          raise AbiMismatchError.new("THB_ABI_MISMATCH", message)
        end
        @path = path
        @handle = handle
      end

      def dlopen(path)
        Fiddle.dlopen(path).tap { |handle| handle["thb_check_abi"] }
      rescue Fiddle::DLError => error
        message = "can't load the library: set TEMPORAL_HEARTBEAT_LIBRARY to its path (#{error.message})"
        raise ConfigError.new("THB_CONFIG", message)
      end

      def error_of(status, error)
        code = string(:thb_status_name, status)
        wait = raw(:thb_error_retry_after_ms, error)
        Error.class_of(code).new(
          code,
          string(:thb_error_message, error),
          is_retryable: raw(:thb_error_is_retryable, error) == 1,
          retry_after: wait.negative? ? nil : wait / 1000.0
        )
      end
    end

    at_exit { end_calls }
  end
end
