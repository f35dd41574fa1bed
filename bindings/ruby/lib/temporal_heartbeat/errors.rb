# frozen_string_literal: true

module TemporalHeartbeat
  # Every function that fails raises a subclass, by the status: NotFoundError, UnavailableError, ...
  class Error < StandardError
    # The name of the status in temporal_heartbeat.h, for example "THB_NOT_FOUND".
    attr_reader :code
    # The seconds to wait before a retry; nil if they are unknown.
    attr_reader :retry_after

    def initialize(code, message, is_retryable: false, retry_after: nil)
      super("#{code}: #{message}")
      @code = code
      @is_retryable = is_retryable
      @retry_after = retry_after
    end

    # Whether the same call may succeed later. It was already retried within its timeout.
    def retryable? = @is_retryable

    # Returns the class for the code. For a status that is newer than this gem, it is Error.
    def self.class_of(code)
      name = "#{code.delete_prefix("THB_").split("_").map(&:capitalize).join}Error"
      TemporalHeartbeat.const_defined?(name, false) ? TemporalHeartbeat.const_get(name, false) : Error
    end
  end

  STATUSES.each_key do |status|
    next if status == :OK

    const_set("#{status.to_s.split("_").map(&:capitalize).join}Error", Class.new(Error))
  end

  # Raised by Activity#raise_if_cancelled. It isn't an Error, so that `rescue Error` doesn't hide it.
  class Cancelled < StandardError
    # reason: Activity#reason when it was raised. The message contains it.
    attr_reader :signals, :reason

    def initialize(signals, reason = nil)
      names = SIGNALS.select { |_, bit| signals.anybits?(bit) }.keys
      super("the work should stop: #{names.join(", ")}#{" (#{reason})" if reason}")
      @signals = signals
      @reason = reason
    end
  end
end
