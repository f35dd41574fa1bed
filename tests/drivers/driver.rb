# frozen_string_literal: true

# The Ruby driver. README.md in this folder describes the protocol.

require "temporal_heartbeat"

THB = TemporalHeartbeat

# The requests. The open activities are kept by the NAMEs of the protocol.
module Requests
  ACTIVITIES = {}

  module_function

  def connect(options) = done(THB.connect(**arguments(options)))
  def reconfigure(options) = done(THB.reconfigure(**arguments(options)))
  def disconnect(timeout) = done(THB.disconnect(timeout: seconds(timeout)))

  def heartbeat(token, timeout, *values)
    [THB.heartbeat(bytes(token), *values.map { value(_1) }, timeout: seconds(timeout), clear: values.empty?)]
  end

  def get_details(token, timeout) = details(THB.get_details(bytes(token), timeout: seconds(timeout)))

  def complete(token, timeout, *values)
    done(THB.complete(bytes(token), *values.map { value(_1) }, timeout: seconds(timeout)))
  end

  def fail(token, timeout, failure)
    done(THB.fail(bytes(token), arguments(failure), timeout: seconds(timeout)))
  end

  def report_cancelled(token, timeout, *values)
    done(THB.report_cancelled(bytes(token), *values.map { value(_1) }, timeout: seconds(timeout)))
  end

  def token_from_env = [hex(THB.token_from_env)]

  def activity_open(name, token, options)
    given = arguments(options)
    ACTIVITIES[name] = token == "-" ? THB::Activity.from_env(**given) : THB::Activity.open(bytes(token), **given)
    []
  end

  def activity_record(name, *values) = [ACTIVITIES[name].heartbeat(*values.map { value(_1) })]
  def activity_touch(name) = [ACTIVITIES[name].touch]
  def activity_set_status(name, text) = done(ACTIVITIES[name].set_status(bytes(text)))
  def activity_signals(name) = [ACTIVITIES[name].signals]
  def activity_info(name) = [hex(JSON.generate(ACTIVITIES[name].info))]
  def activity_details(name, timeout) = details(ACTIVITIES[name].details(timeout: seconds(timeout)))
  def activity_flush(name, timeout) = done(ACTIVITIES[name].flush(timeout: seconds(timeout)))
  def activity_close(name, timeout) = done(ACTIVITIES[name].close(timeout: seconds(timeout)))

  def activity_complete(name, timeout, *values)
    done(ACTIVITIES[name].complete(*values.map { value(_1) }, timeout: seconds(timeout)))
  end

  def activity_fail(name, timeout, failure)
    done(ACTIVITIES[name].fail(arguments(failure), timeout: seconds(timeout)))
  end

  def activity_report_cancelled(name, timeout, *values)
    done(ACTIVITIES[name].report_cancelled(*values.map { value(_1) }, timeout: seconds(timeout)))
  end

  def done(_) = []

  def details(details)
    recorded_at = details.recorded_at ? (details.recorded_at.to_r * 1000).to_i : 0
    timeout = details.heartbeat_timeout ? (details.heartbeat_timeout * 1000).round : -1
    [details.attempt, recorded_at, timeout, *details.map { word(_1) }]
  end

  def bytes(word) = %w[- .].include?(word) ? "".b : [word].pack("H*")
  def hex(data) = data.empty? ? "." : data.unpack1("H*")

  def value(word)
    encoding, data = word.split(":")
    case encoding
    when "json" then JSON.parse(bytes(data).force_encoding(Encoding::UTF_8))
    when "binary" then bytes(data)
    when "null" then nil
    else raise ArgumentError, word
    end
  end

  def word(value)
    case value
    when nil then "binary/null:."
    when THB::EncodedValue then "#{value.encoding}:#{hex(value.data)}"
    else
      is_binary = value.is_a?(String) && value.encoding == Encoding::BINARY
      is_binary ? "binary/plain:#{hex(value)}" : "json/plain:#{hex(JSON.generate(value))}"
    end
  end

  # Returns the arguments of a call from JSON. A key that ends in `_ms` holds a duration.
  def arguments(word)
    text = bytes(word)
    JSON.parse(text.empty? ? "{}" : text.force_encoding(Encoding::UTF_8)).to_h do |name, value|
      name.end_with?("_ms") ? [name.delete_suffix("_ms").to_sym, value / 1000.0] : [name.to_sym, value]
    end
  end

  def seconds(timeout) = timeout == "forever" ? nil : timeout.to_i / 1000.0

  def error(error)
    ["error", error.code, -1, error.retryable? ? 1 : 0, ((error.retry_after || 0) * 1000).round, hex(error.message.b)]
  end
end

$stdout.sync = true
$stdin.each_line do |line|
  verb, *words = line.split
  answer = begin
    ["ok", *Requests.public_send(verb, *words)]
  rescue THB::Error => error
    Requests.error(error)
  end
  puts answer.join(" ")
end
