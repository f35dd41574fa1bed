# frozen_string_literal: true

require "json"

module TemporalHeartbeat
  # Several values as one, or values that a codec has encoded: a serialized temporal.api.common.v1.Payloads.
  class Payloads
    attr_reader :data

    def initialize(data)
      @data = data
    end

    def self.of(*values)
      details = Library.output
      Library.call(:thb_details_new, details)
      values.each { |value| Library.call(:thb_details_add, details.ptr, *Values.encoded(value)) }
      new(Library.bytes(:thb_details_payloads, details.ptr))
    ensure
      Library.raw(:thb_details_free, details.ptr) if details
    end
  end

  # A value that this process can't decode, for example an encrypted one.
  EncodedValue = Struct.new(:encoding, :data)

  # The heartbeat details that the server holds. Send `payloads` to record them again.
  class Details
    include Enumerable

    # attempt: the number of the attempt that the server has now, from 1; 0 if it is unknown. recorded_at: the time of the
    # last heartbeat by the server's clock; nil if there was none. heartbeat_timeout: seconds; 0: none; nil: unknown.
    attr_reader :payloads, :attempt, :recorded_at, :heartbeat_timeout

    def initialize(pointer)
      @values = Array.new(Library.raw(:thb_details_count, pointer)) { |index| Values.decoded(pointer, index) }
      @payloads = Payloads.new(Library.bytes(:thb_details_payloads, pointer))
      @attempt = Library.raw(:thb_details_attempt, pointer)
      recorded_at = Library.raw(:thb_details_recorded_at_unix_ms, pointer)
      @recorded_at = Time.at(0, recorded_at, :millisecond) unless recorded_at.zero?
      timeout = Library.raw(:thb_details_heartbeat_timeout_ms, pointer)
      @heartbeat_timeout = timeout / 1000.0 unless timeout.negative?
    end

    # Calls a function that outputs details, whose last argument before the error is that output.
    def self.read(name, *arguments)
      details = Library.output
      Library.call_blocking(name, *arguments, details)
      new(details.ptr)
    ensure
      Library.raw(:thb_details_free, details.ptr) if details
    end

    def each(&) = @values.each(&)
    def [](index) = @values[index]
    def size = @values.size
    def empty? = @values.empty?
  end

  # Converts values to the arguments of the library, and back, as Temporal's SDK for Ruby does by default.
  module Values
    # Options in seconds. The library's names end in _ms.
    DURATIONS = %i[connect_timeout heartbeat_timeout stall_timeout cancel_poll age attempt_remaining next_retry_delay].freeze
    MOST_CAUSES = 8
    MOST_TEXT = 16 * 1024

    module_function

    # Returns the encoding, the bytes and their number.
    def encoded(value)
      case value
      when nil then [ENCODINGS[:NULL], nil, 0]
      when Payloads then sized(value.data, ENCODINGS[:PAYLOADS])
      when Details then encoded(value.payloads)
      when EncodedValue then raise TypeError, "an EncodedValue has lost its metadata: send the payloads of the Details"
      when String
        value.encoding == Encoding::BINARY ? sized(value, ENCODINGS[:BINARY]) : sized(JSON.generate(value), ENCODINGS[:JSON])
      else sized(JSON.generate(value), ENCODINGS[:JSON])
      end
    end

    # Returns the arguments for any number of values.
    def encoded_all(values)
      case values.size
      when 0 then [ENCODINGS[:NONE], nil, 0]
      when 1 then encoded(values.first)
      else encoded(Payloads.of(*values))
      end
    end

    def decoded(pointer, index)
      encoding = Library.string(:thb_details_encoding, pointer, index)
      data = Library.bytes(:thb_details_data, pointer, index)
      return nil if encoding == "binary/null" && data.empty?
      return data if encoding == "binary/plain"

      # The progress of another program must stay readable.
      encoding == "json/plain" ? JSON.parse(data.dup.force_encoding(Encoding::UTF_8)) : EncodedValue.new(encoding, data)
    rescue JSON::ParserError
      EncodedValue.new(encoding, data)
    end

    def sized(data, *before) = [*before, data, data.bytesize]

    def token(bytes)
      return [nil, 0] if bytes.nil?
      raise TypeError, "a task token is a String, not a #{bytes.class}" unless bytes.is_a?(String)

      sized(bytes)
    end

    def options(given) = sized(JSON.generate(renamed(given)))

    def renamed(given)
      given.compact.to_h { |name, value| DURATIONS.include?(name) ? ["#{name}_ms", (value * 1000).ceil] : [name, value] }
    end

    # Returns values as the base64 text that options and failures take.
    def base64(values)
      values = values.payloads if values.is_a?(Details)
      values = Payloads.of(*values) unless values.is_a?(Payloads)
      [values.data].pack("m0")
    end

    # Returns the arguments for a failure: an exception or a message, and the fields that replace or complete it.
    def failure(reason, fields) = sized(JSON.generate(failure_of(reason, MOST_CAUSES).merge(failure_fields(fields))))

    def failure_of(reason, causes_left)
      return failure_fields(reason) if reason.is_a?(Hash)
      return { "message" => text(reason) } unless reason.is_a?(Exception)

      failure = { "message" => text(reason.message), "type" => reason.class.name, "stack_trace" => text(reason.backtrace&.join("\n")) }
      failure["cause"] = failure_of(reason.cause, causes_left - 1) if reason.cause && causes_left.positive?
      failure.compact.merge(sdk_fields(reason))
    end

    # An ApplicationError of Temporal's SDK keeps its meaning.
    def sdk_fields(error)
      return {} unless error.respond_to?(:non_retryable) && error.respond_to?(:details)

      fields = { type: error.type, non_retryable: error.non_retryable, details: error.details }
      failure_fields(fields.select { |_, value| value && value != [] })
    end

    def failure_fields(fields)
      renamed(fields).to_h do |name, value|
        case name.to_sym
        when :details, :heartbeat_details then ["#{name}_payloads", base64(value)]
        when :cause then [name.to_s, failure_of(value, MOST_CAUSES)]
        else [name.to_s, value]
        end
      end
    end

    def text(value) = value.to_s.encode(Encoding::UTF_8, invalid: :replace, undef: :replace).scrub[0, MOST_TEXT]
  end
end
